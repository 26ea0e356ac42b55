//! What a worker lends to whoever serves a connection: timers, buffers, pipes, random numbers, and things to parse into
//! that keep their memory from one request to the next.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use nines_control::random::Random;

use crate::buffer::Buffers;
use crate::http1::{RequestHead, ResponseHead};
use crate::retire::Retirement;
use crate::splice::Pipes;
use crate::timer::Timers;

/// Bytes in one buffer: a request's or reply's head must fit, and a bulk read should fill it.
const BUFFER_BYTES: usize = 64 * 1024;
/// Buffers, heads and desks kept while nobody uses them.
const KEPT: usize = 256;
const PIPES: usize = 256;
/// Bytes that a desk keeps from one request to the next.
const DESK_BYTES: usize = 16 * 1024;

pub(crate) struct Kit {
    pub(crate) timers: Rc<Timers>,
    pub(crate) buffers: Buffers,
    pub(crate) pipes: Pipes,
    pub(crate) random: RefCell<Random>,
    pub(crate) retirement: Retirement,
    #[allow(clippy::vec_box, reason = "handed out boxed, and moved as a pointer")]
    reply_heads: RefCell<Vec<Box<ResponseHead>>>,
    #[allow(clippy::vec_box, reason = "the same")]
    desks: RefCell<Vec<Box<Desk>>>,
}

/// What one request is served with.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) head: RequestHead,
    /// The request as a member gets it.
    pub(crate) request: Vec<u8>,
    /// The reply's head as the client gets it, and what goes out with it.
    pub(crate) reply: Vec<u8>,
}

impl Kit {
    pub(crate) fn new(start: Instant, seed: u64) -> Self {
        Self {
            timers: Rc::new(Timers::new(start)),
            buffers: Buffers::new(BUFFER_BYTES, KEPT),
            pipes: Pipes::new(PIPES),
            random: RefCell::new(Random::seeded(seed)),
            retirement: Retirement::new(start),
            reply_heads: RefCell::default(),
            desks: RefCell::default(),
        }
    }

    /// A reply's head to parse into; [`Kit::keep_reply_head`] takes it back.
    pub(crate) fn reply_head(&self) -> Box<ResponseHead> {
        self.reply_heads.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn keep_reply_head(&self, head: Box<ResponseHead>) {
        keep(&self.reply_heads, head);
    }

    /// What to serve a request with; [`Kit::keep_desk`] takes it back.
    pub(crate) fn desk(&self) -> Box<Desk> {
        self.desks.borrow_mut().pop().unwrap_or_default()
    }

    /// An unusually large request's memory is given back.
    pub(crate) fn keep_desk(&self, mut desk: Box<Desk>) {
        for bytes in [&mut desk.request, &mut desk.reply] {
            bytes.clear();
            bytes.shrink_to(DESK_BYTES);
        }
        keep(&self.desks, desk);
    }
}

#[allow(clippy::vec_box, reason = "handed out boxed, and moved as a pointer")]
fn keep<T>(kept: &RefCell<Vec<Box<T>>>, one: Box<T>) {
    let mut kept = kept.borrow_mut();
    if kept.len() < KEPT {
        kept.push(one);
    }
}
