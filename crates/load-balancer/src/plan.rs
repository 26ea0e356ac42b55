//! What the workers are to do: published whole, followed by each worker by itself.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use nines_control::view::View;
use nines_system::{HostId, Listener, LoadBalancer, LoadBalancerId, System};
use socket2::Socket;

use crate::bind::{self, Place};
use crate::error::StartError;
use crate::places::Crowd;
use crate::quiet::{Groups, Membership};

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
    /// Whether it moves from host to host.
    moves: bool,
    /// Those that no worker has taken yet.
    sockets: Arc<[Mutex<Option<Socket>>]>,
    pub(crate) crowd: Arc<Crowd>,
}

impl Bound {
    pub(crate) fn listener<'a>(&self, system: &'a System) -> &'a Listener {
        &system[self.load_balancer].listeners[self.index]
    }

    /// The worker's own socket, now listening; the first call gets it.
    pub(crate) fn listen(
        &self,
        worker: usize,
        groups: &Arc<Groups>,
    ) -> io::Result<Option<(TcpListener, Membership)>> {
        let taken = self
            .sockets
            .get(worker)
            .and_then(|socket| socket.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(socket) = taken else { return Ok(None) };
        groups.listen(Place { address: self.address, moves: self.moves }, socket).map(Some)
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
            let (place, sockets) = match kept {
                Some(kept) => (Place { address: kept.address, moves: kept.moves }, kept.sockets.clone()),
                None => {
                    let ours = present.iter().any(|other| other.address.port() == listener.port);
                    let moves = wanted.is_some_and(|ip| is_virtual(&system[load_balancer], ip));
                    let (place, sockets) =
                        bind::sockets(wanted, listener.port, moves, workers, ours).map_err(
                            |(address, error)| StartError::Bind { listener: name.clone(), address, error },
                        )?;
                    (place, sockets.into_iter().map(|socket| Mutex::new(Some(socket))).collect())
                }
            };
            let Place { address, moves } = place;
            bound.push(Arc::new(Bound { name, load_balancer, index, address, moves, sockets, crowd }));
        }
    }
    Ok(bound.into())
}

fn is_virtual(load_balancer: &LoadBalancer, ip: IpAddr) -> bool {
    load_balancer.virtual_ips.iter().any(|virtual_ip| virtual_ip.addresses.contains(&ip))
}
