//! Asking once, as a client does who has never been here: name, connection, question, answer. Or, half of the time and if it is wished, as
//! one who has kept his connection since he last asked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::local::has_way_to;
use crate::outcome::{Asked, Failure, Outcome, Way, of_io};
use crate::{Roots, Scheme, Target, http, postgres};

/// Addresses of a name that are tried, one after the other.
const ADDRESSES: usize = 8;
/// Redirects that are followed, one after the other.
const REDIRECTS: u64 = 5;

/// What is a good answer, and by when.
#[derive(Debug, Clone)]
pub struct Rules {
    /// For all of it, the name and every redirect included.
    pub timeout: Duration,
    pub statuses: Vec<RangeInclusive<u16>>,
    /// What the answer must contain.
    pub text: Option<String>,
    /// Whether a redirect is followed, or is the answer.
    pub follow: bool,
    /// Whether every second question goes over a connection that is kept.
    pub keep_alive: bool,
}

/// Who asks one target.
#[derive(Debug)]
pub struct Asker {
    target: Target,
    rules: Rules,
    roots: Option<Roots>,
    asked: AtomicU64,
    /// What a client who keeps his connection has of it while he does not ask. Who asks takes it out.
    kept: Mutex<Option<Kept>>,
}

/// A connection that can be asked again, and whose it is.
#[derive(Debug)]
struct Kept {
    address: IpAddr,
    line: Line,
}

#[derive(Debug)]
enum Line {
    Http(http::Line),
    Postgres(postgres::Line),
}

impl Line {
    fn is_open(&self) -> bool {
        match self {
            Self::Http(line) => line.is_open(),
            Self::Postgres(line) => line.is_open(),
        }
    }
}

/// How asking over a line ended.
pub(crate) enum Ended {
    /// As it should, or not, but it was answered.
    Answered(Result<(), Outcome>),
    /// It is to be asked elsewhere, and where; and what the answer is for those who don't.
    Elsewhere(Option<String>, Result<(), Outcome>),
    /// Nothing was answered, and the line is there no more.
    Unanswered(Outcome),
}

