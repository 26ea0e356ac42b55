//! A gate with a made-up server behind it, and clients that speak bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nines_control::failover;
use nines_database::gate::{Engine, Gate, Reads, Settings};
use nines_system::GateTls;
use tempfile::TempDir;

/// For what must come.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// For what must not.
pub(crate) const BRIEFLY: Duration = Duration::from_millis(150);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) struct Stage {
    pub(crate) gate: Gate,
    server: UnixListener,
    socket: PathBuf,
    _directory: TempDir,
}

pub(crate) fn settings() -> Settings {
    Settings {
        name: "orders".to_owned(),
        address: Some(Ipv4Addr::LOCALHOST.into()),
        port: 0,
        read_port: 0,
        workers: Some(2),
        connections: 100,
        tls: GateTls::Off,
        replication_user: "nines_replication".to_owned(),
        withheld: vec!["postgres".to_owned()],
    }
}

pub(crate) fn open_for(time: Duration) -> failover::Gate {
    failover::Gate::Open { until: Instant::now() + time, term: 1 }
}

pub(crate) fn hold() -> failover::Gate {
    failover::Gate::Hold { until: Instant::now() + HOUR }
}

pub(crate) const CLOSE: failover::Gate = failover::Gate::Close { why: "not the primary" };

impl Stage {
    /// Shut, as a gate begins.
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let directory = TempDir::new().unwrap();
        let socket = directory.path().join(".s.PGSQL.5432");
        let server = UnixListener::bind(&socket).unwrap();
        let stage = Self { gate: Gate::open(settings).unwrap(), server, socket, _directory: directory };
        stage.gate.set_engine(Some(stage.engine(None)));
        stage
    }

    pub(crate) fn open() -> Self {
        let stage = Self::new();
        stage.gate.set(&open_for(HOUR));
        stage
    }

    pub(crate) fn engine(&self, replicates: Option<u64>) -> Engine {
        Engine { socket: self.socket.clone(), tls_port: None, replicates }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gate.addresses().0
    }

    pub(crate) fn client(&self) -> Client {
        Client::to(self.address())
    }

    pub(crate) fn reader(&self) -> Client {
        Client::to(self.gate.addresses().1)
    }

    pub(crate) fn allow_reads(&self, time: Duration) {
        self.gate.set_reads(Reads::Allow { until: Instant::now() + time });
    }

    /// The next connection that comes through the gate, with its startup packet read.
    pub(crate) fn accept(&self) -> Server {
        Server::accept(&self.server)
    }

    /// A client that is logged in and idle, and its server.
    pub(crate) fn pair(&self) -> (Client, Server) {
        let mut client = self.client();
        client.say(&startup(&[("user", "app")]));
        let server = self.logged_in(&mut client);
        (client, server)
    }

    pub(crate) fn logged_in(&self, client: &mut Client) -> Server {
        let mut server = self.accept();
        server.say(&welcome());
        client.hears(&welcome());
        server
    }

    /// As [`Stage::logged_in`], where another client may come first: whose server it is does not matter.
    pub(crate) fn welcome_next(&self) -> Server {
        let mut server = self.accept();
        server.say(&welcome());
        server
    }

    pub(crate) fn idle_within(&self, time: Duration) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(time, self.gate.idle()).await.is_ok() })
    }
}

pub(crate) fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = vec![0, 3, 0, 0];
    for (name, value) in parameters {
        body.extend([name.as_bytes(), &[0], value.as_bytes(), &[0]].concat());
    }
    body.push(0);
    [&(body.len() as u32 + 4).to_be_bytes(), body.as_slice()].concat()
}

pub(crate) fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind], (payload.len() as u32 + 4).to_be_bytes().as_slice(), payload].concat()
}

pub(crate) fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

pub(crate) fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

pub(crate) struct Server {
    pub(crate) stream: UnixStream,
    pub(crate) startup: Vec<u8>,
}

impl Client {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn hears(&mut self, expected: &[u8]) {
        hears(&mut self.stream, expected);
    }

    /// Messages up to one of that type.
    pub(crate) fn hears_until(&mut self, kind: u8) {
        loop {
            let mut head = [0; 5];
            self.stream.read_exact(&mut head).unwrap();
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let mut payload = vec![0; length - 4];
            self.stream.read_exact(&mut payload).unwrap();
            if head[0] == kind {
                return;
            }
        }
    }

    pub(crate) fn hears_nothing(&mut self) {
        self.stream.set_read_timeout(Some(BRIEFLY)).unwrap();
        let heard = self.stream.read(&mut [0; 64]);
        assert!(is_silence(&heard), "{heard:?}");
        self.stream.set_read_timeout(Some(SOON)).unwrap();
    }

    /// All until the end; a reset is an end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return rest,
                Ok(read) => rest.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return rest,
                Err(error) => panic!("{error}; so far {rest:?}"),
            }
        }
    }

    /// The connection ends with this error and no other word; its text.
    pub(crate) fn is_ended_with(&mut self, code: &str) -> String {
        let rest = self.rest();
        assert_eq!(rest.first(), Some(&b'E'), "{:?}", String::from_utf8_lossy(&rest));
        let length = u32::from_be_bytes([rest[1], rest[2], rest[3], rest[4]]) as usize;
        assert_eq!(rest.len(), length + 1, "one message");
        let text = String::from_utf8(rest[5..].to_vec()).unwrap();
        assert!(text.starts_with(&format!("SFATAL\0VFATAL\0C{code}\0M")), "{text:?}");
        text
    }
}

impl Server {
    pub(crate) fn accept(listener: &UnixListener) -> Self {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut head = [0; 4];
        stream.read_exact(&mut head).unwrap();
        let mut rest = vec![0; u32::from_be_bytes(head) as usize - 4];
        stream.read_exact(&mut rest).unwrap();
        Self { stream, startup: [head.as_slice(), &rest].concat() }
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn hears(&mut self, expected: &[u8]) {
        hears(&mut self.stream, expected);
    }

    pub(crate) fn hears_nothing(&mut self) {
        self.stream.set_read_timeout(Some(BRIEFLY)).unwrap();
        let heard = self.stream.read(&mut [0; 64]);
        assert!(is_silence(&heard), "{heard:?}");
        self.stream.set_read_timeout(Some(SOON)).unwrap();
    }

    pub(crate) fn is_ended(&mut self) {
        let mut rest = Vec::new();
        let ended = self.stream.read_to_end(&mut rest);
        assert!(rest.is_empty() && !ended.as_ref().is_err_and(is_timeout), "{ended:?} {rest:?}");
    }
}

/// What a client hears when it is logged in.
pub(crate) fn welcome() -> Vec<u8> {
    [message(b'R', &[0; 4]), message(b'Z', b"I")].concat()
}

fn hears(stream: &mut impl Read, expected: &[u8]) {
    let mut heard = vec![0; expected.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), String::from_utf8_lossy(expected));
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn is_silence(heard: &std::io::Result<usize>) -> bool {
    heard.as_ref().is_err_and(is_timeout)
}

/// Waits for a condition that must come true.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SOON, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
