//! One request and its reply: what everyone who has a part in answering it needs.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nines_system::HttpListener;
use tokio::net::TcpStream;

use crate::front::Front;
use crate::http1::{Asked, ClientText, Framing, Limits, Version};
use crate::kit::Kit;
use crate::listening::Served;
use crate::pool::{Member, Pool};

/// Who is at the other end.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    pub(super) text: ClientText,
}

pub(super) struct Exchange<'a> {
    pub(super) served: &'a Served,
    pub(super) kit: &'a Kit,
    pub(super) front: &'a Front,
    pub(super) http: &'a HttpListener,
    pub(super) client: &'a Client,
    pub(super) received: Instant,
    pub(super) seen: Seen,
}

/// What is known of a request once its head has been rendered and given up.
pub(super) struct Request<'a> {
    pub(super) pool: &'a Rc<Pool>,
    pub(super) asked: Asked,
    pub(super) version: Version,
    pub(super) limits: Limits,
    pub(super) keep_alive: bool,
    pub(super) framing: Framing,
    /// Whether it may be sent to another member after bytes of it were written.
    pub(super) repeatable: bool,
    pub(super) expects_continue: bool,
    /// For consistent hashing.
    pub(super) key: Option<u64>,
}

/// What was seen on the way.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) status: Cell<u16>,
    pub(super) first_byte: Cell<Option<Duration>>,
    pub(super) bytes_in: Cell<u64>,
    pub(super) bytes_out: Cell<u64>,
    pub(super) tries: Cell<u32>,
    pub(super) member: Cell<Option<Rc<Member>>>,
    /// When the reply began, the client had waited for long and had hung up.
    pub(super) too_late: Cell<bool>,
}
