//! One host's part of a system.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nines_system::{HostId, LoadBalancer, Mistakes, PoolId, System};

/// A system in which this host has something to do.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) system: Arc<System>,
    pub(crate) host: HostId,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PartError {
    #[error("cannot read {}: {}", .0.display(), .1)]
    Unreadable(PathBuf, io::Error),
    #[error("{}", first_of(.0))]
    Wrong(Mistakes),
    #[error("{path} has no host called {host}{}; it has {}", meant(.host, .known), .known.join(", "))]
    UnknownHost { path: String, host: String, known: Vec<String> },
    #[error("{path} gives host {host} nothing to do: no load balancer and no database names it in its hosts")]
    NothingToDo { path: String, host: String },
}

/// In one line, for status and events; the log has them all.
fn first_of(mistakes: &Mistakes) -> String {
    let Some(first) = mistakes.iter().next() else { return "the file is wrong".to_owned() };
    let (line, _) = mistakes.position(first);
    let others = match mistakes.len() - 1 {
        0 => String::new(),
        1 => ", and one more mistake".to_owned(),
        n => format!(", and {n} more mistakes"),
    };
    format!("line {line}: {}{others}", first.title)
}

fn meant(host: &str, known: &[String]) -> String {
    let nearest = nines_system::nearest(host, known.iter().map(String::as_str));
    nearest.map_or(String::new(), |nearest| format!(" (did you mean {nearest}?)"))
}

impl Part {
    pub(crate) fn read(path: &Path, host: &str) -> Result<Self, PartError> {
        let part = Self::of_any_host(path, host)?;
        if part.load_balancers().next().is_none() && part.system.databases_on(part.host).next().is_none() {
            return Err(PartError::NothingToDo { path: path.display().to_string(), host: host.to_owned() });
        }
        Ok(part)
    }

    /// The same also where there is nothing to do.
    pub(crate) fn of_any_host(path: &Path, host: &str) -> Result<Self, PartError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| PartError::Unreadable(path.to_owned(), error))?;
        let path = path.display().to_string();
        let system = nines_system::parse(&path, &text).map_err(PartError::Wrong)?;
        let Some(id) = system.host_named(host) else {
            let known = system.hosts.iter().map(|host| host.name.clone()).collect();
            return Err(PartError::UnknownHost { path, host: host.to_owned(), known });
        };
        Ok(Self { system: Arc::new(system), host: id })
    }

    pub(crate) fn load_balancers(&self) -> impl Iterator<Item = &LoadBalancer> {
        self.system.load_balancers_on(self.host).map(|id| &self.system[id])
    }

    /// The pools that this host's listeners reach.
    pub(crate) fn pools(&self) -> Vec<PoolId> {
        let listeners = self.load_balancers().flat_map(|balancer| &balancer.listeners);
        let pools: BTreeSet<PoolId> = listeners.flat_map(|listener| listener.protocol.pools()).collect();
        pools.into_iter().collect()
    }

    /// Where the admin API is asked for besides the Unix socket.
    pub(crate) fn admin_addresses(&self) -> BTreeSet<SocketAddr> {
        let of_databases = self.system.databases_on(self.host).filter_map(|id| self.system[id].admin);
        self.load_balancers().filter_map(|balancer| balancer.admin).chain(of_databases).collect()
    }

    /// How long SIGTERM waits for work in flight.
    pub(crate) fn drain(&self) -> Duration {
        self.load_balancers().map(|balancer| balancer.drain).max().unwrap_or_default()
    }

    /// Client connections that the listeners hold at most.
    pub(crate) fn client_connections(&self) -> u64 {
        let listeners = self.load_balancers().flat_map(|balancer| &balancer.listeners);
        listeners.map(|listener| u64::from(listener.connections)).sum()
    }

    /// Worker threads: as many as the file says, else one for each core.
    pub(crate) fn workers(&self) -> usize {
        let asked = self.load_balancers().filter_map(|balancer| balancer.workers).max();
        asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}
