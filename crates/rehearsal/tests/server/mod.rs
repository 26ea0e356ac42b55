//! A loopback server that fails on command, and counts how often it did.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nines_rehearsal::clients::Target;
use nines_rehearsal::plan::Manner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    Answer,
    Unavailable,
    /// As the load balancer says that it had nobody.
    NoMember,
    Reset,
    Garbage,
    /// Half of an answer, then the end.
    Torn,
    Silence,
}

type Decide = Box<dyn FnMut(u64) -> Deed + Send>;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Dropped: the server ends.
    _stop: tokio::sync::oneshot::Sender<()>,
}

struct State {
    decide: Decide,
    requests: u64,
    connections: u64,
    deeds: BTreeMap<Deed, u64>,
    /// Nothing is answered before.
    paused_until: Instant,
    /// The PROXY header must come first.
    proxy_header: bool,
}

impl Server {
    /// `decide` is asked for each request by its number, from 0.
    pub(crate) fn start(decide: impl FnMut(u64) -> Deed + Send + 'static) -> Self {
        let state = Arc::new(Mutex::new(State {
            decide: Box::new(decide),
            requests: 0,
            connections: 0,
            deeds: BTreeMap::new(),
            paused_until: Instant::now(),
            proxy_header: false,
        }));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, shared) => (),
                    _ = stopped => (),
                }
            });
        });
        Self { address, state, _stop: stop }
    }

    pub(crate) fn target(&self) -> Target {
        let manner = Manner::Get { host: "shop.example".to_owned(), path: "/".to_owned() };
        Target { address: self.address, proxy_header: false, manner }
    }

    pub(crate) fn did(&self, deed: Deed) -> u64 {
        self.state.lock().unwrap().deeds.get(&deed).copied().unwrap_or(0)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.state.lock().unwrap().connections
    }

    pub(crate) fn requests(&self) -> u64 {
        self.state.lock().unwrap().requests
    }

    pub(crate) fn pause(&self, time: Duration) {
        self.state.lock().unwrap().paused_until = Instant::now() + time;
    }

    pub(crate) fn expect_proxy_header(&self) {
        self.state.lock().unwrap().proxy_header = true;
    }

    pub(crate) fn decide(&self, decide: impl FnMut(u64) -> Deed + Send + 'static) {
        self.state.lock().unwrap().decide = Box::new(decide);
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        state.lock().unwrap().connections += 1;
        tokio::spawn(serve(stream, Arc::clone(&state)));
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut buffer = Vec::new();
    if state.lock().unwrap().proxy_header && read_to(&mut stream, &mut buffer, b"\r\n").await.is_none() {
        return;
    }
    while let Some(head) = read_to(&mut stream, &mut buffer, b"\r\n\r\n").await {
        assert!(head.starts_with("GET / HTTP/1.1\r\n") && head.contains("host: shop.example"), "{head}");
        let (deed, paused_until) = {
            let mut state = state.lock().unwrap();
            let number = state.requests;
            state.requests += 1;
            let deed = (state.decide)(number);
            *state.deeds.entry(deed).or_default() += 1;
            (deed, state.paused_until)
        };
        tokio::time::sleep_until(paused_until.into()).await;
        let close = head.contains("connection: close");
        if !act(deed, &mut stream, close).await || close {
            return;
        }
    }
}

/// Whether the connection goes on.
async fn act(deed: Deed, stream: &mut TcpStream, close: bool) -> bool {
    let connection = if close { "close" } else { "keep-alive" };
    let reply = match deed {
        Deed::Answer => {
            format!("HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: {connection}\r\n\r\napp1")
        }
        Deed::Unavailable => {
            format!("HTTP/1.1 503 No\r\ncontent-length: 0\r\nconnection: {connection}\r\n\r\n")
        }
        Deed::NoMember => format!(
            "HTTP/1.1 503 No\r\ncontent-length: 0\r\nnines-cause: no-member\r\nconnection: {connection}\r\n\r\n"
        ),
        Deed::Garbage => "HTTQ/7 what\r\n\r\n".to_owned(),
        Deed::Torn => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\napp1".to_owned(),
        Deed::Reset => {
            stream.set_zero_linger().unwrap();
            return false;
        }
        Deed::Silence => {
            // Until the client has had enough.
            let _ = stream.read(&mut [0; 1]).await;
            return false;
        }
    };
    stream.write_all(reply.as_bytes()).await.is_ok() && !matches!(deed, Deed::Garbage | Deed::Torn)
}

async fn read_to(stream: &mut TcpStream, buffer: &mut Vec<u8>, end: &[u8]) -> Option<String> {
    loop {
        if let Some(at) = buffer.windows(end.len()).position(|window| window == end) {
            let head = buffer.drain(..at + end.len()).collect();
            return Some(String::from_utf8(head).unwrap());
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
