//! A clock that is wrong, a disk that is away, a loop that stood still: what is measured nevertheless.

use std::sync::atomic::{AtomicU64, Ordering};

use nines_availability::measurement::{DAY, Kind, Look, Minute};
use nines_control::event;
use nines_ledger::{Batch, Ledger, read};

use super::*;

const NOW: Second = 20_782 * DAY + 40_000;

fn about() -> About {
    About {
        system: "shop".into(),
        objective: 0.999,
        objective_text: "99.9 %".into(),
        related: BTreeMap::new(),
    }
}

fn subject() -> Subject {
    Subject::new(Kind::Listener, "front/http-80")
}

/// A ledger with a minute of each of the latest three days.
fn kept(directory: &std::path::Path) {
    let mut ledger = Ledger::open(directory, "lb1", Limits::default()).unwrap().ledger;
    for day in 0..3 {
        let minutes = vec![(subject(), (NOW - day * DAY) / MINUTE - 10, Minute::all_up(day))];
        ledger.write(&Batch { minutes, events: Vec::new() }).unwrap();
    }
}

async fn begun(directory: &std::path::Path, wall: fn() -> Duration, now: Instant) -> (Measure, Vec<Told>) {
    let mut measure = Measure::start("lb1", directory.to_owned(), about(), now);
    measure.wall = wall;
    let said = measure.said().await;
    assert!(matches!(said, Answer::Opened(..)));
    let told = measure.hear(said, now);
    (measure, told)
}

fn look(measure: &mut Measure, now: Instant) -> Vec<Told> {
    let look = Look { on_duty: true, able: true, good: 0, bad: 0, waiting: 0 };
    measure.look(&Looks::from([(subject(), look)]), &[], now)
}

/// Everything that is under way is done.
async fn settle(measure: &mut Measure, now: Instant) {
    while measure.keeper.is_busy() {
        let said = measure.said().await;
        measure.hear(said, now);
    }
}

fn up(directory: &std::path::Path) -> u64 {
    read(directory, 0).unwrap().history.series(&subject()).unwrap().totals(0, 2 * NOW).up
}

#[tokio::test]
async fn a_clock_that_is_set_right_after_the_boot_costs_nothing() {
    static WALL: AtomicU64 = AtomicU64::new(946_684_800);
    let directory = tempfile::tempdir().unwrap();
    kept(directory.path());
    let start = Instant::now();
    let wall = || Duration::from_secs(WALL.load(Ordering::Relaxed));
    let (mut measure, told) = begun(directory.path(), wall, start).await;
    assert!(matches!(&told[..], [Told::Wrong(why)] if why.contains("26 years")), "{told:?}");
    for second in 1..=6 {
        WALL.fetch_add(1, Ordering::Relaxed);
        look(&mut measure, start + Duration::from_secs(second));
    }
    assert!(measure.not_kept().is_some() && measure.measured(0).kept_in.is_none());
    assert!(!measure.measured(0).problems.is_empty());
    WALL.store(NOW, Ordering::Relaxed);
    let told = look(&mut measure, start + Duration::from_secs(7));
    assert!(matches!(&told[..], [Told::Fine(_)]), "{told:?}");
    assert_eq!((measure.not_kept(), measure.measured(0).problems), (None, Vec::new()));
    // What is on disk is not brought once more.
    assert!(measure.keeper.unkept() >= NOW / MINUTE - 10);
    settle(&mut measure, start).await;
    measure.keep(NOW, start);
    settle(&mut measure, start).await;
    assert_eq!(up(directory.path()), 181);
}

#[tokio::test]
async fn a_clock_that_stays_where_it_is_is_believed_and_nothing_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    kept(directory.path());
    let start = Instant::now();
    let wall = || Duration::from_secs(NOW - DAY);
    let (mut measure, _) = begun(directory.path(), wall, start).await;
    look(&mut measure, start + Duration::from_secs(1));
    assert!(measure.not_kept().is_some());
    let later = start + DOUBT;
    let told = look(&mut measure, later);
    assert!(matches!(&told[..], [Told::Wrong(why)] if why.contains("taken for right")), "{told:?}");
    settle(&mut measure, later).await;
    measure.keep(NOW - DAY + 600, later);
    settle(&mut measure, later).await;
    assert_eq!(measure.not_kept(), None);
    // Two of the three minutes, and three seconds that were looked at.
    assert_eq!(up(directory.path()), 123);
    assert!(directory.path().join("2026-11-25.day.later").exists());
}

