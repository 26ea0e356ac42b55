//! Crashes, damage, full disks: what is left, and that it goes on.

use nines_availability::measurement::{Kind, State, Tick};
use proptest::prelude::*;

use super::*;

/// 2026-11-25, just before midnight.
const BEGIN: Second = 20_782 * DAY + 86_280;

fn subject(name: &str) -> Subject {
    Subject::new(Kind::Listener, name)
}

/// One that measures `http` and `https` for so many seconds, and keeps it every five, as the daemon does.
fn measured(seconds: u64) -> (History, Vec<Batch>) {
    let mut history = History::new("lb1", Limits::default());
    let mut batches = Vec::new();
    for second in BEGIN..BEGIN + seconds {
        for (name, bad) in [("http", 0), ("https", u64::from(second % 50 < 7))] {
            let state = if bad > 0 { State::Down } else { State::Up };
            history.record(&subject(name), &Tick { from: second, to: second, step: None }, state, 900, bad);
        }
        if second % 5 == 4 {
            let number = second / MINUTE;
            let mut minutes = Vec::new();
            // The minute that is over comes once more.
            let first = number - u64::from(second % MINUTE < 5);
            for (name, number) in (first..=number).flat_map(|number| [("http", number), ("https", number)]) {
                let minute = history.series(&subject(name)).unwrap().minute(number);
                minutes.extend((!minute.is_empty()).then(|| (subject(name), number, minute)));
            }
            let event = Noted {
                at_ms: second * 1000,
                kind: "down".into(),
                subject: "web/app1".into(),
                why: "silent".into(),
            };
            let events = if second % 50 == 4 { vec![event.clone()] } else { Vec::new() };
            events.iter().for_each(|event| history.note(event.clone()));
            batches.push(Batch { minutes, events });
        }
    }
    (history, batches)
}

fn totals(history: &History) -> Vec<(String, u64, u64, u64, u64)> {
    let of = |(subject, series): (&Subject, &nines_availability::measurement::Series)| {
        let totals = series.totals(BEGIN - DAY, BEGIN + 3 * DAY);
        (subject.to_string(), totals.up, totals.down, totals.good, totals.bad)
    };
    history.subjects().map(of).collect()
}

fn open(directory: &Path) -> Opened {
    Ledger::open(directory, "lb1", Limits::default()).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_written_is_there_again_over_midnight_and_over_a_process() {
    let directory = tempfile::tempdir().unwrap();
    let (history, batches) = measured(300);
    let mut ledger = open(directory.path()).ledger;
    batches.iter().for_each(|batch| ledger.write(batch).unwrap());
    assert_eq!(names(directory.path()), ["2026-11-25.day", "2026-11-26.log", "lock"]);
    // Nothing is done at the end: it is killed.
    drop(ledger);
    let opened = open(directory.path());
    assert_eq!(opened.told, Vec::<String>::new());
    assert_eq!(totals(&opened.history), totals(&history));
    assert_eq!(
        opened.history.events().cloned().collect::<Vec<_>>(),
        history.events().cloned().collect::<Vec<_>>()
    );
    assert_eq!(names(directory.path()), ["2026-11-25.day", "2026-11-26.day", "lock"]);
    assert!(fs::metadata(directory.path().join("2026-11-26.day")).unwrap().len() < 1_000);
}

#[test]
fn it_goes_on_in_the_same_day_after_each_of_many_crashes() {
    let directory = tempfile::tempdir().unwrap();
    let (history, batches) = measured(300);
    for batch in &batches {
        open(directory.path()).ledger.write(batch).unwrap();
    }
    assert_eq!(totals(&open(directory.path()).history), totals(&history));
}

#[test]
fn a_directory_is_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let second = Ledger::open(directory.path(), "lb1", Limits::default());
    assert!(matches!(second, Err(LedgerError::Taken(_))));
    drop(first);
    assert!(Ledger::open(directory.path(), "lb1", Limits::default()).is_ok());
}

