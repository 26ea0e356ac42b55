//! What is brought is kept, whatever the disk does; and what is not true any more is brought again.

use std::sync::mpsc::RecvTimeoutError::Disconnected;
use std::sync::mpsc::{Receiver as Answers, channel};
use std::time::Duration;

use nines_availability::measurement::{DAY, Kind, State, Subject, Tick};

use super::*;
use crate::read;

const BEGIN: Second = 20_782 * DAY + 40_020;

struct Owner {
    directory: PathBuf,
    history: History,
    keeper: Keeper,
    answers: Answers<Answer>,
}

impl Owner {
    fn start(directory: &Path) -> Self {
        let (says, answers) = channel();
        let says = move |answer| says.send(answer).is_ok();
        let mut keeper = Keeper::start(directory.to_owned(), "lb1", says);
        let answer = answers.recv().unwrap();
        let Heard::Opened(history, told) = keeper.hear(answer) else { panic!("not opened") };
        assert_eq!(told, [""; 0]);
        keeper.begin(BEGIN / MINUTE);
        keeper.describe(about());
        Self { directory: directory.to_owned(), history: *history, keeper, answers }
    }

    fn record(&mut self, seconds: std::ops::Range<Second>) {
        for second in seconds {
            let tick = Tick { from: second, to: second, step: None };
            self.history.record(&subject(), &tick, State::Up, 1, 0);
        }
    }

    fn keep(&mut self, now: Second) {
        self.keeper.keep(&self.history, about, now);
    }

    /// Everything that is said until nothing is under way.
    fn settle(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        while self.keeper.is_busy() {
            let answer = self.answers.recv_timeout(Duration::from_secs(20)).unwrap();
            heard.push(self.keeper.hear(answer));
        }
        heard
    }

    fn kept(&self) -> (u64, u64) {
        let history = read(&self.directory, 0).unwrap().history;
        let totals = history.series(&subject()).map(|series| series.totals(BEGIN, BEGIN + DAY));
        totals.map_or((0, 0), |totals| (totals.up, totals.down))
    }
}

fn subject() -> Subject {
    Subject::new(Kind::Listener, "front/http-80")
}

fn about() -> Measured {
    Measured {
        version: 1,
        system: "shop".to_owned(),
        objective: 0.999,
        objective_text: "99.9 %".to_owned(),
        now: BEGIN,
        ahead: 0,
        kept_in: None,
        problems: Vec::new(),
        related: Default::default(),
        history: History::new("lb1", Limits::default()),
    }
}

fn event(at: Second) -> Noted {
    Noted { at_ms: at * 1000, kind: "down".into(), subject: "web/app1".into(), why: "silent".into() }
}

#[test]
fn what_is_corrected_while_it_is_being_written_is_brought_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut owner = Owner::start(directory.path());
    owner.record(BEGIN..BEGIN + 70);
    owner.keep(BEGIN + 70);
    assert!(owner.keeper.is_busy());
    owner.history.correct(&subject(), BEGIN + 30, BEGIN + 40);
    owner.keeper.again_from((BEGIN + 30) / MINUTE);
    owner.settle();
    assert_eq!(owner.kept(), (70, 0));
    owner.keep(BEGIN + 70);
    owner.settle();
    assert_eq!(owner.kept(), (60, 10));
}

#[test]
fn an_older_answer_is_not_taken_for_that_of_the_batch_under_way() {
    let directory = tempfile::tempdir().unwrap();
    let mut owner = Owner::start(directory.path());
    owner.record(BEGIN..BEGIN + 5);
    owner.keeper.note(event(BEGIN + 1));
    owner.keep(BEGIN + 5);
    let first = owner.keeper.number;
    // The clock was set back meanwhile: what is under way is no more.
    owner.keeper.begin(BEGIN / MINUTE);
    owner.keep(BEGIN + 5);
    owner.keeper.hear(Answer::Kept(first));
    assert!(owner.keeper.is_busy() && owner.keeper.events.len() == 1);
    assert!(matches!(owner.keeper.hear(Answer::NotKept("full".into())), Heard::Failing(_)));
    assert!(!owner.keeper.is_kept() && !owner.keeper.is_busy());
    assert!(matches!(owner.keeper.hear(Answer::Kept(first)), Heard::KeptAgain));
    assert!(owner.keeper.is_kept() && owner.keeper.events.len() == 1);
}

#[test]
fn a_disk_that_takes_nothing_for_a_while_gets_everything_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("measured");
    let mut owner = Owner::start(&directory);
    // Where the day's log would be, something is in the way.
    let log = directory.join("2026-11-25.log");
    std::fs::create_dir_all(log.join("in the way")).unwrap();
    owner.record(BEGIN..BEGIN + 130);
    owner.keeper.note(event(BEGIN + 1));
    for turn in 0..3 {
        owner.keep(BEGIN + 60 + turn * 10);
        let heard = owner.settle();
        assert_eq!(turn == 0, matches!(heard[..], [Heard::Failing(_)]), "{turn}: {heard:?}");
    }
    assert!(owner.keeper.failing().is_some());
    std::fs::remove_dir_all(&log).unwrap();
    owner.keep(BEGIN + 130);
    let heard = owner.settle();
    assert!(matches!(heard[..], [Heard::KeptAgain]), "{heard:?}");
    assert_eq!((owner.kept(), owner.keeper.is_kept()), ((130, 0), true));
    assert_eq!(read(&directory, 0).unwrap().history.events().count(), 1);
}

