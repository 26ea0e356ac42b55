//! A TCP listener's connection: a member for it, and then bytes both ways.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nines_control::statistics::Refused;
use nines_control::traffic::Failure;
use nines_system::Balance;
use tokio::net::TcpStream;

use crate::access_log::{Record, now_us};
use crate::attempt::Outgoing;
use crate::forward;
use crate::http1::{Asked, Limits, Method};
use crate::listening::Served;
use crate::pool::hash_of;
use crate::proxy;
use crate::relay::{Ended, Moved, Relay};
use crate::timer::FAR;

/// The PROXY header comes first, and at once.
const PROXY_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn serve(served: Served, stream: TcpStream, peer: SocketAddr) {
    let (received, time_us) = (Instant::now(), now_us());
    let kit = served.kit.clone();
    let front = served.listening.front();
    let Some((plan, pool)) = front.tcp() else { return };
    let idle = plan.idle;
    let pool = pool.clone();
    let Some(accepted) = proxy::accept(&kit, &front, &stream, peer, idle.min(PROXY_PATIENCE)).await else {
        return;
    };
    let proxy::Accepted { client, window: ahead } = accepted;
    let preface = proxy::preface(pool.plan().send_proxy, client, &stream);
    let key = match pool.plan().balance {
        Balance::Hash(_) => Some(hash_of(client.ip())),
        _ => None,
    };
    let request = Outgoing {
        pool: &pool,
        bytes: &[],
        asked: Asked { method: Method::Other, upgrade: false },
        repeatable: false,
        key,
        preface: &preface,
        limits: Limits { head_bytes: 0, headers: 0 },
        received,
        lost_at: Cell::new(None),
    };
    let tries = Cell::new(0);
    let connected = async {
        let admitted = forward::admit(&kit, &pool, key, received).await?;
        let connection = forward::connect(&kit, &request, admitted.seat, &tries).await?;
        Ok::<_, Refused>((admitted.place, connection))
    };
    let moved = Moved::default();
    let (ended, member) = match Box::pin(connected).await {
        Err(cause) => {
            front.count_refused(cause);
            let _ = stream.set_zero_linger(); // a reset says more than an orderly end without a word
            (cause.word(), request.lost_at.take())
        }
        Ok((_place, connection)) => {
            let member = connection.seat.member.clone();
            member.counts.tries.add(1);
            let relay = Relay {
                client: &stream,
                member: &connection.stream,
                first_to_member: ahead,
                first_to_client: None,
                idle,
                moved: &moved,
                buffers: &kit.buffers,
                pipes: &kit.pipes,
                timers: &kit.timers,
            };
            let ended = relay.run(kit.timers.sleep(|| member.close_at.get().unwrap_or(received + FAR))).await;
            if matches!(ended, Ended::MemberFailed) && moved.to_client.get() == 0 {
                member.failed(Failure::Reset);
            } else {
                member.succeeded();
            }
            (word(&ended), Some(member))
        }
    };
    front.counts.bytes_in.add(moved.to_member.get());
    front.counts.bytes_out.add(moved.to_client.get());
    if let Some(log) = &front.access_log {
        log.write(&Record {
            time_us,
            listener: &front.name,
            client: client.ip(),
            method: "",
            host: "",
            target: "",
            pool: Some(&pool.plan().name),
            member: member.as_ref().map(|member| member.name.as_str()),
            tries: tries.get(),
            status: 0,
            first_byte_us: None,
            total_us: u64::try_from(received.elapsed().as_micros()).unwrap_or(u64::MAX),
            bytes_in: moved.to_member.get(),
            bytes_out: moved.to_client.get(),
            ended,
        });
    }
}

pub(crate) fn word(ended: &Ended) -> &'static str {
    match ended {
        Ended::Finished => "done",
        Ended::ClientFailed => "client-gone",
        Ended::MemberFailed => "cut-short",
        Ended::Idle => "idle",
        Ended::Closed => "drained",
    }
}