#[tokio::test]
async fn what_is_removed_while_it_runs_is_written_anew_from_memory() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("measured");
    kept(&directory);
    let start = Instant::now();
    let (mut measure, _) = begun(&directory, || Duration::from_secs(NOW), start).await;
    look(&mut measure, start);
    measure.keep(NOW, start);
    settle(&mut measure, start).await;
    std::fs::remove_dir_all(&directory).unwrap();
    for _ in 0..2 {
        measure.keep(NOW, start);
        settle(&mut measure, start).await;
    }
    assert!(measure.problems()[0].contains("was removed"), "{:?}", measure.problems());
    assert_eq!((up(&directory), measure.not_kept()), (181, None));
}

#[tokio::test]
async fn seconds_in_which_nobody_looked_are_counted_as_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let (mut measure, _) = begun(directory.path(), || Duration::from_secs(NOW), start).await;
    // The first look speaks for the second before, in which it began.
    for second in [1, 2, 9, 10] {
        look(&mut measure, start + Duration::from_secs(second));
    }
    let counted = *measure.counted[&subject()].totals();
    // The latest second is not decided yet: somebody may have come in it who is not going to be answered.
    assert_eq!((counted.up, counted.down, counted.unknown()), (4, 0, 6));
}

#[tokio::test]
async fn what_cannot_be_kept_stays_in_memory_until_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let (mut measure, _) = begun(directory.path(), || Duration::from_secs(NOW), start).await;
    look(&mut measure, start);
    assert_eq!(measure.not_kept(), None);
    let told = measure.hear(Answer::NotKept("a full disk".into()), start);
    assert!(matches!(&told[..], [Told::Wrong(why)] if why.contains("a full disk")), "{told:?}");
    assert!(measure.hear(Answer::NotKept("a full disk".into()), start).is_empty(), "it is told once");
    assert!(measure.not_kept().unwrap().contains("a full disk") && measure.measured(0).kept_in.is_none());
    measure.keep(NOW, start);
    settle(&mut measure, start).await;
    assert_eq!((measure.not_kept(), measure.problems()), (None, Vec::new()));
    assert_eq!(up(directory.path()), 1);
}

#[tokio::test]
async fn a_hang_is_down_from_its_first_second_in_memory_on_disk_and_in_the_counters() {
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    // The minute ends meanwhile.
    let wall = || Duration::from_secs(NOW + 10);
    let (mut measure, _) = begun(directory.path(), wall, start).await;
    let look = |measure: &mut Measure, second: u64, waiting: u64, good: u64| {
        let look = Look { on_duty: true, able: true, good, bad: 0, waiting };
        let now = start + Duration::from_secs(second);
        measure.look(&Looks::from([(subject(), look)]), &[], now);
        *measure.counted[&subject()].totals()
    };
    for second in 1..=6 {
        look(&mut measure, second, 0, second);
    }
    // What was kept says up. Nobody says it aloud before it is known.
    for second in 7..=11 {
        let counted = look(&mut measure, second, second - 7, 6);
        assert_eq!((counted.up, counted.down), (7, 0), "{second}");
    }
    settle(&mut measure, start).await;
    measure.keep(NOW + 21, start);
    settle(&mut measure, start).await;
    assert_eq!(up(directory.path()), 12);
    // Meanwhile more of it is being written.
    measure.keep(NOW + 21, start);
    let counted = look(&mut measure, 12, 5, 6);
    assert_eq!((counted.up, counted.down, counted.unknown()), (7, 6, 0));
    let totals = measure.history.series(&subject()).unwrap().totals(NOW, NOW + 60);
    assert_eq!((totals.up, totals.down), (7, 6));
    settle(&mut measure, start).await;
    measure.keep(NOW + 22, start);
    settle(&mut measure, start).await;
    assert_eq!(up(directory.path()), 7);
    // One that is answered was none.
    look(&mut measure, 13, 0, 7);
    assert_eq!(look(&mut measure, 15, 2, 7).up, 8);
    let counted = look(&mut measure, 16, 0, 8);
    assert_eq!((counted.up, counted.down, counted.unknown()), (11, 6, 0));
}

fn event(at: Second, kind: event::Kind) -> Event {
    Event { sequence: 1, at_us: at * 1_000_000, kind, subject: "web/app1".into(), why: "silent".into() }
}

