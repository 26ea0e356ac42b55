//! One connection, from its first byte to its end.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::path::Path;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::clock;
use super::exchange::Exchange;
use super::guarded::{Face, Guarded};
use super::permit::Right;
use super::questions;
use super::refusal::{Fatal, Refused};
use super::relay::{Ended, Relay};
use super::shared::{Engine, Tls};
use super::startup::{self, Packet, Replication, Start};
use super::wire::{self, Stop};
use super::worker::{Kind, Place, Port, Worker};

/// For a client to say what it wants, TLS included.
const STARTUP: Duration = Duration::from_secs(10);
/// For PostgreSQL to take a connection.
const CONNECT: Duration = Duration::from_secs(5);
const CONNECT_PAUSE: Duration = Duration::from_millis(5);
/// For a client to take the last words, and to end its side.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Packets before the one that counts: a refused GSS encryption and TLS.
const PREFACES: usize = 3;
/// How TLS begins, which no length of a packet does.
const TLS_HANDSHAKE: u8 = 0x16;

pub(crate) async fn serve(worker: Rc<Worker>, port: Port, stream: TcpStream, _open: Place) {
    let session = Session { worker: worker.clone(), port };
    session.begin(Guarded::new(stream, worker)).await;
}

struct Session {
    worker: Rc<Worker>,
    port: Port,
}

/// What a client turns out to want.
enum Hello {
    Start {
        packet: Vec<u8>,
        start: Start,
    },
    Cancel(Vec<u8>),
    Question(Vec<u8>),
    /// It was told to go on.
    Tls,
    /// TLS that is PostgreSQL's, which is given these bytes first.
    PassThrough(Vec<u8>),
}

impl Session {
    async fn begin(&self, mut stream: Guarded) {
        let deadline = Instant::now() + STARTUP;
        let hello = within(deadline, self.greet(&mut stream)).await;
        let outcome = match (hello, &self.worker.shared.tls) {
            (Ok(Hello::Tls), Tls::Terminate(certificate)) => {
                match timeout_at(deadline, certificate.acceptor().accept(stream)).await {
                    Ok(Ok(mut stream)) => {
                        let hello = within(deadline, self.hello(&mut stream, true)).await;
                        self.go_on(&mut stream, hello).await;
                    }
                    Ok(Err(_)) => {}
                    Err(_) => self.worker.counts().refuse(Refused::Silent),
                }
                return;
            }
            (Ok(Hello::PassThrough(first)), _) => self.pass_through(&mut stream, first).await,
            (hello, _) => return self.go_on(&mut stream, hello).await,
        };
        self.end(&mut stream, outcome).await;
    }

    /// The first packet of what is not encrypted yet.
    async fn greet(&self, stream: &mut Guarded) -> Result<Hello, Stop> {
        if !matches!(self.worker.shared.tls, Tls::Off) {
            let mut first = [0];
            stream.peek(&mut first).await?;
            if first == [TLS_HANDSHAKE] {
                return Ok(match self.worker.shared.tls {
                    Tls::PassThrough => Hello::PassThrough(Vec::new()),
                    _ => Hello::Tls,
                });
            }
        }
        self.hello(stream, false).await
    }

    async fn hello<S: Face>(&self, stream: &mut S, encrypted: bool) -> Result<Hello, Stop> {
        for _ in 0..PREFACES {
            let body = wire::packet(stream).await?;
            let answer = match startup::parse(&body)? {
                Packet::Start(start) => return Ok(Hello::Start { packet: wire::whole(&body), start }),
                Packet::Cancel => return Ok(Hello::Cancel(wire::whole(&body))),
                Packet::Question(_) => return Ok(Hello::Question(body)),
                Packet::Ssl if encrypted => return Err(Stop::malformed("TLS within TLS")),
                Packet::Ssl => match self.worker.shared.tls {
                    Tls::PassThrough => return Ok(Hello::PassThrough(wire::whole(&body))),
                    Tls::Terminate(_) => b"S",
                    Tls::Off => b"N",
                },
                Packet::Gss => b"N",
            };
            stream.write_all(answer).await?;
            if answer == b"S" {
                return Ok(Hello::Tls);
            }
        }
        Err(Stop::malformed("it asks for encryption again and again"))
    }

    async fn go_on<S: Face>(&self, stream: &mut S, hello: Result<Hello, Stop>) {
        let outcome = match hello {
            Ok(Hello::Start { packet, start }) => self.start(stream, &packet, &start).await,
            Ok(Hello::Cancel(packet)) => self.cancel(&packet).await,
            Ok(Hello::Question(packet)) => questions::answer(&self.worker, stream, packet).await,
            Ok(Hello::Tls | Hello::PassThrough(_)) => Err(Stop::Gone),
            Err(stop) => Err(stop),
        };
        self.end(stream, outcome).await;
    }

    /// Last words, if there are any.
    async fn end<S: Face>(&self, stream: &mut S, outcome: Result<(), Stop>) {
        let last_words = match outcome {
            Ok(()) | Err(Stop::Gone) => Vec::new(),
            Err(Stop::Silent) => {
                self.worker.counts().refuse(Refused::Silent);
                return;
            }
            Err(Stop::Refused(why, fatal)) => {
                self.worker.counts().refuse(why);
                fatal.bytes()
            }
        };
        farewell(stream, &last_words).await;
    }