/// A task that ends with whoever started it.
#[derive(Debug)]
pub(crate) struct Driver(pub(crate) JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What was tried on the way to an answer.
#[derive(Default)]
struct Trail {
    tried: Vec<(IpAddr, bool)>,
    way: Way,
}

impl Asker {
    /// `roots`: needed for HTTPS, and for PostgreSQL whose certificate is to be checked.
    pub fn new(target: Target, rules: Rules, roots: Option<Roots>) -> Self {
        Self { target, rules, roots, asked: AtomicU64::new(0), kept: Mutex::new(None) }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) async fn ask(&self, due: Instant) -> Asked {
        let deadline = Instant::now() + self.rules.timeout;
        let mut trail = Trail::default();
        let turn = self.asked.fetch_add(1, Ordering::Relaxed);
        trail.way.kept = self.rules.keep_alive && self.target.can_be_kept() && turn % 2 == 1;
        let answered = match trail.way.kept {
            true => self.ask_again(deadline, &mut trail).await,
            false => self.ask_anew(deadline, &mut trail, false).await,
        };
        let Trail { tried, way } = trail;
        let outcome = match answered {
            Ok(()) => Outcome::Good,
            Err(outcome) => blame(outcome, tried.last().map(|(address, _)| *address)),
        };
        Asked { took: due.elapsed(), tried, outcome, way }
    }

    /// Over the connection that was kept; over a new one, kept from now on, if it has ended.
    async fn ask_again(&self, deadline: Instant, trail: &mut Trail) -> Result<(), Outcome> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut kept) = kept.filter(|kept| kept.line.is_open()) {
            trail.tried.push((kept.address, true));
            match in_time(deadline, Failure::Timeout, self.over(&mut kept.line, true)).await? {
                // What a client of HTTP does by itself (RFC 9112, 9.3.1), and one of a database does not.
                Ended::Unanswered(_) if matches!(kept.line, Line::Http(_)) => drop(trail.tried.pop()),
                ended => return self.conclude(ended, Some(kept), deadline, trail).await,
            }
        }
        trail.way.opened = true;
        self.ask_anew(deadline, trail, true).await
    }

    /// By a new connection; it is kept if it is wished.
    async fn ask_anew(&self, deadline: Instant, trail: &mut Trail, keep: bool) -> Result<(), Outcome> {
        let stream = connect(&self.target, deadline, trail).await?;
        let opened = async {
            match &self.target.scheme {
                Scheme::Tcp => Ok(None),
                Scheme::Http { .. } => self.open_http(&self.target, stream).await.map(Line::Http).map(Some),
                Scheme::Postgres(session) => {
                    let opened =
                        postgres::Line::open(&self.target.host, session, self.roots.as_ref(), stream);
                    opened.await.map(Line::Postgres).map(Some)
                }
            }
        };
        let Some(mut line) = in_time(deadline, Failure::Timeout, opened).await?? else { return Ok(()) };
        let ended = in_time(deadline, Failure::Timeout, self.over(&mut line, keep)).await?;
        let address = trail.tried.last().map(|(address, _)| *address);
        let kept = address.filter(|_| keep).map(|address| Kept { address, line });
        self.conclude(ended, kept, deadline, trail).await
    }

    async fn over(&self, line: &mut Line, keep: bool) -> Ended {
        match line {
            Line::Http(line) => line.ask(&self.target, &self.rules, keep).await,
            Line::Postgres(line) => line.ask().await,
        }
    }

    async fn conclude(
        &self,
        ended: Ended,
        kept: Option<Kept>,
        deadline: Instant,
        trail: &mut Trail,
    ) -> Result<(), Outcome> {
        if let Some(kept) = kept.filter(|kept| kept.line.is_open()) {
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        }
        match ended {
            Ended::Answered(answer) => answer,
            Ended::Unanswered(outcome) => Err(outcome),
            Ended::Elsewhere(to, answer) => {
                trail.way.redirects += 1;
                if self.rules.follow { self.follow(to, deadline, trail).await } else { answer }
            }
        }
    }

    /// Each redirect is asked by a new connection.
    async fn follow(
        &self,
        mut to: Option<String>,
        deadline: Instant,
        trail: &mut Trail,
    ) -> Result<(), Outcome> {
        let mut at = self.target.clone();
        while trail.way.redirects <= REDIRECTS {
            let place = to.ok_or_else(|| Outcome::failed(Failure::Redirect, "it does not say where to"))?;
            at = at.join(&place).map_err(|why| {
                Outcome::failed(Failure::Redirect, format!("{}: {why}", without_query(&place)))
            })?;
            let stream = connect(&at, deadline, trail).await?;
            let asked = async {
                let mut line = self.open_http(&at, stream).await?;
                Ok(line.ask(&at, &self.rules, false).await)
            };
            match in_time(deadline, Failure::Timeout, asked).await?? {
                Ended::Answered(answer) => return answer,
                Ended::Unanswered(outcome) => return Err(outcome),
                Ended::Elsewhere(next, _) => {
                    trail.way.redirects += 1;
                    to = next;
                }
            }
        }
        let last = without_query(&at.name);
        Err(Outcome::failed(Failure::Redirect, format!("more than {REDIRECTS}, the last to {last}")))
    }

    async fn open_http(&self, target: &Target, stream: TcpStream) -> Result<http::Line, Outcome> {
        if !target.is_secure() {
            return http::Line::open(stream).await;
        }
        let Some(roots) = &self.roots else {
            return Err(Outcome::unknown("there is no list of authorities to trust"));
        };
        http::Line::open(handshake(&roots.connector(), &target.host, stream).await?).await
    }
}

/// What a redirect asks may be a secret, and reports are kept.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// Each address gets its share of the time that is left.
async fn connect(target: &Target, deadline: Instant, trail: &mut Trail) -> Result<TcpStream, Outcome> {
    let addresses = addresses(target, deadline).await?;
    let mut last = Outcome::failed(Failure::Dns, format!("{} has no address", target.host));
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
        let connected =
            in_time(Instant::now() + share, Failure::ConnectTimeout, TcpStream::connect(address)).await;
        last = match connected
            .map(|connected| connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream)))
        {
            Ok(Ok(stream)) => {
                trail.tried.push((address.ip(), true));
                return Ok(stream);
            }
            Ok(Err(error)) => of_io(&error),
            Err(outcome) => outcome,
        };
        trail.tried.push((address.ip(), false));
        if matches!(last, Outcome::Unknown(_)) {
            break;
        }
    }
    Err(last)
}

pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    connector: &TlsConnector,
    host: &str,
    stream: S,
) -> Result<TlsStream<S>, Outcome> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| Outcome::unknown(format!("{host}: {error}")))?;
    connector.connect(name, stream).await.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Outcome::failed(Failure::Tls, error),
        _ => of_io(&error),
    })
}

/// Looked up anew each time, as far as the machine's resolver does.
async fn addresses(target: &Target, deadline: Instant) -> Result<Vec<SocketAddr>, Outcome> {
    let host = target.host.as_str();
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, target.port)]);
    }
    let looked_up = in_time(deadline, Failure::Dns, tokio::net::lookup_host((host, target.port))).await?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in looked_up.map_err(|error| Outcome::failed(Failure::Dns, error))? {
        if !addresses.contains(&address) && addresses.len() < ADDRESSES {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

pub(crate) async fn in_time<T>(
    deadline: Instant,
    failure: Failure,
    what: impl Future<Output = T>,
) -> Result<T, Outcome> {
    timeout_at(deadline, what).await.map_err(|_| Outcome::failed(failure, "not in time"))
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
