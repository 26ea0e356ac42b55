//! The embedded store: the contract, and processes that are killed and frozen while they write.

use std::future::Future;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nines_coordination::{Error, Key, Registers, Settings};

use crate::support::{LIMIT, freeze, get, increment, open, present, put, sees, text, thaw, trouble, within};

/// Tells a test that it is the process that writes, and where.
const WRITE_TO: &str = "NINES_TEST_WRITE_TO";

async fn with<F: Future<Output = ()>>(test: impl FnOnce(Settings) -> F) {
    let dir = tempfile::tempdir().unwrap();
    test(settings(dir.path())).await;
}

crate::contract!(with);

fn settings(dir: &std::path::Path) -> Settings {
    Settings::Embedded { path: dir.join("store") }
}

/// A process that increments a register for as long as it lives. Ended when dropped.
struct Writer(Child);

impl Writer {
    fn start(dir: &std::path::Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "embedded::writer", "--ignored"]).env(WRITE_TO, dir);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
#[ignore = "a part of other tests, in a process of its own"]
async fn writer() {
    let Some(dir) = std::env::var_os(WRITE_TO) else { return };
    let registers = open(&settings(dir.as_ref())).await;
    loop {
        increment(&registers, "count").await;
    }
}

/// What has been counted. Every change of the store but the first, the claim, is one increment; a lost one would show.
async fn count(registers: &Registers) -> u64 {
    let Some(entry) = get(registers, "count").await else { return 0 };
    let count: u64 = String::from_utf8(entry.value).unwrap().parse().unwrap();
    assert_eq!(count + 1, entry.revision.get(), "an increment was lost");
    count
}

async fn counts_past(registers: &Registers, count_before: u64) -> u64 {
    let until = Instant::now() + LIMIT;
    while Instant::now() < until {
        let now = count(registers).await;
        if now > count_before {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nobody writes past {count_before}");
}

#[tokio::test]
async fn a_writer_that_is_killed_at_any_moment_leaves_the_store_whole() {
    let dir = tempfile::tempdir().unwrap();
    let registers = open(&settings(dir.path())).await;
    let mut watch = registers.watch(None);
    let mut seen = 0;
    for round in 0..25 {
        let writers = [Writer::start(dir.path()), Writer::start(dir.path())];
        seen = counts_past(&registers, seen).await;
        // Each time a little later within what a writer does again and again.
        tokio::time::sleep(Duration::from_micros(round * 371)).await;
        drop(writers);
        let after = count(&registers).await;
        assert!(after >= seen, "{after} after {seen}");
        // Whoever comes now reads it, and goes on with it.
        let registers = open(&settings(dir.path())).await;
        assert_eq!(increment(&registers, "count").await, 0);
        seen = count(&registers).await;
        assert_eq!(seen, after + 1);
    }
    sees(&mut watch, "count", Some(&seen.to_string())).await;
}

#[tokio::test]
async fn a_frozen_writer_keeps_nobody_from_writing_and_overwrites_nothing_when_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let registers = open(&settings(dir.path())).await;
    let writer = Writer::start(dir.path());
    for round in 0..20 {
        let before = count(&registers).await;
        counts_past(&registers, before).await;
        tokio::time::sleep(Duration::from_micros(round * 433)).await;
        freeze(writer.0.id());
        let began = Instant::now();
        let before = count(&registers).await;
        // More than are kept, so that it can find its number free again.
        for add in 1..=70 {
            assert_eq!(increment(&registers, "count").await, 0);
            // What it had asked of the kernel when it was stopped may still have come about.
            let now = count(&registers).await;
            assert!(now == before + add || now == before + add + 1, "{now} after {before} and {add}");
        }
        assert!(began.elapsed() < LIMIT);
        let before = count(&registers).await;
        thaw(writer.0.id());
        let after = counts_past(&registers, before).await;
        assert!(after > before);
    }
}

#[tokio::test]
async fn processes_count_together_without_losing_one() {
    let dir = tempfile::tempdir().unwrap();
    let registers = open(&settings(dir.path())).await;
    let writers = [Writer::start(dir.path()), Writer::start(dir.path())];
    counts_past(&registers, 50).await;
    for _ in 0..50 {
        assert_eq!(increment(&registers, "count").await, 0);
    }
    drop(writers);
    assert!(count(&registers).await > 100);
}

#[tokio::test]
async fn a_store_that_was_emptied_or_put_back_is_noticed_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, copy) = (dir.path().join("store"), dir.path().join("copy"));
    let registers = open(&settings(dir.path())).await;
    put(&registers, "a", "old").await;
    copy_all(&store, &copy);
    let revision = put(&registers, "a", "new").await;
    let mut watch = registers.watch(None);
    present(&mut watch).await;

    std::fs::remove_dir_all(&store).unwrap();
    copy_all(&copy, &store);
    let key = Key::new("a").unwrap();
    for error in [
        registers.get(&key, within(1000)).await.unwrap_err(),
        registers.compare_and_set(&key, Some(revision), b"x", within(1000)).await.unwrap_err(),
        trouble(&mut watch).await,
    ] {
        assert!(matches!(error, Error::Regressed { .. }), "{error}");
    }
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::create_dir(&store).unwrap();
    let error = registers.compare_and_set(&key, None, b"x", within(1000)).await.unwrap_err();
    assert!(matches!(error, Error::Regressed { .. }), "{error}");
    assert_eq!(std::fs::read_dir(&store).unwrap().count(), 0);
    // Who never knew it takes it as it is.
    std::fs::remove_dir_all(&store).unwrap();
    copy_all(&copy, &store);
    assert_eq!(text(&open(&settings(dir.path())).await, "a").await.as_deref(), Some("old"));
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn all_registers_together_have_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    let registers = open(&settings(dir.path())).await;
    let page = vec![b'x'; nines_coordination::LARGEST_VALUE];
    let mut refused = None;
    for number in 0..20 {
        let key = Key::new(format!("k/{number}")).unwrap();
        if let Err(error) = registers.compare_and_set(&key, None, &page, within(10_000)).await {
            refused = Some((number, error));
            break;
        }
    }
    let (number, error) = refused.unwrap();
    assert!(matches!(error, Error::Refused { .. }) && number > 12, "{number} {error}");
    assert_eq!(get(&registers, &format!("k/{number}")).await, None);
    assert!(get(&registers, "k/0").await.is_some());
}
