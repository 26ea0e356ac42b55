//! What the access log says of one request. Nothing of it is kept where no log is wanted.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use nines_control::statistics::Refused;

use crate::access_log::{Record, now_us};
use crate::front::Front;
use crate::http1::RequestHead;

/// What is known before the request's head is given up.
pub(super) struct Entry {
    time_us: u64,
    method: String,
    host: String,
    target: String,
}

/// How it went.
pub(super) struct Outcome<'a> {
    pub(super) client: IpAddr,
    pub(super) received: Instant,
    pub(super) pool: Option<&'a str>,
    pub(super) member: Option<&'a str>,
    pub(super) tries: u32,
    pub(super) status: u16,
    pub(super) first_byte: Option<Duration>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) ended: &'a str,
}

impl Entry {
    pub(super) fn new(front: &Front, head: &RequestHead, buffer: &[u8]) -> Option<Self> {
        front.access_log.as_ref()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(Self {
            time_us: now_us(),
            method: text(head.method_bytes(buffer)),
            host: text(head.host(buffer)),
            target: text(head.target(buffer)),
        })
    }

    pub(super) fn write(&self, front: &Front, outcome: &Outcome<'_>) {
        let Some(log) = &front.access_log else { return };
        let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        log.write(&Record {
            time_us: self.time_us,
            listener: &front.name,
            client: outcome.client,
            method: &self.method,
            host: &self.host,
            target: &self.target,
            pool: outcome.pool,
            member: outcome.member,
            tries: outcome.tries,
            status: outcome.status,
            first_byte_us: outcome.first_byte.map(us),
            total_us: us(outcome.received.elapsed()),
            bytes_in: outcome.bytes_in,
            bytes_out: outcome.bytes_out,
            ended: outcome.ended,
        });
    }
}

/// A request that could not be read, of which nothing is known but who sent it.
pub(super) fn unread(front: &Front, client: IpAddr, status: u16, bytes_out: u64, cause: Refused) {
    let Some(log) = &front.access_log else { return };
    log.write(&Record {
        time_us: now_us(),
        listener: &front.name,
        client,
        method: "",
        host: "",
        target: "",
        pool: None,
        member: None,
        tries: 0,
        status,
        first_byte_us: None,
        total_us: 0,
        bytes_in: 0,
        bytes_out,
        ended: cause.word(),
    });
}
