//! What can be wrong with starting, or with a new file.

use std::io;
use std::net::SocketAddr;

/// Why the data plane can't start, or can't take a new file.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("listener {listener} can't bind {address}: {error}{}", advice(error))]
    Bind { listener: String, address: SocketAddr, error: io::Error },
    #[error("worker {worker} can't start: {error}")]
    Worker { worker: usize, error: io::Error },
    #[error("the access log {path} can't be opened: {error}")]
    AccessLog { path: String, error: io::Error },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (another program serves there: stop it, or choose another port)",
        io::ErrorKind::PermissionDenied => " (ports below 1024 need root or CAP_NET_BIND_SERVICE)",
        io::ErrorKind::AddrNotAvailable => " (no interface of this host has that address)",
        _ => "",
    }
}
