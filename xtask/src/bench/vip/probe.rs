//! The client's two streams of requests to the virtual address, one of each every 10 ms whatever became of the ones before:
//! on a new connection each, and on connections that are kept. A program of its own, in the client's namespace; it takes its
//! orders on stdin and tells on stdout.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use serde_json::json;

use super::network::{PORT, VIRTUAL};
use crate::bench::seen::{Failure, Seen};

const EVERY: Duration = Duration::from_millis(10);
/// For a whole request: connecting, asking, and being answered.
const PATIENCE: Duration = Duration::from_secs(1);
/// Connections that are kept.
const KEPT: usize = 8;
/// What an answer may have.
const LONGEST: usize = 4096;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// On a new connection each.
    New = 0,
    /// On connections that are kept.
    Kept = 1,
}

/// A request that is not decided yet.
struct Request {
    kind: Kind,
    socket: TcpStream,
    began: Instant,
    connected: bool,
    answer: Vec<u8>,
}

struct Client {
    requests: Vec<Request>,
    /// Kept connections that wait for their next request, the one that waited longest first.
    idle: VecDeque<TcpStream>,
    seen: [Seen; 2],
    /// An order to tell when so many in a row were answered, of each kind.
    steady: Option<u64>,
}

/// How far an answer has come.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Incomplete,
    Good {
        close: bool,
    },
    /// Not what was asked for.
    Wrong,
}

/// Runs until stdin ends.
pub(crate) fn run() -> Result<()> {
    let now = Instant::now();
    let mut client = Client {
        requests: Vec::new(),
        idle: VecDeque::new(),
        seen: [Seen::new(now), Seen::new(now)],
        steady: None,
    };
    let mut next = now;
    let mut ordered = Vec::new();
    loop {
        let now = Instant::now();
        // After a stall longer than that there is no use in catching up.
        next = next.max(now.checked_sub(PATIENCE).unwrap_or(now));
        while next <= now {
            client.ask(Kind::New);
            client.ask(Kind::Kept);
            next += EVERY;
        }
        client.give_up(now);
        if client.wait(next.saturating_duration_since(now))? {
            let mut buffer = [0; 256];
            match io::stdin().read(&mut buffer)? {
                0 => return Ok(()),
                got => ordered.extend_from_slice(&buffer[..got]),
            }
            while let Some(end) = ordered.iter().position(|byte| *byte == b'\n') {
                let order: Vec<u8> = ordered.drain(..=end).collect();
                client.obey(String::from_utf8_lossy(&order).trim())?;
            }
        }
        client.tell_if_steady()?;
    }
}

impl Client {
    fn obey(&mut self, order: &str) -> Result<()> {
        match order.split_once(' ').unwrap_or((order, "")) {
            ("steady", count) => {
                self.steady = Some(count.parse().context("steady for how long?")?);
                self.seen.iter_mut().for_each(|seen| seen.in_a_row = 0);
                Ok(())
            }
            ("begin", _) => {
                let now = Instant::now();
                self.seen = [Seen::new(now), Seen::new(now)];
                tell("begun")
            }
            ("end", _) => self.finish(),
            _ => anyhow::bail!("no such order: {order}"),
        }
    }

    /// Lets what is under way come to its end, and tells what was seen.
    fn finish(&mut self) -> Result<()> {
        let now = Instant::now();
        self.seen.iter_mut().for_each(|seen| seen.end(now));
        while !self.requests.is_empty() {
            self.wait(EVERY)?;
            self.give_up(Instant::now());
        }
        let [new, kept] = &self.seen;
        tell(&json!({ "new": new.json(), "kept": kept.json() }).to_string())
    }

    fn tell_if_steady(&mut self) -> Result<()> {
        if self.steady.is_some_and(|wanted| self.seen.iter().all(|seen| seen.in_a_row >= wanted)) {
            self.steady = None;
            tell("steady")?;
        }
        Ok(())
    }

