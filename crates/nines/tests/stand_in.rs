//! The stand-in server as a load balancer meets it: over a socket, byte by byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

struct StandIn {
    process: Child,
    address: String,
}

impl StandIn {
    fn start(more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nines"));
        command.args(["stand-in", "--listen", "127.0.0.1:0", "--name", "app1"]).args(more);
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("app1 stands in at ").unwrap_or_else(|| panic!("{line}"));
        Self { address: address.to_owned(), process }
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Connection(BufReader::new(stream))
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + SOON;
        while Instant::now() < end {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("not ended within {SOON:?}");
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Connection(BufReader<TcpStream>);

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Connection {
    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn ask(&mut self, method: &str, target: &str, rest: &str) -> Answer {
        self.send(&format!("{method} {target} HTTP/1.1\r\nHost: app1\r\n{rest}"));
        if !rest.contains("\r\n\r\n") {
            self.send("\r\n");
        }
        self.answer()
    }

    fn get(&mut self, target: &str) -> Answer {
        self.ask("GET", target, "")
    }

    fn answer(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).unwrap(), 0, "closed after {head:?}");
        }
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body }
    }

    fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn it_says_who_it_is_in_every_answer_on_one_connection() {
    let app = StandIn::start(&[]);
    let mut client = app.connect();
    let answer = client.get("/");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"app1\n".as_slice()));
    for (target, status) in
        [("/healthz", 200), ("/slow?ms=5", 200), ("/fail?status=418", 418), ("/fail", 503)]
    {
        let answer = client.get(target);
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.head.contains("\r\nstand-in: app1\r\n"), "{}", answer.head);
    }
    assert_eq!(client.get("/bytes?n=1048577").body.len(), 1_048_577);
    assert_eq!(client.get("/bytes?n=0").body.len(), 0);
}

#[test]
fn the_size_of_its_answer_can_be_chosen() {
    let app = StandIn::start(&["--body-bytes", "100000"]);
    assert_eq!(app.connect().get("/").body, vec![b'.'; 100_000]);
}

#[test]
fn what_it_does_not_understand_is_refused_with_the_reason() {
    let app = StandIn::start(&[]);
    let mut client = app.connect();
    for target in
        ["/slow?seconds=1", "/slow?ms=fast", "/fail?status=99", "/bytes?n=99999999999999", "/fail?status=101"]
    {
        let answer = client.get(target);
        assert_eq!(answer.status, 400, "{target}");
        assert!(!answer.body.is_empty());
    }
}

#[test]
fn what_is_posted_comes_back() {
    let app = StandIn::start(&[]);
    let mut client = app.connect();
    let answer = client.ask("POST", "/", "Content-Type: text/cat\r\nContent-Length: 4\r\n\r\nmeow");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"meow".as_slice()));
    assert!(answer.head.contains("content-type: text/cat\r\n"));
}

#[test]
fn it_fails_and_dawdles_as_told_until_told_otherwise_and_health_is_apart() {
    let app = StandIn::start(&[]);
    let mut client = app.connect();
    assert_eq!(client.ask("POST", "/_behave?fail=500&delay_ms=50", "Content-Length: 0\r\n").status, 200);
    let asked = Instant::now();
    assert_eq!(client.get("/").status, 500);
    assert!(asked.elapsed() >= Duration::from_millis(50));
    assert_eq!(client.get("/healthz").status, 200);
    client.ask("POST", "/_behave?health=503", "Content-Length: 0\r\n");
    assert_eq!((client.get("/").status, client.get("/healthz").status), (200, 503));
    client.ask("POST", "/_behave", "Content-Length: 0\r\n");
    assert_eq!((client.get("/").status, client.get("/healthz").status), (200, 200));
    assert_eq!(client.get("/_behave").body, b"{\"delay_ms\":0,\"fail\":0,\"health\":0}\n");
}

#[test]
fn an_upgraded_connection_echoes_every_byte() {
    let app = StandIn::start(&[]);
    let mut client = app.connect();
    let answer = client.ask("GET", "/", "Connection: upgrade\r\nUpgrade: echo\r\n");
    assert_eq!(answer.status, 101);
    for word in ["meow", "purr"] {
        client.send(word);
        let mut back = [0; 4];
        client.0.read_exact(&mut back).unwrap();
        assert_eq!(&back, word.as_bytes());
    }
    client.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.is_closed());
}

#[test]
fn sigterm_lets_work_in_flight_finish_and_closes_what_is_idle() {
    let mut app = StandIn::start(&[]);
    let (mut idle, mut busy) = (app.connect(), app.connect());
    idle.get("/");
    busy.get("/");
    busy.send("GET /slow?ms=700 HTTP/1.1\r\nHost: app1\r\n\r\n");
    // An answer on a later connection shows that the request before it has been read.
    app.connect().get("/");
    app.terminate();
    assert!(idle.is_closed());
    let answer = busy.answer();
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert!(busy.is_closed());
    assert_eq!(app.ended().code(), Some(0));
}
