//! What the workers are to do: published whole, followed by each worker by itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use nines_control::view::View;
use nines_system::{HostId, Listener, LoadBalancerId, System};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::error::StartError;
use crate::places::Crowd;

/// How many connections the kernel may hold for a worker that has not accepted them yet.
const BACKLOG: i32 = 4096;

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) system: Arc<System>,
    /// Goes with `system`.
    pub(crate) view: Arc<View>,
    pub(crate) listeners: Arc<[Arc<Bound>]>,
    pub(crate) phase: Phase,
    /// Grows with every new `system`.
    pub(crate) generation: u64,
    /// How often all client connections of that time were retired.
    pub(crate) round: u32,
    /// Whether those that come are retired as well.
    pub(crate) retiring: bool,
}

impl Plan {
    pub(crate) fn new(system: Arc<System>, view: Arc<View>, listeners: Arc<[Arc<Bound>]>) -> Self {
        Self { system, view, listeners, phase: Phase::Closed, generation: 1, round: 0, retiring: false }
    }

    /// Whether every client connection is retired, whenever it was accepted.
    pub(crate) fn retires_everyone(&self) -> bool {
        self.retiring || self.phase == Phase::Draining
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Bound, but clients are refused.
    Closed,
    Open,
    Draining,
}

/// One listener of the file with its sockets, one for each worker.
#[derive(Debug)]
pub(crate) struct Bound {
    /// `front/http-80`.
    pub(crate) name: String,
    pub(crate) load_balancer: LoadBalancerId,
    /// Its position in the load balancer's list.
    pub(crate) index: usize,
    pub(crate) address: SocketAddr,
    sockets: Arc<[Mutex<Option<Socket>>]>,
    pub(crate) crowd: Arc<Crowd>,
}

impl Bound {
    pub(crate) fn listener<'a>(&self, system: &'a System) -> &'a Listener {
        &system[self.load_balancer].listeners[self.index]
    }

    /// The worker's own socket, now listening; the first call gets it.
    pub(crate) fn listen(&self, worker: usize) -> io::Result<Option<TcpListener>> {
        let taken = self
            .sockets
            .get(worker)
            .and_then(|socket| socket.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(socket) = taken else { return Ok(None) };
        socket.listen(BACKLOG)?;
        Ok(Some(socket.into()))
    }
}

/// Binds every listener of `host`; those that are bound already keep their sockets.
pub(crate) fn bind(
    system: &System,
    host: HostId,
    workers: usize,
    present: &[Arc<Bound>],
) -> Result<Arc<[Arc<Bound>]>, StartError> {
    let mut bound = Vec::new();
    for load_balancer in system.load_balancers_on(host) {
        for (index, listener) in system[load_balancer].listeners.iter().enumerate() {
            let name = format!("{}/{}", system[load_balancer].name, listener.name);
            let wanted = listener.address;
            let kept = present.iter().find(|other| {
                other.address.port() == listener.port
                    && wanted.map_or(other.address.ip().is_unspecified(), |ip| other.address.ip() == ip)
            });
            let crowd = kept.map(|kept| kept.crowd.clone()).unwrap_or_default();
            let (address, sockets) = match kept {
                Some(kept) => (kept.address, kept.sockets.clone()),
                None => {
                    let ours = present.iter().any(|other| other.address.port() == listener.port);
                    sockets(wanted, listener.port, workers, ours).map_err(|(address, error)| {
                        StartError::Bind { listener: name.clone(), address, error }
                    })?
                }
            };
            bound.push(Arc::new(Bound { name, load_balancer, index, address, sockets, crowd }));
        }
    }
    Ok(bound.into())
}

type Sockets = Arc<[Mutex<Option<Socket>>]>;

fn sockets(
    wanted: Option<IpAddr>,
    port: u16,
    workers: usize,
    ours: bool,
) -> Result<(SocketAddr, Sockets), (SocketAddr, io::Error)> {
    let address = SocketAddr::new(wanted.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), port);
    match sockets_at(address, workers, ours) {
        // A host without IPv6.
        Err(_) if wanted.is_none() => {
            let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
            sockets_at(address, workers, ours)
                .map(|sockets| (address, sockets))
                .map_err(|error| (address, error))
        }
        done => done.map(|sockets| (address, sockets)).map_err(|error| (address, error)),
    }
}

fn sockets_at(address: SocketAddr, workers: usize, ours: bool) -> io::Result<Sockets> {
    if !ours {
        // Alone first: SO_REUSEPORT would share the port with another program without a word.
        drop(socket_at(address, false)?);
    }
    (0..workers.max(1)).map(|_| socket_at(address, true).map(|socket| Mutex::new(Some(socket)))).collect()
}

fn socket_at(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
        // Accepted connections inherit it.
        socket.set_tcp_nodelay(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}