    /// Begins a request.
    fn ask(&mut self, kind: Kind) {
        let began = Instant::now();
        let busy = self.requests.iter().filter(|request| request.kind == Kind::Kept).count();
        if kind == Kind::Kept && busy + self.idle.len() >= KEPT {
            while let Some(socket) = self.idle.pop_front() {
                // One that the server has closed is no use, and no failure.
                let open =
                    matches!(socket.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
                if open {
                    let mut request = Request { kind, socket, began, connected: true, answer: Vec::new() };
                    match request.send() {
                        Ok(()) => self.requests.push(request),
                        Err(failure) => self.seen[kind as usize].failed(failure, began),
                    }
                    return;
                }
            }
        }
        match begin_connecting() {
            Ok(socket) => {
                self.requests.push(Request { kind, socket, began, connected: false, answer: Vec::new() });
            }
            Err(_) => self.seen[kind as usize].failed(Failure::Refused, began),
        }
    }

    fn give_up(&mut self, now: Instant) {
        self.requests.retain(|request| {
            let late = now.saturating_duration_since(request.began) >= PATIENCE;
            if late {
                self.seen[request.kind as usize].failed(Failure::TimedOut, request.began);
            }
            !late
        });
    }

    /// Does what can be done until `timeout` is over, or something has come; says whether there is something on stdin.
    fn wait(&mut self, timeout: Duration) -> Result<bool> {
        let stdin = io::stdin();
        let mut files: Vec<PollFd<'_>> = Vec::with_capacity(1 + self.requests.len());
        files.push(PollFd::new(&stdin, PollFlags::IN));
        for request in &self.requests {
            let wanted = if request.connected { PollFlags::IN } else { PollFlags::OUT };
            files.push(PollFd::from_borrowed_fd(request.socket.as_fd(), wanted));
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(timeout.min(EVERY).subsec_nanos()) };
        match poll(&mut files, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("poll"),
        }
        let ready: Vec<bool> = files.iter().map(|file| !file.revents().is_empty()).collect();
        drop(files);
        let requests = std::mem::take(&mut self.requests);
        for (request, ready) in requests.into_iter().zip(&ready[1..]) {
            if *ready {
                self.go_on(request);
            } else {
                self.requests.push(request);
            }
        }
        Ok(ready[0])
    }

    /// Something has happened on this request's connection.
    fn go_on(&mut self, mut request: Request) {
        let outcome = if request.connected { request.receive() } else { request.connected() };
        let seen = &mut self.seen[request.kind as usize];
        match outcome {
            Ok(Answer::Incomplete) => self.requests.push(request),
            Ok(Answer::Good { close }) => {
                seen.answered(Instant::now());
                if request.kind == Kind::Kept && !close && self.idle.len() < KEPT {
                    self.idle.push_back(request.socket);
                }
            }
            Ok(Answer::Wrong) => seen.failed(Failure::Wrong, request.began),
            Err(failure) => seen.failed(failure, request.began),
        }
    }
}

impl Request {
    fn connected(&mut self) -> Result<Answer, Failure> {
        if !matches!(self.socket.take_error(), Ok(None)) {
            return Err(Failure::Refused);
        }
        self.connected = true;
        self.send()?;
        Ok(Answer::Incomplete)
    }

    fn send(&mut self) -> Result<(), Failure> {
        let close = if self.kind == Kind::New { "Connection: close\r\n" } else { "" };
        let text = format!("GET / HTTP/1.1\r\nHost: bench\r\n{close}\r\n");
        // An empty send buffer takes it whole.
        self.socket.write_all(text.as_bytes()).map_err(|_| Failure::Closed)
    }

    fn receive(&mut self) -> Result<Answer, Failure> {
        let mut buffer = [0; LONGEST];
        match self.socket.read(&mut buffer) {
            Ok(0) => Err(Failure::Closed),
            Ok(got) => {
                self.answer.extend_from_slice(&buffer[..got]);
                Ok(understand(&self.answer))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Answer::Incomplete),
            Err(_) => Err(Failure::Closed),
        }
    }
}

fn begin_connecting() -> Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match connect(&socket, &SocketAddrV4::new(VIRTUAL, PORT)) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

fn understand(answer: &[u8]) -> Answer {
    let Some(head) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return if answer.len() < LONGEST { Answer::Incomplete } else { Answer::Wrong };
    };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let header = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| *key == name)
            .map(|(_, v)| v.trim())
    };
    let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
    match length {
        Some(length) if text.starts_with("http/1.1 200") && length < LONGEST => {
            if answer.len() < head + 4 + length {
                Answer::Incomplete
            } else {
                Answer::Good { close: header("connection") == Some("close") }
            }
        }
        _ => Answer::Wrong,
    }
}

fn tell(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_good_when_it_is_whole_and_200() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        for cut in 0..whole.len() {
            assert_eq!(understand(&whole[..cut]), Answer::Incomplete, "{cut}");
        }
        assert_eq!(understand(whole), Answer::Good { close: false });
    }

    #[test]
    fn a_server_that_will_close_is_understood() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nCONNECTION: Close\r\n\r\n";
        assert_eq!(understand(answer), Answer::Good { close: true });
    }

    #[test]
    fn a_proxy_that_has_no_backend_has_not_answered() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(understand(answer), Answer::Wrong);
        assert_eq!(understand(&[b'x'; LONGEST]), Answer::Wrong);
    }
}
