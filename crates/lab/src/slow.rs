//! Slow hosts: all that runs there gets the processor a part of the time only, as on a machine that is overloaded, swaps,
//! or whose neighbours take what it paid for.
//!
//! A thread stops every process of the host and lets it go on, over and over. The kernel answers meanwhile: connections
//! are accepted at once, and what is asked on them is answered late. (A limit of processor time, as cgroups have it, would slow
//! only what uses much of it; and it takes rights that not everybody has. A delay on the wire would slow packets, the kernel's
//! own included, and few kernels have it.)

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::place::NetworkId;
use crate::processes::{Fate, bring_about, nudge};

/// How a slow host is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// It stands still for so long…
    pub stands: Duration,
    /// …and then runs for so long.
    pub runs: Duration,
}

/// A host that is slow for as long as this lives.
pub(crate) struct Slowness {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<io::Result<usize>>>,
}

impl Slowness {
    pub(crate) fn begin(network: NetworkId, pulse: Pulse) -> io::Result<Self> {
        let (end, ended) = channel();
        let thread = thread::Builder::new().name("lab-slow".to_owned()).spawn(move || {
            loop {
                nudge(Fate::Frozen, network)?;
                let first = ended.recv_timeout(pulse.stands);
                nudge(Fate::Thawed, network)?;
                if first == Err(RecvTimeoutError::Timeout)
                    && ended.recv_timeout(pulse.runs) == Err(RecvTimeoutError::Timeout)
                {
                    continue;
                }
                // Whatever has been missed by a single look.
                return bring_about(Fate::Thawed, network, &|_| true);
            }
        })?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }

    /// When it returns, all that runs there runs; how many are still stopped.
    pub(crate) fn end(mut self) -> io::Result<usize> {
        drop(self.end.take());
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(done)) => done,
            Some(Err(_)) => Err(io::Error::other("the thread that slowed a host died")),
            None => Ok(0),
        }
    }
}

impl Drop for Slowness {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A lab that is taken down kills what is still stopped.
            let _ = thread.join();
        }
    }
}