/// What is called how, of the events that are on disk.
fn events(directory: &std::path::Path) -> Vec<(u64, String)> {
    let there = read(directory, 0).unwrap().history;
    there.events().map(|event| (event.at_ms / 1000, event.kind.clone())).collect()
}

#[tokio::test]
async fn what_was_not_kept_before_the_clock_was_wrong_is_kept_once_it_is_right() {
    static WALL: AtomicU64 = AtomicU64::new(NOW);
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let wall = || Duration::from_secs(WALL.load(Ordering::Relaxed));
    let (mut measure, _) = begun(directory.path(), wall, start).await;
    // Nothing is brought of itself.
    measure.kept = start + Duration::from_secs(DAY);
    let set = |measure: &mut Measure, second: u64, wall: Second| {
        WALL.store(wall, Ordering::Relaxed);
        look(measure, start + Duration::from_secs(second))
    };
    measure.note(&event(NOW + 1, event::Kind::Down), 0);
    for second in 1..=200 {
        assert_eq!(set(&mut measure, second, NOW + second), []);
    }
    let told = set(&mut measure, 201, NOW + 201 - DAY);
    assert!(matches!(&told[..], [Told::Wrong(_)]), "{told:?}");
    measure.note(&event(NOW + 201 - DAY, event::Kind::Up), 0);
    let told = set(&mut measure, 202, NOW + 202);
    assert!(matches!(&told[..], [Told::Fine(_)]), "{told:?}");
    settle(&mut measure, start).await;
    measure.keep(NOW + 202, start);
    settle(&mut measure, start).await;
    let all = measure.history.series(&subject()).unwrap().totals(0, 2 * NOW).up;
    assert!(all >= 200, "{all}");
    assert_eq!(up(directory.path()), all);
    assert_eq!(events(directory.path()), [(NOW + 1, "down".to_owned())]);
}

#[tokio::test]
async fn whoever_ends_while_the_clock_is_wrong_keeps_what_is_from_before() {
    static WALL: AtomicU64 = AtomicU64::new(NOW);
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let wall = || Duration::from_secs(WALL.load(Ordering::Relaxed));
    let (mut measure, _) = begun(directory.path(), wall, start).await;
    measure.kept = start + Duration::from_secs(DAY);
    measure.note(&event(NOW + 1, event::Kind::Down), 0);
    for second in 1..=100 {
        WALL.fetch_add(1, Ordering::Relaxed);
        look(&mut measure, start + Duration::from_secs(second));
    }
    let before = measure.history.series(&subject()).unwrap().totals(0, 2 * NOW).up;
    WALL.store(NOW - DAY, Ordering::Relaxed);
    look(&mut measure, start + Duration::from_secs(101));
    measure.note(&event(NOW - DAY, event::Kind::Up), 0);
    assert!(measure.not_kept().is_some());
    measure.end(start + Duration::from_secs(102)).await;
    assert!(before >= 99, "{before}");
    assert_eq!(up(directory.path()), before);
    assert_eq!(events(directory.path()), [(NOW + 1, "down".to_owned())]);
}

#[tokio::test]
async fn once_a_clock_is_believed_no_event_is_kept_that_is_still_to_come() {
    static WALL: AtomicU64 = AtomicU64::new(NOW);
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let wall = || Duration::from_secs(WALL.load(Ordering::Relaxed));
    let (mut measure, _) = begun(directory.path(), wall, start).await;
    measure.note(&event(NOW - 2 * DAY, event::Kind::Daemon), 0);
    measure.note(&event(NOW, event::Kind::Down), 0);
    WALL.store(NOW - DAY, Ordering::Relaxed);
    look(&mut measure, start + Duration::from_secs(1));
    assert!(measure.not_kept().is_some());
    measure.note(&event(NOW - DAY, event::Kind::Up), 0);
    let later = start + DOUBT + Duration::from_secs(1);
    let told = look(&mut measure, later);
    assert!(matches!(&told[..], [Told::Wrong(why)] if why.contains("taken for right")), "{told:?}");
    settle(&mut measure, later).await;
    measure.keep(NOW - DAY + 600, later);
    settle(&mut measure, later).await;
    let there = [(NOW - 2 * DAY, "daemon".to_owned()), (NOW - DAY, "up".to_owned())];
    assert_eq!(events(directory.path()), there);
}

