//! Clients that go on and on: some keep their connection, some make a new one for each request.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::world::PATIENCE;

/// One reply: its status, whether the connection ends with it, and its body.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) close: bool,
    pub(crate) body: String,
}

pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn send(&mut self, path: &str) -> io::Result<()> {
        write!(self.0.get_mut(), "GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n")
    }

    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let ended = || io::Error::new(io::ErrorKind::UnexpectedEof, "closed without a reply");
        let status = line.get(9..12).and_then(|code| code.parse().ok()).ok_or_else(ended)?;
        let (mut close, mut length) = (false, 0);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            match line.split_once(": ") {
                None if line.is_empty() => break,
                Some(("content-length", bytes)) => length = bytes.parse().map_err(io::Error::other)?,
                Some(("connection", "close")) => close = true,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Reply { status, close, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

pub(crate) fn get(port: u16, path: &str) -> io::Result<Reply> {
    let mut connection = Connection::open(port)?;
    connection.send(path)?;
    connection.reply()
}

/// What the clients saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answered: u64,
    /// Connects that were refused: no request was lost by that.
    pub(crate) refused: u64,
    /// Requests without a good reply, and why.
    pub(crate) failed: Vec<String>,
}

pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Seen>>,
}

impl Load {
    pub(crate) fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..8)
            .map(|n| {
                let stop = stop.clone();
                std::thread::spawn(move || client(port, n % 2 == 0, &stop))
            })
            .collect();
        Self { stop, clients }
    }

    pub(crate) fn stop(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.clients.drain(..).map(|client| client.join().unwrap());
        seen.fold(Seen::default(), |mut all, one| {
            all.answered += one.answered;
            all.refused += one.refused;
            all.failed.extend(one.failed);
            all
        })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn client(port: u16, keep: bool, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut kept: Option<Connection> = None;
    while !stop.load(Ordering::Relaxed) {
        let reused = kept.is_some();
        let mut connection = match kept.take().map_or_else(|| Connection::open(port), Ok) {
            Ok(connection) => connection,
            Err(_) => {
                seen.refused += 1;
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
        };
        match connection.send("/").and_then(|()| connection.reply()) {
            Ok(reply) if reply.status == 200 => {
                seen.answered += 1;
                kept = Some(connection).filter(|_| keep && !reply.close);
            }
            Ok(reply) => seen.failed.push(format!("status {}: {}", reply.status, reply.body)),
            Err(error) => seen.failed.push(format!("{error}, reused: {reused}")),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    seen
}