#[test]
fn who_has_no_daemon_to_ask_can_read_it_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(read(directory.path(), 0), Err(LedgerError::Nothing(_))));
    let (history, batches) = measured(200);
    let mut ledger = open(directory.path()).ledger;
    let about = Measured {
        version: 1,
        system: "shop".into(),
        objective: 0.999,
        objective_text: "99.9 %".into(),
        now: BEGIN,
        ahead: 0,
        kept_in: None,
        problems: Vec::new(),
        related: BTreeMap::new(),
        history: history.clone(),
    };
    ledger.describe(&about).unwrap();
    batches.iter().for_each(|batch| ledger.write(batch).unwrap());
    let before = names(directory.path());
    let told = read(directory.path(), BEGIN).unwrap();
    assert_eq!((told.system.as_str(), told.history.vantage.as_str(), told.now), ("shop", "lb1", BEGIN + 200));
    assert_eq!(totals(&told.history), totals(&history));
    assert_eq!(told.problems, Vec::<String>::new());
    // It was killed, and nobody looked for an hour.
    let told = read(directory.path(), BEGIN + 3_800).unwrap();
    assert_eq!(told.now, BEGIN + 3_800);
    assert_eq!(told.problems, ["nothing since 2026-11-26 00:01:20: nobody measures now"]);
    assert_eq!(names(directory.path()), before);
}

