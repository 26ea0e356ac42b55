//! Replies that come from nines itself, and what causes them.

use std::cell::Cell;
use std::pin::pin;
use std::time::Instant;

use nines_control::statistics::Refused;

use super::exchange::Client;
use super::{LINGER, log};
use crate::front::Front;
use crate::http1::{Refusal, Rejection};
use crate::kit::Kit;
use crate::socket::send_all;

/// Seconds after which a client may try again when there was no room.
const RETRY_AFTER: u32 = 1;

/// Why no request could be read.
pub(super) enum Unread {
    Rejected(Rejection),
    TooSlow,
}

/// The reply to a request that could not be read; its connection is of no further use.
pub(super) async fn unread(kit: &Kit, front: &Front, unread: Unread, client: &Client, out: &mut Vec<u8>) {
    let (cause, status, what) = match unread {
        Unread::Rejected(rejection) => (Refused::BadRequest, rejection.status, rejection.reason),
        Unread::TooSlow => (Refused::ClientTimeout, 408, "the request did not come in time"),
    };
    out.clear();
    refusal(cause, status, what, true, false).render(out);
    front.count_reply(status);
    front.count_refused(cause);
    // It fits into any socket's buffer, unless the client reads nothing at all.
    let end = Instant::now() + LINGER;
    let written = Cell::new(0);
    let _ = kit.timers.timeout(|| end, pin!(send_all(&client.stream, out, &written))).await;
    front.counts.bytes_out.add(written.get() as u64);
    log::unread(front, client.address.ip(), status, written.get() as u64, cause);
}

pub(super) fn refusal(
    cause: Refused,
    status: u16,
    what: &'static str,
    close: bool,
    head_only: bool,
) -> Refusal<'static> {
    let retry_after = (status == 503).then_some(RETRY_AFTER);
    Refusal { status, cause: cause.word(), what, retry_after, close, head_only }
}

/// The status and the sentence for a cause.
pub(super) fn explain(cause: Refused) -> (u16, &'static str) {
    match cause {
        Refused::BadRequest => (400, "the request can't be understood"),
        Refused::ClientTimeout => (408, "the request did not come in time"),
        Refused::NoRoute => (404, "no route takes this host and path"),
        Refused::NoMember => (503, "no server can take the request"),
        Refused::QueueFull => (503, "all servers are busy, and so is the queue in front of them"),
        Refused::QueueTimeout => (503, "all servers were busy for too long"),
        Refused::Connect => (502, "no server accepted a connection"),
        Refused::ConnectTimeout => (504, "no server accepted a connection in time"),
        Refused::Reset => (502, "the server closed the connection before it answered"),
        Refused::FirstByteTimeout => (504, "the server did not begin its answer in time"),
        Refused::RequestTimeout => (504, "the request took too long"),
        Refused::BadReply => (502, "the server's answer can't be understood"),
    }
}