#[tokio::test]
async fn a_clock_that_is_set_back_again_and_believed_costs_nothing_from_before() {
    static WALL: AtomicU64 = AtomicU64::new(NOW);
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let wall = || Duration::from_secs(WALL.load(Ordering::Relaxed));
    let (mut measure, _) = begun(directory.path(), wall, start).await;
    // For hours nothing could be brought.
    measure.kept = start + Duration::from_secs(DAY);
    let set = |measure: &mut Measure, second: u64, wall: Second| {
        WALL.store(wall, Ordering::Relaxed);
        look(measure, start + Duration::from_secs(second))
    };
    set(&mut measure, 1, NOW + 1);
    set(&mut measure, 4 * HOUR, NOW + 4 * HOUR);
    assert_eq!(set(&mut measure, 4 * HOUR + 1, NOW + 3 * HOUR - 1).len(), 1);
    measure.note(&event(NOW + 3 * HOUR - 1, event::Kind::Down), 0);
    assert_eq!(set(&mut measure, 4 * HOUR + 2, NOW + HOUR).len(), 1);
    measure.note(&event(NOW + HOUR, event::Kind::Up), 0);
    assert!(measure.not_kept().is_some());
    let told = set(&mut measure, 4 * HOUR + 602, NOW + HOUR + 600);
    assert!(matches!(&told[..], [Told::Wrong(why)] if why.contains("taken for right")), "{told:?}");
    let later = start + Duration::from_secs(4 * HOUR + 602);
    settle(&mut measure, later).await;
    measure.keep(NOW + HOUR + 600, later);
    settle(&mut measure, later).await;
    let there = read(directory.path(), 0).unwrap().history;
    let up = |from, to| there.series(&subject()).unwrap().totals(from, to).up;
    assert!(up(NOW, NOW + 2) > 0 && up(NOW + HOUR, 2 * NOW) > 0, "{there:?}");
    assert_eq!(up(NOW + 2 * HOUR, 2 * NOW), 0);
    assert_eq!(events(directory.path()), [(NOW + HOUR, "up".to_owned())]);
}

#[tokio::test]
async fn a_directory_that_answers_too_late_is_not_written_into() {
    let directory = tempfile::tempdir().unwrap();
    kept(directory.path());
    let start = Instant::now();
    let mut measure = Measure::start("lb1", directory.path().to_owned(), about(), start);
    measure.wall = || Duration::from_secs(NOW);
    let given_up = start + OPEN;
    let told = look(&mut measure, given_up);
    assert!(matches!(&told[..], [Told::Wrong(why)] if why.contains("in memory alone")), "{told:?}");
    let said = measure.said().await;
    assert!(matches!(said, Answer::Opened(..)));
    assert_eq!(measure.hear(said, given_up), []);
    for second in 1..=6 {
        look(&mut measure, given_up + Duration::from_secs(second));
    }
    measure.reload(about());
    measure.keep(NOW + 60, given_up);
    settle(&mut measure, given_up).await;
    assert!(measure.not_kept().is_some_and(|why| why.contains("does not answer within 10 s")));
    assert!(measure.measured(0).kept_in.is_none());
    // Nobody is kept out any more, and what was there is there.
    let end = tokio::time::timeout(Duration::from_secs(20), measure.answers.recv()).await;
    assert!(matches!(end, Ok(None)), "{end:?}");
    let there = Ledger::open(directory.path(), "lb1", Limits::default()).unwrap().history;
    assert_eq!(there.series(&subject()).unwrap().totals(0, 2 * NOW).up, 180);
}

#[tokio::test]
async fn an_error_that_comes_too_late_is_told_and_what_was_begun_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Ledger::open(directory.path(), "lb1", Limits::default()).unwrap();
    let start = Instant::now();
    let mut measure = Measure::start("lb1", directory.path().to_owned(), about(), start);
    measure.wall = || Duration::from_secs(NOW);
    look(&mut measure, start + OPEN);
    look(&mut measure, start + OPEN + Duration::from_secs(1));
    let axis = measure.axis.clone();
    let said = measure.said().await;
    let told = measure.hear(said, start + OPEN + Duration::from_secs(2));
    assert!(matches!(&told[..], [Told::Wrong(why)] if why.contains("another process")), "{told:?}");
    assert_eq!(measure.axis, axis);
}