    async fn start<S: Face>(&self, stream: &mut S, packet: &[u8], start: &Start) -> Result<(), Stop> {
        let shared = &self.worker.shared;
        if shared.settings.withheld.contains(&start.user) {
            return Err(Stop::Refused(Refused::Withheld, Fatal::withheld(&start.user)));
        }
        let of_nines = start.replication == Replication::Physical
            || (start.replication == Replication::No && start.user == shared.settings.replication_user);
        let (right, _place) = match start.term.filter(|_| of_nines) {
            Some(term) => {
                let right = shared.permits.replication(term);
                if !shared.permits.passes(right, clock::now()) {
                    let fatal = Fatal::not_replicated(term, shared.permits.replicates());
                    return Err(Stop::Refused(Refused::Shut, fatal));
                }
                (right, self.place(Kind::Replica)?)
            }
            None => {
                let place = self.place(Kind::Client)?;
                (self.admitted().await?, place)
            }
        };
        let (_, mut server) = self.connect().await?;
        server.write_all(packet).await.map_err(|error| unreachable(&error))?;
        let replica = matches!(right, Right::Replication { .. });
        let exchange = (!replica && start.replication == Replication::No).then(Exchange::default);
        self.relay(stream, server, right, exchange).await;
        Ok(())
    }

    async fn pass_through(&self, stream: &mut Guarded, first: Vec<u8>) -> Result<(), Stop> {
        let _place = self.place(Kind::Client)?;
        let right = self.admitted().await?;
        let port = self.engine()?.tls_port.ok_or_else(|| unreachable(&"it does not listen for TLS"))?;
        let server = timeout(CONNECT, TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await;
        let mut server =
            server.map_err(|_| unreachable(&"it does not answer"))?.map_err(|error| unreachable(&error))?;
        server.set_nodelay(true)?;
        server.write_all(&first).await.map_err(|error| unreachable(&error))?;
        self.relay(stream, server, right, None).await;
        Ok(())
    }

    fn place(&self, kind: Kind) -> Result<Place, Stop> {
        let limit = self.worker.shared.settings.connections;
        Place::take(&self.worker, kind).ok_or_else(|| Stop::Refused(Refused::TooMany, Fatal::too_many(limit)))
    }

    /// Waits for the end of a hold.
    async fn admitted(&self) -> Result<Right, Stop> {
        let permits = &self.worker.shared.permits;
        let rope = self.worker.bell.rope();
        let reads_too = self.port == Port::Reads;
        let right = poll_fn(|cx| {
            rope.hold(cx.waker());
            let now = clock::now();
            // Taken first: a gate that shuts meanwhile is seen by the second look.
            let right = permits.right(reads_too);
            if !permits.passes(right, now) {
                return Poll::Ready(None);
            }
            let waits = permits.is_held() && permits.main.is_open(now);
            if waits { Poll::Pending } else { Poll::Ready(Some(right)) }
        });
        right
            .await
            .ok_or_else(|| Stop::Refused(Refused::Shut, Fatal::shut(&self.worker.shared.why(self.port))))
    }

    fn engine(&self) -> Result<Engine, Stop> {
        self.worker.shared.told().engine.clone().ok_or_else(|| unreachable(&"it does not run"))
    }

    async fn connect(&self) -> Result<(Engine, UnixStream), Stop> {
        let engine = self.engine()?;
        match timeout(CONNECT, unix(&engine.socket)).await {
            Ok(Ok(stream)) => Ok((engine, stream)),
            Ok(Err(error)) => Err(unreachable(&error)),
            Err(_) => Err(unreachable(&"it does not answer")),
        }
    }

    /// To whatever instance this is: only who has the key can cancel.
    async fn cancel(&self, packet: &[u8]) -> Result<(), Stop> {
        self.worker.counts().cancels.add(1);
        let (_, mut server) = self.connect().await.map_err(|_| Stop::Gone)?;
        server.write_all(packet).await?;
        // PostgreSQL ends it when it is done; libpq waits for that.
        let _ = timeout(CONNECT, server.read(&mut [0])).await;
        Ok(())
    }

    async fn relay<C: Face, S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        client: &mut C,
        mut server: S,
        right: Right,
        exchange: Option<Exchange>,
    ) {
        let rope = self.worker.bell.rope();
        let mut relay = Relay::new(client, &mut server, self.worker.clone(), right, exchange);
        let ended = poll_fn(|cx| {
            rope.hold(cx.waker());
            relay.poll(cx)
        })
        .await;
        let clean = relay.is_clean();
        drop(relay);
        drop(server);
        let counts = self.worker.counts();
        let fatal = match ended {
            Ended::Cut => {
                if !matches!(right, Right::Replication { .. }) {
                    counts.closed.add(1);
                }
                clean.then(|| Fatal::cut(&self.worker.shared.why(self.port)))
            }
            Ended::Unconfirmed => {
                counts.unconfirmed.add(1);
                clean.then(Fatal::unconfirmed)
            }
            Ended::Malformed => clean.then(|| Fatal::malformed("invalid frontend message")),
            Ended::Finished | Ended::ClientGone | Ended::ServerGone => None,
        };
        // What TLS still has may be the server's, and the time for that may be over.
        if !client.is_behind() {
            client.guarded().guard(None);
            farewell(client, &fatal.map(|fatal| fatal.bytes()).unwrap_or_default()).await;
        }
    }
}

async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    timeout_at(deadline, work).await.unwrap_or(Err(Stop::Silent))
}

fn unreachable(why: &dyn std::fmt::Display) -> Stop {
    Stop::Refused(Refused::Unreachable, Fatal::unreachable(&why.to_string()))
}

async fn unix(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            // PostgreSQL has as many waiting as it takes.
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(CONNECT_PAUSE).await,
            outcome => return outcome,
        }
    }
}

/// Says the last words and ends; then waits for the client to end too, since what it sent and nobody read would make the kernel
/// throw away what it has not got yet.
async fn farewell<S: Face>(stream: &mut S, last_words: &[u8]) {
    let all = async {
        stream.write_all(last_words).await?;
        stream.flush().await?;
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(LAST_WORDS, all).await;
}
