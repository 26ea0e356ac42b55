//! Asking once, as a client does who has never been here: name, connection, question, answer.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::pki_types::ServerName;

use crate::local::has_way_to;
use crate::outcome::{Asked, Failure, Outcome, of_io};
use crate::{Roots, Scheme, Target};

/// Addresses of a name that are tried, one after the other.
const ADDRESSES: usize = 8;
/// As much of an answer is looked through for a text.
const LOOKED_THROUGH: usize = 1 << 20;
/// More of an answer is not waited for: it is one by then.
const ENOUGH: usize = 64 << 20;

/// What is a good answer, and by when.
#[derive(Debug, Clone)]
pub struct Rules {
    /// For all of it, the name included.
    pub timeout: Duration,
    pub statuses: Vec<RangeInclusive<u16>>,
    /// What the answer must contain.
    pub text: Option<String>,
}

/// Who asks one target.
#[derive(Debug)]
pub struct Asker {
    target: Target,
    rules: Rules,
    roots: Option<Roots>,
}

/// A task that ends with whoever started it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Asker {
    /// `roots`: needed for HTTPS.
    pub fn new(target: Target, rules: Rules, roots: Option<Roots>) -> Self {
        Self { target, rules, roots }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) async fn ask(&self, due: Instant) -> Asked {
        let deadline = Instant::now() + self.rules.timeout;
        let mut tried = Vec::new();
        let outcome = match self.try_to(deadline, &mut tried).await {
            Ok(()) => Outcome::Good,
            Err(outcome) => blame(outcome, tried.last().map(|(address, _)| *address)),
        };
        Asked { took: due.elapsed(), tried, outcome }
    }

    async fn try_to(&self, deadline: Instant, tried: &mut Vec<(IpAddr, bool)>) -> Result<(), Outcome> {
        let stream = self.connect(deadline, tried).await?;
        match &self.target.scheme {
            Scheme::Tcp => Ok(()),
            Scheme::Http { tls: false, path } => {
                in_time(deadline, Failure::Timeout, self.get(stream, path)).await?
            }
            Scheme::Http { tls: true, path } => {
                let stream = in_time(deadline, Failure::Timeout, self.secure(stream)).await??;
                in_time(deadline, Failure::Timeout, self.get(stream, path)).await?
            }
            Scheme::Postgres { user, password, database } => {
                let mut config = tokio_postgres::Config::new();
                config.user(user).dbname(database).application_name("nines-probe");
                if let Some(password) = password {
                    config.password(password);
                }
                in_time(deadline, Failure::Timeout, select_one(&config, stream)).await?
            }
        }
    }

    /// Each address gets its share of the time that is left.
    async fn connect(
        &self,
        deadline: Instant,
        tried: &mut Vec<(IpAddr, bool)>,
    ) -> Result<TcpStream, Outcome> {
        let addresses = self.addresses(deadline).await?;
        let mut last = Outcome::failed(Failure::Dns, format!("{} has no address", self.target.host));
        for (index, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
            let connected =
                in_time(Instant::now() + share, Failure::ConnectTimeout, TcpStream::connect(address)).await;
            last = match connected
                .map(|connected| connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream)))
            {
                Ok(Ok(stream)) => {
                    tried.push((address.ip(), true));
                    return Ok(stream);
                }
                Ok(Err(error)) => of_io(&error),
                Err(outcome) => outcome,
            };
            tried.push((address.ip(), false));
            if matches!(last, Outcome::Unknown(_)) {
                break;
            }
        }
        Err(last)
    }

    /// Looked up anew each time, as far as the machine's resolver does.
    async fn addresses(&self, deadline: Instant) -> Result<Vec<SocketAddr>, Outcome> {
        let host = self.target.host.as_str();
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.target.port)]);
        }
        let looked_up =
            in_time(deadline, Failure::Dns, tokio::net::lookup_host((host, self.target.port))).await?;
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in looked_up.map_err(|error| Outcome::failed(Failure::Dns, error))? {
            if !addresses.contains(&address) && addresses.len() < ADDRESSES {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    async fn secure(
        &self,
        stream: TcpStream,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static, Outcome> {
        let Some(roots) = &self.roots else {
            return Err(Outcome::Unknown("there is no list of authorities to trust".to_owned()));
        };
        let name = ServerName::try_from(self.target.host.clone())
            .map_err(|error| Outcome::Unknown(format!("{}: {error}", self.target.host)))?;
        roots.connector().connect(name, stream).await.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Outcome::failed(Failure::Tls, error),
            _ => of_io(&error),
        })
    }

    async fn get(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        path: &str,
    ) -> Result<(), Outcome> {
        let uri: Uri = path.parse().map_err(|error| Outcome::Unknown(format!("{path}: {error}")))?;
        let request = Request::get(uri)
            .header(HOST, self.target.authority())
            .header(USER_AGENT, concat!("nines-probe/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| Outcome::Unknown(error.to_string()))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| of_http(&error))?;
        let _driver = Driver(tokio::spawn(async move { drop(connection.await) }));
        let reply = sender.send_request(request).await.map_err(|error| of_http(&error))?;
        let status = reply.status().as_u16();
        let cause =
            reply.headers().get("nines-cause").and_then(|cause| cause.to_str().ok()).unwrap_or("").to_owned();
        let (mut body, mut text, mut length) = (reply.into_body(), Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| of_http(&error))?;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            length += data.len();
            if self.rules.text.is_some() {
                text.extend_from_slice(&data[..data.len().min(LOOKED_THROUGH - text.len())]);
            }
            if length > ENOUGH {
                break;
            }
        }
        if !self.rules.statuses.iter().any(|range| range.contains(&status)) {
            return Err(Outcome::failed(Failure::Status(status), cause));
        }
        match &self.rules.text {
            Some(wanted) if !contains(&text, wanted.as_bytes()) => {
                Err(Outcome::failed(Failure::Text, format!("`{wanted}` is not in the answer")))
            }
            _ => Ok(()),
        }
    }
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || text.windows(wanted.len()).any(|part| part == wanted)
}

async fn in_time<T>(
    deadline: Instant,
    failure: Failure,
    what: impl Future<Output = T>,
) -> Result<T, Outcome> {
    timeout_at(deadline, what).await.map_err(|_| Outcome::failed(failure, "not in time"))
}

async fn select_one(config: &tokio_postgres::Config, stream: TcpStream) -> Result<(), Outcome> {
    let said = |error: &tokio_postgres::Error| match (error.as_db_error(), error.source()) {
        (Some(no), _) => {
            Outcome::failed(Failure::Database, format!("{}: {}", no.code().code(), no.message()))
        }
        (None, Some(source)) if source.is::<io::Error>() => source
            .downcast_ref::<io::Error>()
            .map_or_else(|| Outcome::failed(Failure::BadReply, error), of_io),
        (None, _) if error.is_closed() => Outcome::failed(Failure::Reset, error),
        (None, _) => Outcome::failed(Failure::BadReply, error),
    };
    let (client, connection) =
        config.connect_raw(stream, tokio_postgres::NoTls).await.map_err(|error| said(&error))?;
    let _driver = Driver(tokio::spawn(async move { drop(connection.await) }));
    client.simple_query("SELECT 1").await.map_err(|error| said(&error))?;
    Ok(())
}

fn of_http(error: &hyper::Error) -> Outcome {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        Some(io) => of_io(io),
        None if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
            Outcome::failed(Failure::Reset, error)
        }
        None => Outcome::failed(Failure::BadReply, error),
    }
}

/// A machine without a network can't tell whether the service would have answered.
fn blame(outcome: Outcome, address: Option<IpAddr>) -> Outcome {
    match outcome {
        Outcome::Failed(
            Failure::Dns | Failure::Unreachable | Failure::ConnectTimeout | Failure::Timeout,
            _,
        ) if !has_way_to(address) => Outcome::Unknown("this machine has no network".to_owned()),
        outcome => outcome,
    }
}
