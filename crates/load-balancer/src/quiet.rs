//! Silence where a reset would be said: for the time in which a virtual address moves here, and with it segments of
//! connections that another host still serves.
//!
//! To a segment of a connection that it does not know, the kernel answers with a reset, which ends the connection wherever
//! it is served. So while silence is wanted, one more socket joins those that the workers listen with at an address
//! (a group by `SO_REUSEPORT`), with a filter that drops everything, and the kernel is told to give it all that does not
//! begin a connection. Segments of connections that the kernel knows, and of handshakes, never come to listening sockets.
//! (Except a handshake's last, if it was answered by SYN cookie: under a flood of SYNs, which is when the kernel does
//! that, silence costs new connections.)

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::Socket;

use crate::bind::{self, Place};
use crate::filter;

/// How many connections the kernel may hold for a worker that has not accepted them yet.
const BACKLOG: i32 = 4096;

/// The groups of all addresses, and whether they are to be quiet. Locked when sockets begin or cease to listen.
#[derive(Debug, Default)]
pub(crate) struct Groups(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    quiet: bool,
    groups: BTreeMap<SocketAddr, Group>,
    /// Of the latest socket.
    number: u64,
}

/// The sockets that listen at one address. The kernel numbers them as they begin to listen; but when one closes, the
/// last takes its number. So the one that keeps silent has the last number for as long as it is there: it goes
/// before another one comes or goes.
#[derive(Debug)]
struct Group {
    place: Place,
    /// By number. Each is its worker's as well.
    sockets: BTreeMap<u64, Socket>,
    silent: Option<Socket>,
}

/// A worker's listening socket as part of its group. The socket closes when the worker has dropped both.
#[derive(Debug)]
pub(crate) struct Membership {
    groups: Arc<Groups>,
    address: SocketAddr,
    number: u64,
}

impl Groups {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins or ends silence at all addresses, and at those that come. Where it fails, the others go on.
    pub(crate) fn hush(&self, on: bool) -> io::Result<()> {
        let mut state = self.lock();
        state.quiet = on;
        let mut done = Ok(());
        for group in state.groups.values_mut() {
            done = done.and(group.agree(on));
        }
        done
    }

    /// Begins to listen.
    pub(crate) fn listen(
        self: &Arc<Self>,
        place: Place,
        socket: Socket,
    ) -> io::Result<(TcpListener, Membership)> {
        let handle = socket.try_clone()?;
        let mut state = self.lock();
        state.number += 1;
        let (quiet, number, address) = (state.quiet, state.number, place.address);
        let group = state.groups.entry(address).or_insert_with(|| Group::new(place));
        group.speak_up();
        let listening = socket.listen(BACKLOG);
        if listening.is_ok() {
            group.sockets.insert(number, handle);
        }
        group.agree_or_warn(quiet);
        listening?;
        Ok((socket.into(), Membership { groups: self.clone(), address, number }))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut state = self.groups.lock();
        let quiet = state.quiet;
        let Some(group) = state.groups.get_mut(&self.address) else { return };
        group.speak_up();
        group.sockets.remove(&self.number);
        group.agree_or_warn(quiet);
        if group.sockets.is_empty() {
            state.groups.remove(&self.address);
        }
    }
}

impl Group {
    fn new(place: Place) -> Self {
        Self { place, sockets: BTreeMap::new(), silent: None }
    }

    /// Brings it in line with what is wanted, as far as it can be now.
    fn agree(&mut self, quiet: bool) -> io::Result<()> {
        if !quiet {
            self.speak_up();
            return Ok(());
        }
        if self.silent.is_none() {
            self.silent = self.silence().map_err(|error| {
                let advice = match error.kind() {
                    io::ErrorKind::PermissionDenied => " (it needs CAP_NET_ADMIN)",
                    _ => "",
                };
                let said = format!("no silence at {}: {error}{advice}", self.place.address);
                io::Error::new(error.kind(), said)
            })?;
        }
        Ok(())
    }

    fn agree_or_warn(&mut self, quiet: bool) {
        if let Err(error) = self.agree(quiet) {
            tracing::warn!(%error, "connections that another host serves may be reset");
        }
    }

    fn silence(&self) -> io::Result<Option<Socket>> {
        let Some(any) = self.any() else { return Ok(None) };
        let silent = bind::bound(self.place, true)?;
        filter::ignore_all(&silent)?;
        // Before it is there, so that nobody who connects comes to it.
        filter::set_others_apart(any, u32::try_from(self.sockets.len()).map_err(io::Error::other)?)?;
        if let Err(error) = silent.listen(1) {
            self.spread_evenly();
            return Err(error);
        }
        Ok(Some(silent))
    }

    fn speak_up(&mut self) {
        if self.silent.take().is_some() {
            self.spread_evenly();
        }
    }

    fn spread_evenly(&self) {
        if let Some(any) = self.any()
            && let Err(error) = filter::set_nothing_apart(any)
        {
            tracing::warn!(address = %self.place.address, %error, "clients may come to fewer workers than there are");
        }
    }

    fn any(&self) -> Option<&Socket> {
        self.sockets.values().next()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    const PLACE: fn(u16) -> Place =
        |port| Place { address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), moves: false };

    /// A worker's socket at `port`, or at a free one.
    fn worker(groups: &Arc<Groups>, port: u16) -> (TcpListener, Membership) {
        let socket = bind::bound(PLACE(port), true).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        groups.listen(PLACE(port), socket).unwrap()
    }

    /// Every one of `workers` gets clients, and no client is left without an answer.
    fn all_serve(workers: &[(TcpListener, Membership)]) {
        let address = workers[0].0.local_addr().unwrap();
        let begun = Instant::now();
        let mut waiting: Vec<_> = workers.iter().map(|(listener, _)| listener).collect();
        while !waiting.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{} of them get nobody", waiting.len());
            // Less than it takes until a segment that was dropped is sent again.
            TcpStream::connect_timeout(&address, Duration::from_millis(900)).unwrap();
            waiting.retain(|listener| listener.accept().is_err());
        }
    }

    #[test]
    fn sockets_that_come_and_go_have_their_share_whether_it_is_quiet_or_not() {
        let groups = Arc::new(Groups::default());
        let mut workers = vec![worker(&groups, 0)];
        if let Err(error) = groups.hush(true) {
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            return println!("not tested: {error}");
        }
        let port = workers[0].0.local_addr().unwrap().port();
        for quiet in [true, false, true, true] {
            groups.hush(quiet).unwrap();
            all_serve(&workers);
            workers.push(worker(&groups, port));
            all_serve(&workers);
            groups.hush(!quiet).unwrap();
            workers.push(worker(&groups, port));
            all_serve(&workers);
            workers.remove(0);
            all_serve(&workers);
        }
        drop(workers);
        assert!(groups.lock().groups.is_empty());
        let error = TcpStream::connect(("127.0.0.1", port)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "nothing is left");
    }
}