#[test]
fn a_damaged_log_costs_minutes_is_told_at_midnight_and_is_mended_from_memory() {
    let directory = tempfile::tempdir().unwrap();
    let minute = |number: u64| (subject("http"), BEGIN / MINUTE - 600 + number, Minute::all_up(number));
    let mut history = History::new("lb1", Limits::default());
    let mut ledger = open(directory.path()).ledger;
    for number in 0..600 {
        let (subject, place, minute) = minute(number);
        history.put_minute(&subject, place, minute);
        ledger.write(&Batch { minutes: vec![(subject, place, minute)], events: Vec::new() }).unwrap();
    }
    let log = directory.path().join("2026-11-25.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes[60] ^= 4;
    fs::write(&log, bytes).unwrap();
    let read = read_day(directory.path());
    assert!((540..600).contains(&read), "{read} minutes of 600");
    // Another file of the same length is in its place; the next day begins.
    ledger.write(&Batch { minutes: vec![minute(601)], events: Vec::new() }).unwrap();
    ledger.write(&Batch { minutes: vec![minute(1_000)], events: Vec::new() }).unwrap();
    let told = ledger.troubles();
    assert!(told.len() == 1 && told[0].starts_with("2026-11-25.log is damaged from byte"), "{told:?}");
    history.put_minute(&subject("http"), minute(601).1, minute(601).2);
    ledger.restore(&history).unwrap();
    drop(ledger);
    assert_eq!(read_day(directory.path()), 601);
    assert!(names(directory.path()).contains(&"2026-11-25.log.damaged".to_owned()));
}

/// Minutes of the first day that can be read.
fn read_day(directory: &Path) -> usize {
    let mut history = History::new("", Limits::default());
    for file in &files(directory).unwrap()[&(BEGIN / DAY)] {
        let _ = piece::read(&fs::read(file).unwrap(), BEGIN / DAY, &mut history);
    }
    history.series(&subject("http")).unwrap().minutes(0..u64::MAX / DAY).count()
}

#[test]
fn what_somebody_removes_or_cuts_while_it_is_written_is_written_anew() {
    for cut in [None, Some(100)] {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("measured");
        let (history, batches) = measured(300);
        let mut ledger = open(&directory).ledger;
        let (last, before) = batches.split_last().unwrap();
        before.iter().for_each(|batch| ledger.write(batch).unwrap());
        assert_eq!(ledger.troubles(), Vec::<String>::new());
        match cut {
            None => fs::remove_dir_all(&directory).unwrap(),
            Some(bytes) => {
                let log = OpenOptions::new().write(true).open(directory.join("2026-11-26.log")).unwrap();
                log.set_len(bytes).unwrap();
            }
        }
        ledger.write(last).unwrap();
        assert_eq!(ledger.troubles().len(), 1);
        ledger.restore(&history).unwrap();
        // And goes on.
        ledger.write(last).unwrap();
        assert!(matches!(Ledger::open(&directory, "lb1", Limits::default()), Err(LedgerError::Taken(_))));
        drop(ledger);
        let opened = open(&directory);
        assert_eq!((totals(&opened.history), opened.told), (totals(&history), Vec::new()));
    }
}

#[test]
fn a_clock_that_is_wrong_by_years_removes_no_day() {
    let directory = tempfile::tempdir().unwrap();
    let day = |day: u64| Batch {
        minutes: vec![(subject("http"), day * 1440, Minute::all_up(day))],
        events: Vec::new(),
    };
    let mut ledger = open(directory.path()).ledger;
    (20_000..20_005).for_each(|number| ledger.write(&day(number)).unwrap());
    // In 2099; then it is set right.
    ledger.write(&day(47_117)).unwrap();
    drop(ledger);
    let mut ledger = open(directory.path()).ledger;
    ledger.write(&day(20_005)).unwrap();
    ledger.write(&day(20_006)).unwrap();
    let days = |directory: &Path| files(directory).unwrap().into_keys().collect::<Vec<_>>();
    assert_eq!(days(directory.path()), (20_000..20_007).chain([47_117]).collect::<Vec<_>>());
    // What was called so is set aside, not removed.
    ledger.forget_from(20_007 * DAY).unwrap();
    assert_eq!(days(directory.path()), (20_000..20_007).collect::<Vec<_>>());
    assert!(names(directory.path()).contains(&"2099-01-01.day.later".to_owned()));
}

#[test]
fn a_full_disk_loses_nothing_that_is_brought_again() {
    let directory = tempfile::tempdir().unwrap();
    let (history, batches) = measured(100);
    let mut ledger = open(directory.path()).ledger;
    let (early, late) = batches.split_at(4);
    early.iter().for_each(|batch| ledger.write(batch).unwrap());
    // The file is as it is on a disk that has no room: every write fails.
    let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
    let log = ledger.log.as_mut().unwrap();
    let good = std::mem::replace(&mut log.file, full);
    let failed = ledger.write(&late[0]).unwrap_err();
    assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
    drop(good);
    // There is room again.
    late.iter().for_each(|batch| ledger.write(batch).unwrap());
    drop(ledger);
    let opened = open(directory.path());
    assert_eq!((totals(&opened.history), opened.told), (totals(&history), Vec::new()));
}

#[test]
fn what_is_too_old_or_too_much_goes() {
    let directory = tempfile::tempdir().unwrap();
    let day = |ledger: &mut Ledger, day: u64| {
        let minutes = (0..1440).map(|minute| {
            let of = Minute::new(0x5555_5555 << (minute % 9), 0, minute * 977, minute);
            (subject("http"), (20_000 + day) * 1440 + minute, of)
        });
        ledger.write(&Batch { minutes: minutes.collect(), events: Vec::new() }).unwrap();
    };
    let limits = Limits { days: 4, ..Limits::default() };
    let mut ledger = Ledger::open(directory.path(), "lb1", limits).unwrap().ledger;
    (0..10).for_each(|number| day(&mut ledger, number));
    let files = |directory: &Path| names(directory).iter().filter(|name| *name != "lock").count();
    // Four and the one that is being measured; the oldest goes when a day is over.
    assert!((5..=6).contains(&files(directory.path())), "{:?}", names(directory.path()));
    drop(ledger);
    let bytes = 90_000;
    let mut ledger =
        Ledger::open(directory.path(), "lb1", Limits { bytes, ..Limits::default() }).unwrap().ledger;
    (10..20).for_each(|number| day(&mut ledger, number));
    drop(ledger);
    let _ = Ledger::open(directory.path(), "lb1", Limits { bytes, ..Limits::default() }).unwrap();
    let all: u64 = names(directory.path())
        .iter()
        .map(|name| fs::metadata(directory.path().join(name)).unwrap().len())
        .sum();
    assert!(all <= bytes as u64 && files(directory.path()) >= 2, "{all} {:?}", names(directory.path()));
}

#[test]
fn a_clock_that_was_wrong_by_days_leaves_no_days_that_are_still_to_come() {
    let directory = tempfile::tempdir().unwrap();
    let (_, batches) = measured(300);
    let mut ledger = open(directory.path()).ledger;
    batches.iter().for_each(|batch| ledger.write(batch).unwrap());
    ledger.forget_from(BEGIN + 30).unwrap();
    ledger
        .write(&Batch {
            minutes: vec![(subject("http"), BEGIN / MINUTE + 1, Minute::all_up(5))],
            events: Vec::new(),
        })
        .unwrap();
    drop(ledger);
    let left = open(directory.path()).history;
    assert_eq!(left.span(), Some((BEGIN, BEGIN + 119)));
    assert_eq!(left.series(&subject("http")).unwrap().totals(BEGIN, BEGIN + DAY).up, 90);
}

#[test]
fn a_log_of_which_nothing_was_written_yet_is_torn_and_a_day_of_which_nothing_is_left_is_damaged() {
    for begun in [0, 5, piece::BEGIN.len()] {
        let directory = tempfile::tempdir().unwrap();
        let bytes = [&piece::BEGIN[..begun], &[0; 4096]].concat();
        fs::write(directory.path().join("2026-11-25.log"), &bytes).unwrap();
        assert_eq!(open(directory.path()).told, [""; 0], "{begun}");
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("2026-11-25.day"), [0; 4096]).unwrap();
    let told = open(directory.path()).told;
    assert!(matches!(&told[..], [why] if why.contains("2026-11-25.day is damaged")), "{told:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Killed, or the power gone, after any byte, with zeros after it or not: what was written before is there.
    #[test]
    fn a_torn_log_keeps_all_that_was_whole(cut in any::<prop::sample::Index>(), zeros in prop_oneof![Just(0usize), 1..5_000usize]) {
        let directory = tempfile::tempdir().unwrap();
        let (_, batches) = measured(110);
        let log = directory.path().join("2026-11-25.log");
        let mut ledger = open(directory.path()).ledger;
        let ends: Vec<u64> = batches.iter().map(|batch| {
            ledger.write(batch).unwrap();
            fs::metadata(&log).unwrap().len()
        }).collect();
        drop(ledger);
        let bytes = fs::read(&log).unwrap();
        let cut = cut.index(bytes.len());
        let torn = [&bytes[..cut], &vec![0; zeros]].concat();
        fs::write(&log, &torn).unwrap();
        let opened = open(directory.path());
        prop_assert_eq!(opened.told, Vec::<String>::new());
        // A zero may be what was there.
        let whole = ends.iter().filter(|end| torn.get(..**end as usize) == Some(&bytes[..**end as usize])).count();
        let mut wanted = History::new("lb1", Limits::default());
        for (subject, number, minute) in batches[..whole].iter().flat_map(|batch| &batch.minutes) {
            wanted.put_minute(subject, *number, *minute);
        }
        prop_assert_eq!(totals(&opened.history), totals(&wanted));
    }

    /// A byte that is another, a piece that is missing, a file of somebody else's: it opens, says so, keeps the other day, and can be written.
    #[test]
    fn damage_costs_a_day_at_most_and_is_told(at in any::<prop::sample::Index>(), bit in 0..8u32, which in 0..2usize, how in 0..3u8) {
        let directory = tempfile::tempdir().unwrap();
        let (history, batches) = measured(300);
        let mut ledger = open(directory.path()).ledger;
        batches.iter().for_each(|batch| ledger.write(batch).unwrap());
        drop(ledger);
        let path = directory.path().join(["2026-11-25.day", "2026-11-26.log"][which]);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] ^= 1 << bit,
            1 => drop(bytes.splice(at..(at + 9).min(bytes.len()), [])),
            _ => bytes = vec![b'x'; bytes.len()],
        }
        fs::write(&path, &bytes).unwrap();
        let mut opened = open(directory.path());
        let other = BEGIN / DAY + 1 - which as u64;
        let of = |history: &History| history.series(&subject("https")).map(|series| series.totals(other * DAY, (other + 1) * DAY));
        prop_assert_eq!(of(&opened.history), of(&history));
        // It may look like a torn end; else it is told, and the file is there to be looked at.
        if !opened.told.is_empty() {
            prop_assert!(names(directory.path()).iter().any(|name| name.ends_with(".damaged")));
        }
        let all = totals(&opened.history);
        let more = Batch { minutes: vec![(subject("http"), BEGIN / MINUTE + 100, Minute::all_up(5))], events: Vec::new() };
        opened.ledger.write(&more).unwrap();
        drop(opened);
        let again = open(directory.path());
        prop_assert_eq!(again.told, Vec::<String>::new());
        prop_assert_eq!(totals(&again.history).iter().map(|of| of.1).sum::<u64>(), all.iter().map(|of| of.1).sum::<u64>() + 60);
    }
}
