//! The PROXY protocol on our sockets: who the client is when another proxy stands before us, and telling members.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nines_system::ProxyVersion;
use tokio::net::TcpStream;

use crate::front::Front;
use crate::kit::Kit;
use crate::proxy_protocol::{self, Header};
use crate::window::Window;

pub(crate) struct Accepted {
    pub(crate) client: SocketAddr,
    /// What the client sent right after the header.
    pub(crate) window: Option<Window>,
}

/// Reads the header where the listener demands one. `None`: there was none, or it was malformed or late.
pub(crate) async fn accept(
    kit: &Kit,
    front: &Front,
    stream: &TcpStream,
    peer: SocketAddr,
    patience: Duration,
) -> Option<Accepted> {
    if !front.listener().accept_proxy {
        return Some(Accepted { client: peer, window: None });
    }
    let deadline = Instant::now() + patience;
    let read = Box::pin(read(kit, stream, peer));
    let accepted = kit.timers.timeout(|| deadline, read).await.ok().flatten();
    if accepted.is_none() {
        tracing::debug!(%peer, listener = %front.name, "no PROXY header");
    }
    accepted
}

async fn read(kit: &Kit, stream: &TcpStream, peer: SocketAddr) -> Option<Accepted> {
    poll_fn(|cx| stream.poll_read_ready(cx)).await.ok()?;
    let mut window = Window::new(&kit.buffers);
    loop {
        if let Some((length, header)) = proxy_protocol::parse(window.bytes()).ok()? {
            window.consume(length);
            let client = match header {
                Header::Proxied { source, .. } => SocketAddr::new(source.ip().to_canonical(), source.port()),
                Header::Local => peer,
            };
            return Some(Accepted { client, window: Some(window).filter(|window| !window.is_empty()) });
        }
        window.fill(stream).await.ok()?;
    }
}

/// What a connection to a member begins with, so that it learns of `client`.
pub(crate) fn preface(version: Option<ProxyVersion>, client: SocketAddr, stream: &TcpStream) -> Vec<u8> {
    let mut preface = Vec::new();
    // Not asked for where it is not needed: it is a system call.
    if let Some(version) = version
        && let Ok(local) = stream.local_addr()
    {
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        proxy_protocol::write(version, client, local, &mut preface);
    }
    preface
}