#[test]
fn what_could_not_be_written_anew_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut owner = Owner::start(directory.path());
    owner.record(BEGIN..BEGIN + 130);
    owner.keep(BEGIN + 130);
    owner.settle();
    std::fs::remove_file(directory.path().join("2026-11-25.log")).unwrap();
    // Where the day is to be written anew, something is in the way.
    let day = directory.path().join("2026-11-25.day");
    std::fs::create_dir_all(day.join("in the way")).unwrap();
    owner.keep(BEGIN + 130);
    let heard = owner.settle();
    assert!(matches!(&heard[..], [Heard::Lost(_), Heard::Nothing]), "{heard:?}");
    owner.keep(BEGIN + 130);
    let heard = owner.settle();
    assert!(matches!(&heard[..], [Heard::Nothing, Heard::Failing(_)]), "{heard:?}");
    std::fs::remove_dir_all(&day).unwrap();
    owner.keep(BEGIN + 130);
    let heard = owner.settle();
    assert!(heard.iter().any(|heard| matches!(heard, Heard::KeptAgain)), "{heard:?}");
    assert_eq!((owner.kept(), owner.keeper.is_kept()), ((130, 0), true));
}

#[test]
fn what_is_measured_is_described_once_the_disk_takes_it() {
    let directory = tempfile::tempdir().unwrap();
    let in_the_way = directory.path().join("about.json").join("in the way");
    std::fs::create_dir_all(&in_the_way).unwrap();
    let mut owner = Owner::start(directory.path());
    let answer = owner.answers.recv().unwrap();
    assert!(matches!(owner.keeper.hear(answer), Heard::Failing(_)));
    std::fs::remove_dir_all(in_the_way.parent().unwrap()).unwrap();
    owner.record(BEGIN..BEGIN + 70);
    owner.keep(BEGIN + 70);
    let heard = owner.settle();
    assert!(matches!(heard[..], [Heard::KeptAgain]), "{heard:?}");
    assert_eq!(owner.kept(), (70, 0));
}

#[test]
fn of_too_many_events_the_latest_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut owner = Owner::start(directory.path());
    owner.record(BEGIN..BEGIN + 5);
    let most = EVENTS as u64;
    (0..most + 5).for_each(|at| owner.keeper.note(event(BEGIN + at)));
    owner.keep(BEGIN + 5);
    // Those that come while it is under way are brought with the next.
    (most + 5..most + 8).for_each(|at| owner.keeper.note(event(BEGIN + at)));
    owner.settle();
    assert_eq!(owner.keeper.events.len(), 3);
    owner.keep(BEGIN + 5);
    owner.settle();
    assert!(owner.keeper.events.is_empty());
    let there: Vec<u64> =
        read(directory.path(), 0).unwrap().history.events().map(|event| event.at_ms).collect();
    assert_eq!(there, (5..most + 8).map(|at| (BEGIN + at) * 1000).collect::<Vec<_>>());
}

#[test]
fn the_end_keeps_what_is_there_and_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut owner = Owner::start(directory.path());
    owner.record(BEGIN..BEGIN + 100);
    owner.keep(BEGIN + 100);
    owner.record(BEGIN + 100..BEGIN + 130);
    owner.keeper.note(event(BEGIN + 119));
    owner.keeper.note(event(BEGIN + 120));
    // And nothing of it that has no name any more.
    owner.history.forget_from(BEGIN + 120);
    owner.keeper.forget_from(BEGIN + 120);
    owner.keeper.end(&owner.history, about, BEGIN + 130, true);
    assert_eq!(owner.kept(), (120, 0));
    let there = read(directory.path(), 0).unwrap().history;
    assert_eq!(there.events().collect::<Vec<_>>(), [&event(BEGIN + 119)]);
    owner.settle();
    assert!(owner.keeper.is_kept());
    // And nobody else is kept out any more.
    Owner::start(directory.path());
}

#[test]
fn who_gets_no_directory_is_told_why_and_nothing_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Owner::start(directory.path());
    let (says, answers) = channel();
    let mut second = Keeper::start(directory.path().to_owned(), "lb1", move |a| says.send(a).is_ok());
    let heard = second.hear(answers.recv().unwrap());
    assert!(matches!(heard, Heard::NotOpened(LedgerError::Taken(_))), "{heard:?}");
    first.record(BEGIN..BEGIN + 5);
    second.keep(&first.history, about, BEGIN + 5);
    second.end(&first.history, about, BEGIN + 5, true);
    assert!(!second.is_busy() && !second.is_kept());
}

#[test]
fn a_directory_that_opens_once_it_is_given_up_is_left_as_it_is_and_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let (says, answers) = channel();
    let mut keeper = Keeper::start(directory.path().to_owned(), "lb1", move |a| says.send(a).is_ok());
    keeper.close();
    assert!(matches!(keeper.hear(answers.recv().unwrap()), Heard::Opened(..)));
    assert!(!keeper.is_kept());
    keeper.describe(about());
    keeper.keep(&History::new("lb1", Limits::default()), about, BEGIN);
    assert!(!keeper.is_busy());
    // Its thread has ended, and with it the lock.
    assert!(answers.recv_timeout(Duration::from_secs(20)).is_err_and(|error| error == Disconnected));
    assert!(!directory.path().join("about.json").exists());
    Owner::start(directory.path());
}
