//! The way to a database: there is one primary, it may be another one soon, and meanwhile there may be none. A client waits
//! for it rather than being refused, and never for one that is it no more.

use std::cell::Cell;
use std::time::{Duration, Instant};

use nines_control::statistics::Refused;

use crate::attempt::Outgoing;
use crate::forward;
use crate::kit::Kit;
use crate::pool::Place;
use crate::timer::{Elapsed, FAR};
use crate::upstream::Connection;

/// After a connect that failed, while the member is still said to serve.
const PAUSE: Duration = Duration::from_millis(20);

/// A connection to a member that serves, as soon as there is one, for as long as one may wait in the pool's queue.
pub(crate) async fn connect(
    kit: &Kit,
    request: &Outgoing<'_>,
    tries: &Cell<u32>,
) -> Result<(Place, Connection), Refused> {
    let end = request.received + request.pool.plan().limits.queue_timeout;
    loop {
        let admitted = forward::admit(kit, request.pool, request.key, request.received).await?;
        let member = admitted.seat.member.clone();
        let these = Cell::new(0);
        let connecting = std::pin::pin!(forward::connect(kit, request, admitted.seat, &these));
        // Once its role has ended, an answer is not waited for.
        let until = || member.close_at.get().unwrap_or(request.received + FAR).min(end);
        let connected = kit.timers.timeout(until, connecting).await;
        tries.set(tries.get() + these.get());
        let cause = match connected {
            Ok(Ok(connection)) => return Ok((admitted.place, connection)),
            Ok(Err(cause)) => cause,
            Err(Elapsed) => Refused::ConnectTimeout,
        };
        let again = Instant::now() + PAUSE;
        if again >= end {
            return Err(cause);
        }
        if member.close_at.get().is_none() {
            kit.timers.sleep(|| again).await;
        }
    }
}
