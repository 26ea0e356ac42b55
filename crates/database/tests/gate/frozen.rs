//! A gate in a process that stands still past its deadline.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nines_database::gate::{Engine, Gate};
use rustix::process::{Pid, Signal, kill_process};

use crate::stage::{
    Client, HOUR, Server, message, open_for, query, ready, settings, startup, until, welcome,
};

const SOCKET: &str = "NINES_TEST_SOCKET";
const OPEN: Duration = Duration::from_secs(4);

/// The child of the test below: a gate that is open, with a deadline once a byte comes, and lives until its input ends.
#[test]
#[ignore = "another test starts it as a process of its own"]
fn a_gate_that_gets_a_deadline() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let gate = Gate::open(settings()).unwrap();
    gate.set_engine(Some(Engine { socket: socket.into(), tls_port: None, replicates: None }));
    gate.set(&open_for(HOUR));
    println!("\nlistens at {}", gate.addresses().0);
    let mut input = std::io::stdin();
    if input.read(&mut [0]).is_ok_and(|read| read > 0) {
        gate.set(&open_for(OPEN));
        println!("has a deadline");
    }
    let _ = input.read(&mut [0]);
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap()
    }
}

#[test]
fn a_process_that_stood_still_past_its_deadline_passes_nothing_on() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut child = Process(
        Command::new(std::env::current_exe().unwrap())
            .args(["frozen::a_gate_that_gets_a_deadline", "--exact", "--ignored", "--nocapture"])
            .env(SOCKET, &socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address: SocketAddr = lines
        .find_map(|line| line.strip_prefix("listens at ").and_then(|address| address.parse().ok()))
        .expect("it listens");
    let pairs: Vec<(Client, Server)> = (0..8)
        .map(|_| {
            let mut client = Client::to(address);
            client.say(&startup(&[("user", "app")]));
            let mut server = Server::accept(&listener);
            server.say(&welcome());
            client.hears(&welcome());
            client.say(&query("commit"));
            server.hears(&query("commit"));
            (client, server)
        })
        .collect();
    let asked = Instant::now();
    child.0.stdin.as_mut().unwrap().write_all(b"!").unwrap();
    lines.find(|line| line == "has a deadline").expect("it has one");
    let has_one = Instant::now();
    child.signal(Signal::STOP);
    until("it stands still", || child.state() == 'T');
    assert!(asked.elapsed() < OPEN, "too slow to be a test of anything");
    let mut pairs = pairs;
    for (nth, (client, server)) in pairs.iter_mut().enumerate() {
        server.say(&[message(b'C', b"COMMIT\0"), ready(b'I')].concat());
        if nth.is_multiple_of(2) {
            client.say(&query("insert"));
        }
    }
    std::thread::sleep(OPEN.saturating_sub(has_one.elapsed()));
    child.signal(Signal::CONT);
    for (client, server) in &mut pairs {
        client.is_ended_with("57P01");
        server.is_ended();
    }
}
