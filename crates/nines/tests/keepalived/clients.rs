//! Who answers clients.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nines_lab::Place;

/// Far longer than anything takes here.
const SOON: Duration = Duration::from_secs(30);
/// A client is patient for so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks an address, over a connection of its own, and tells which stand-in has answered.
pub(crate) fn who(clients: &Place, to: impl Into<SocketAddr>) -> io::Result<String> {
    let to = to.into();
    clients.run_in_thread("client", move || ask(to))?.join().map_err(|_| io::Error::other("panicked"))??
}

fn ask(to: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let said = reply.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("stand-in").then(|| value.trim().to_owned())
    });
    said.ok_or_else(|| io::Error::other(format!("not a stand-in's reply: {reply:?}")))
}

/// From an answer to the next request of a crowd.
const PACE: Duration = Duration::from_millis(20);

/// Clients that ask on and on, until the lab ends.
pub(crate) struct Crowd {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    answered: BTreeMap<String, u32>,
    latest: Option<String>,
    failed: u32,
}

impl Crowd {
    pub(crate) fn start(place: &Place, address: IpAddr) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (to, notes) = (SocketAddr::new(address, 80), seen.clone());
        let ask_on = move || {
            loop {
                let answer = ask(to);
                notes.lock().unwrap().note(answer);
                std::thread::sleep(PACE);
            }
        };
        place.run_in_thread("clients", ask_on).unwrap();
        Self { seen }
    }

    pub(crate) fn failed(&self) -> u32 {
        self.seen.lock().unwrap().failed
    }

    pub(crate) fn others_than(&self, known: &[&str]) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.answered.keys().filter(|name| !known.contains(&name.as_str())).cloned().collect()
    }

    pub(crate) fn until_answered_by(&self, name: &str) {
        until(&format!("clients are answered by {name}"), || {
            self.seen.lock().unwrap().latest.as_deref() == Some(name)
        });
    }

    /// Waits for so many more answers.
    pub(crate) fn until_answered(&self, more: u32) {
        let count = || self.seen.lock().unwrap().answered.values().sum::<u32>();
        let enough = count() + more;
        until("clients are answered", || count() >= enough);
    }
}

impl Seen {
    fn note(&mut self, answer: io::Result<String>) {
        match answer {
            Ok(name) => {
                *self.answered.entry(name.clone()).or_default() += 1;
                self.latest = Some(name);
            }
            Err(_) => {
                self.failed += 1;
                self.latest = None;
            }
        }
    }
}

/// Waits for a condition.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < end, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
