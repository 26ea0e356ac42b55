//! One request and its answer, as a client makes and judges them.

use std::error::Error;
use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::Target;
use crate::plan::Manner;
use crate::record::Failure;

/// PROXY protocol v1 for "whoever connects": the receiver goes by the connection's own address.
pub(crate) const PROXY_UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";

/// A cause that the other side gives is kept up to here.
const CAUSE_CHARS: usize = 60;

type Failed = (Failure, Option<String>);

/// What is said at one target.
pub(super) struct Exchange {
    target: Target,
    timeout: Duration,
    uri: Uri,
    host: HeaderValue,
}

/// A connection to a target, closed when dropped.
pub(super) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

impl Connection {
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Exchange {
    pub(super) fn new(target: Target, timeout: Duration) -> Self {
        let (host, path) = match &target.manner {
            Manner::Get { host, path } => (host.as_str(), path.as_str()),
            Manner::OpenAndClose => ("", "/"),
        };
        let uri = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
        let host = HeaderValue::from_str(host).unwrap_or_else(|_| HeaderValue::from_static("rehearsal"));
        Self { uri, host, target, timeout }
    }

    /// Good: gives the connection back if it is to be kept and may be.
    pub(super) async fn run(
        &self,
        kept: Option<Connection>,
        keep: bool,
    ) -> Result<Option<Connection>, Failed> {
        let deadline = Instant::now() + self.timeout;
        match self.target.manner {
            Manner::Get { .. } => {
                let connection = match kept {
                    Some(connection) => connection,
                    None => connect_http(self.connect(deadline).await?).await?,
                };
                let exchange = timeout_at(deadline, self.get(connection, keep));
                exchange.await.map_err(|_| (Failure::Timeout, None))?
            }
            Manner::OpenAndClose => {
                let stream = self.connect(deadline).await?;
                let exchange = timeout_at(deadline, open_and_close(stream));
                exchange.await.map_err(|_| (Failure::Timeout, None))?.map(|()| None)
            }
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<TcpStream, Failed> {
        let connect = async {
            let mut stream = TcpStream::connect(self.target.address).await?;
            stream.set_nodelay(true)?;
            if self.target.proxy_header {
                stream.write_all(PROXY_UNKNOWN).await?;
            }
            Ok(stream)
        };
        let connected = timeout_at(deadline, connect).await.map_err(|_| (Failure::ConnectTimeout, None))?;
        connected.map_err(|error: io::Error| (of_io(&error), Some(error.to_string())))
    }

    async fn get(&self, mut connection: Connection, keep: bool) -> Result<Option<Connection>, Failed> {
        let mut request = Request::get(self.uri.clone())
            .header(HOST, &self.host)
            .header(USER_AGENT, HeaderValue::from_static("nines-rehearsal"));
        if !keep {
            request = request.header(CONNECTION, HeaderValue::from_static("close"));
        }
        let request = request.body(Empty::new()).map_err(|e| (Failure::Local, Some(e.to_string())))?;
        connection.sender.ready().await.map_err(|error| of_http(&error))?;
        let reply = connection.sender.send_request(request).await.map_err(|error| of_http(&error))?;

        let status = reply.status();
        let cause = reply.headers().get("nines-cause").and_then(|cause| cause.to_str().ok());
        let cause = cause.map(|cause| cause.chars().take(CAUSE_CHARS).collect());
        let mut body = reply.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(|error| of_http(&error))?;
        }
        if status.is_server_error() || cause.is_some() {
            return Err((Failure::Status(status.as_u16()), cause));
        }
        Ok((keep && connection.is_open()).then_some(connection))
    }
}

async fn connect_http(stream: TcpStream) -> Result<Connection, Failed> {
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| of_http(&error))?;
    // What goes wrong on the connection is told to the request that is on it.
    let driver = tokio::spawn(async move { drop(connection.await) });
    Ok(Connection { sender, driver })
}

async fn open_and_close(mut stream: TcpStream) -> Result<(), Failed> {
    let exchange = async {
        stream.shutdown().await?;
        let mut heard = [0; 4096];
        while stream.read(&mut heard).await? > 0 {}
        Ok(())
    };
    exchange.await.map_err(|error: io::Error| (of_io(&error), Some(error.to_string())))
}

fn of_http(error: &hyper::Error) -> Failed {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let failure = match io {
        Some(io) => of_io(io),
        None if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => Failure::Reset,
        None => Failure::BadReply,
    };
    (failure, Some(error.to_string()))
}

pub(crate) fn of_io(error: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused | Kind::HostUnreachable | Kind::NetworkUnreachable => Failure::Refused,
        Kind::TimedOut => Failure::Timeout,
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::NotConnected
        | Kind::UnexpectedEof => Failure::Reset,
        _ => Failure::Local,
    }
}
