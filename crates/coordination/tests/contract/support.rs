//! What all tests here need.

use std::time::{Duration, Instant};

use nines_coordination::{Change, Claim, Entry, Key, Prefix, Registers, Revision, Seen, Settings, Watch};
use nines_coordination::{Error, Outcome};
use rustix::process::{Pid, Signal, kill_process};

/// Far above what anything takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

pub(crate) fn within(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub(crate) fn claim(prefix: &str) -> Claim {
    Claim { prefix: Prefix::new(prefix).unwrap(), system: prefix.to_owned(), known: None }
}

/// As a process of the system `shop` opens them.
pub(crate) async fn open(settings: &Settings) -> Registers {
    Registers::open(settings, &claim("shop"), soon()).await.unwrap()
}

pub(crate) async fn set(
    registers: &Registers,
    name: &str,
    expected: Option<Revision>,
    value: &str,
) -> Revision {
    match registers.compare_and_set(&key(name), expected, value.as_bytes(), soon()).await.unwrap() {
        Outcome::Won(revision) => revision,
        Outcome::Lost { current } => panic!("{name} is not as expected: {current:?}"),
    }
}

/// Sets it whatever it holds.
pub(crate) async fn put(registers: &Registers, name: &str, value: &str) -> Revision {
    loop {
        let expected = get(registers, name).await.map(|entry| entry.revision);
        let outcome = registers.compare_and_set(&key(name), expected, value.as_bytes(), soon()).await;
        if let Outcome::Won(revision) = outcome.unwrap() {
            return revision;
        }
    }
}

pub(crate) async fn get(registers: &Registers, name: &str) -> Option<Entry> {
    registers.get(&key(name), soon()).await.unwrap()
}

pub(crate) async fn text(registers: &Registers, name: &str) -> Option<String> {
    get(registers, name).await.map(|entry| String::from_utf8(entry.value).unwrap())
}

/// What the watch has told when `enough` says so; a register that is gone is told with `None`.
pub(crate) async fn told_until(watch: &mut Watch, enough: impl Fn(&[(String, Option<String>)]) -> bool) {
    let mut told = Vec::new();
    let done = tokio::time::timeout(LIMIT, async {
        while !enough(&told) {
            if let Seen::Change(Change { key, entry }) = watch.next().await {
                let value = entry.map(|entry| String::from_utf8(entry.value).unwrap());
                told.retain(|(name, _)| name != key.as_str());
                told.push((key.as_str().to_owned(), value));
            }
        }
    });
    if done.await.is_err() {
        panic!("told was only {told:?}");
    }
}

/// Waits until the watch tells that `name` holds `value`, or is gone.
pub(crate) async fn sees(watch: &mut Watch, name: &str, value: Option<&str>) {
    let wanted = (name.to_owned(), value.map(str::to_owned));
    told_until(watch, |told| told.contains(&wanted)).await;
}

/// Everything that the watch tells up to the moment when it says that it has told everything.
pub(crate) async fn present(watch: &mut Watch) -> Vec<(String, Option<String>)> {
    let began = Instant::now();
    let mut told = Vec::new();
    loop {
        match tokio::time::timeout(LIMIT, watch.next()).await.unwrap() {
            Seen::Change(Change { key, entry }) => {
                let value = entry.map(|entry| String::from_utf8(entry.value).unwrap());
                told.push((key.as_str().to_owned(), value));
            }
            Seen::Current { asked } if asked >= began => return told,
            Seen::Current { .. } => {}
            Seen::Trouble(error) => panic!("{error}"),
        }
    }
}

/// Waits until the watch tells of trouble.
pub(crate) async fn trouble(watch: &mut Watch) -> Error {
    let troubled = async {
        loop {
            if let Seen::Trouble(error) = watch.next().await {
                return error;
            }
        }
    };
    tokio::time::timeout(LIMIT, troubled).await.unwrap()
}

/// Adds one to a number in a register, until that has surely happened. How often it is not known whether it did: each of these
/// may have counted, too.
pub(crate) async fn increment(registers: &Registers, name: &str) -> usize {
    let mut unknown = 0;
    let until = Instant::now() + LIMIT;
    while Instant::now() < until {
        let Ok(entry) = registers.get(&key(name), within(3000)).await else { continue };
        let count: u64 =
            entry.as_ref().map_or(0, |entry| String::from_utf8_lossy(&entry.value).parse().unwrap());
        let expected = entry.map(|entry| entry.revision);
        let next = (count + 1).to_string();
        match registers.compare_and_set(&key(name), expected, next.as_bytes(), within(3000)).await {
            Ok(Outcome::Won(_)) => return unknown,
            Ok(Outcome::Lost { .. }) | Err(Error::Unreachable { .. }) => {}
            Err(Error::Unknown { .. }) => unknown += 1,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{name} could not be incremented in {LIMIT:?}");
}

/// Stops a process of ours, and waits until each of its threads stands still: the signal alone takes effect a moment later.
pub(crate) fn freeze(id: u32) {
    signal(id, Signal::STOP);
    let until = Instant::now() + LIMIT;
    while !stands_still(id) {
        assert!(Instant::now() < until, "{id} does not stop");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn thaw(id: u32) {
    signal(id, Signal::CONT);
}

fn signal(id: u32, signal: Signal) {
    kill_process(Pid::from_raw(id.cast_signed()).unwrap(), signal).unwrap();
}

fn stands_still(id: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat"))).all(|stat| {
        // A thread that has ended meanwhile stands still, too. After the name in brackets comes the state.
        stat.map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")))
    })
}
