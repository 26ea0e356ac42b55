//! Whole reports of made-up systems.

use super::*;
use crate::measurement::{HOUR, Limits, MINUTE, Milestone, State, Tick};

const BEGIN: Second = 20_782 * DAY + 12 * HOUR;

/// A host that sees `front/http-80` for so many seconds; `state` of each, with two requests a second where it is up, or one that fails.
fn measured(vantage: &str, seconds: u64, state: impl Fn(u64) -> State) -> Measured {
    let mut history = History::new(vantage, Limits::default());
    let subject = Subject::new(Kind::Listener, "front/http-80");
    for offset in 0..seconds {
        let second = BEGIN + offset;
        let (good, bad) = match state(offset) {
            State::Up => (2, 0),
            State::Down => (0, 1),
            State::Unknown => (0, 0),
        };
        history.record(&subject, &Tick { from: second, to: second, step: None }, state(offset), good, bad);
    }
    Measured {
        version: 1,
        system: "shop".into(),
        objective: 0.999,
        objective_text: "99.9 %".into(),
        now: BEGIN + seconds,
        ahead: 0,
        kept_in: None,
        problems: Vec::new(),
        related: [(subject.to_string(), vec!["web".to_owned()])].into(),
        history,
    }
}

fn note(of: &mut Measured, offset_ms: u64, kind: &str, subject: &str) {
    let at_ms = BEGIN * 1000 + offset_ms;
    of.history.note(Noted { at_ms, kind: kind.into(), subject: subject.into(), why: "silent".into() });
}

#[test]
fn figures_and_their_bounds_add_up() {
    // An hour: 30 s down, and 60 s in which nobody looked.
    let one = measured("lb1", HOUR, |offset| match offset {
        600..630 => State::Down,
        1200..1260 => State::Unknown,
        _ => State::Up,
    });
    let report = Report::of(&[one], 0, &usual_windows(), None).unwrap();
    let subject = &report.subjects[0];
    let window = &subject.windows[2];
    assert_eq!((window.window.as_str(), window.asked, window.to - window.from), ("30d", 30 * DAY, HOUR));
    let by_time = window.by_time.unwrap();
    assert_eq!((by_time.up, by_time.down, by_time.unknown), (3510, 30, 60));
    let lost = |of: Availability| of.unavailability();
    assert!((lost(by_time.likely) - 30.0 / 3540.0).abs() < 1e-12);
    assert!((lost(by_time.worst) - 90.0 / 3600.0).abs() < 1e-12);
    assert!((lost(by_time.best) - 30.0 / 3600.0).abs() < 1e-12);
    let by_request = window.by_request.unwrap();
    assert_eq!((by_request.good, by_request.all), (7020, 7050));
    assert!(by_request.worst < by_request.likely && by_request.likely < by_request.best);
    // 99.9 % of 30 days: 2,592 s.
    let budget = &subject.budget;
    assert!((budget.left_by_time - (1.0 - 30.0 / 2592.0)).abs() < 1e-9);
    assert!((budget.left_at_worst - (1.0 - 90.0 / 2592.0)).abs() < 1e-9);
    assert!(
        (budget.left_by_request.unwrap() - (1.0 - 30.0 / 7050.0 / 0.001 * 3540.0 / 2_592_000.0)).abs() < 1e-9
    );
    // Over the hour faster than 6 times, not 14.4; over the latest five minutes not at all.
    let burn = &subject.burn[0];
    assert!((burn.over_long.unwrap() - 30.0 / 3600.0 / 0.001).abs() < 1e-9);
    assert_eq!((burn.over_short, burn.told), (Some(0.0), false));
    let worst: Vec<Option<u64>> =
        subject.worst.iter().map(|of| of.by_time.map(|(_, totals)| totals.down)).collect();
    assert_eq!(worst, [Some(30); 4]);
    assert_eq!(subject.outages.len(), 1);
    // The whole is its only part.
    assert_eq!(report.service.unwrap().windows[2].totals.down, 30);
}

#[test]
fn both_windows_must_burn_before_somebody_is_told() {
    let now =
        |from: u64| measured("lb1", HOUR, move |offset| if offset >= from { State::Down } else { State::Up });
    let told = |of: Measured| {
        Report::of(&[of], 0, &usual_windows(), None).unwrap().subjects[0]
            .burn
            .iter()
            .map(|burn| burn.told)
            .collect::<Vec<_>>()
    };
    // 14.4 times 0.1 % of an hour is 52 s.
    assert!(told(now(HOUR - 70))[0]);
    assert!(!told(now(HOUR - 3))[0]);
    let over = measured("lb1", HOUR, |offset| if offset < 70 { State::Down } else { State::Up });
    assert!(!told(over)[0], "it is over");
}

#[test]
fn a_daemon_that_has_only_begun_does_not_cry() {
    let report = |of: Measured| Report::of(&[of], 0, &usual_windows(), None).unwrap().subjects.remove(0);
    // 45 s, a third of them down.
    let young = report(measured("lb1", 45, |offset| if offset < 15 { State::Down } else { State::Up }));
    for burn in &young.burn {
        assert!(!burn.told && !burn.enough, "{burn:?}");
        // Fifteen seconds of the window, at least; by request no more than that.
        assert!((burn.over_long.unwrap() - 15.0 / burn.long as f64 / 0.001).abs() < 1e-9, "{burn:?}");
    }
    assert!(young.budget.left_by_time > 0.99 && young.budget.left_by_request.unwrap() > 0.99);
    // Half of a window is enough to say that it burns; of three days that is a day and a half.
    let grown =
        report(measured("lb1", HOUR / 2, |offset| if offset > 1500 { State::Down } else { State::Up }));
    let told: Vec<(bool, bool)> = grown.burn.iter().map(|burn| (burn.enough, burn.told)).collect();
    assert_eq!(told, [(true, true), (false, false), (false, false), (false, false)]);
}

#[test]
fn a_few_failed_requests_are_no_alarm_and_overspend_nothing() {
    let of = |bad: u64| {
        let mut series = Series::default();
        for second in 0..31 * DAY {
            series.record(second, State::Up);
        }
        // At night there is hardly anybody else.
        series.count(31 * DAY - 100, 1, bad);
        series
    };
    let objective = Objective {
        target: Availability::from_fraction(0.999),
        window: Duration::from_secs(OBJECTIVE_WINDOW),
    };
    let now = 31 * DAY;
    for (bad, alarm) in [(1, false), (5, false), (6, true)] {
        let series = of(bad);
        let told = Burn::of(&objective, &series, now).iter().any(|burn| burn.told);
        let budget = Budget::of(&objective, &series.totals(now - OBJECTIVE_WINDOW, now));
        assert_eq!((told, budget.left_by_request.unwrap() < 0.0), (alarm, alarm), "{bad}");
    }
}

#[test]
fn an_outage_has_its_timeline_and_its_reason() {
    let mut one =
        measured("lb1", HOUR, |offset| if (600..610).contains(&offset) { State::Down } else { State::Up });
    note(&mut one, 590_000, "up", "web/app2");
    note(&mut one, 599_800, "down", "web/app1");
    note(&mut one, 600_100, "down", "other/app9");
    note(&mut one, 605_000, "takeover", "web");
    note(&mut one, 609_000, "returned", "web/app1");
    let report = Report::of(&[one], 0, &usual_windows(), None).unwrap();
    let outage = &report.subjects[0].outages[0];
    assert_eq!((outage.from, outage.to, outage.failed), (BEGIN + 600, BEGIN + 610, 10));
    assert!(!outage.began_unseen && !outage.ended_unseen && !outage.lasts);
    assert_eq!(outage.cause.as_deref(), Some("web/app1: silent"));
    let told: Vec<Milestone> = outage.timeline.iter().map(|moment| moment.what).collect();
    let wanted = [Milestone::Detected, Milestone::Decided, Milestone::Rerouted, Milestone::UpAgain];
    assert_eq!(told, wanted);
}

#[test]
fn that_a_daemon_starts_is_no_reason_to_be_down_and_that_it_stops_is_one() {
    for (why, cause) in [("started with shop.toml", None), ("told to stop", Some("web: told to stop"))] {
        let mut one =
            measured(
                "lb1",
                HOUR,
                |offset| if (600..610).contains(&offset) { State::Down } else { State::Up },
            );
        let at_ms = (BEGIN + 595) * 1000;
        one.history.note(Noted { at_ms, kind: "daemon".into(), subject: "web".into(), why: why.into() });
        let report = Report::of(&[one], 0, &usual_windows(), None).unwrap();
        assert_eq!(report.subjects[0].outages[0].cause.as_deref(), cause);
    }
}

#[test]
fn that_members_serve_again_is_no_detection() {
    let mut one =
        measured("lb1", HOUR, |offset| if (600..610).contains(&offset) { State::Down } else { State::Up });
    let mut say = |offset_ms: u64, why: &str| {
        let at_ms = BEGIN * 1000 + offset_ms;
        one.history.note(Noted { at_ms, kind: "serving".into(), subject: "web".into(), why: why.into() });
    };
    say(590_000, "2 of 2 members healthy: healthy members serve");
    say(601_000, "0 of 2 members healthy, below 50 %: all members serve");
    say(609_500, "1 of 2 members healthy: healthy members serve");
    let report = Report::of(&[one], 0, &usual_windows(), None).unwrap();
    let outage = &report.subjects[0].outages[0];
    let told: Vec<Milestone> = outage.timeline.iter().map(|moment| moment.what).collect();
    assert_eq!(told, [Milestone::Detected, Milestone::Rerouted, Milestone::UpAgain]);
    assert_eq!(outage.cause.as_deref(), Some("web: 0 of 2 members healthy, below 50 %: all members serve"));
}

#[test]
fn who_takes_over_fills_in_what_the_other_could_not_see() {
    // lb1 dies after ten minutes. lb2, which was not on duty, answers three seconds later.
    let one = measured("lb1", 600, |_| State::Up);
    let two = measured("lb2", 1200, |offset| if offset < 603 { State::Unknown } else { State::Up });
    let report = Report::of(&[one, two], 0, &usual_windows(), None).unwrap();
    let window = &report.subjects[0].windows[3];
    assert_eq!((window.totals.up, window.totals.down, window.totals.unknown()), (1197, 0, 3));
    assert_eq!(report.subjects[0].vantages, ["lb1", "lb2"]);
    // A prober outside knows of the three.
    let mut outside = measured("probe", 1200, |_| State::Unknown);
    let url = Subject::new(Kind::Url, "https://shop.example/");
    for offset in 0..1200 {
        let state = if (600..603).contains(&offset) { State::Down } else { State::Up };
        let second = BEGIN + offset;
        outside.history.record(&url, &Tick { from: second, to: second, step: None }, state, 0, 0);
    }
    let hosts = [measured("lb1", 600, |_| State::Up), outside];
    let service = Report::of(&hosts, 0, &usual_windows(), None).unwrap().service.unwrap();
    assert_eq!((service.windows[3].totals.up, service.windows[3].totals.down), (1197, 3));
}

#[test]
fn the_prediction_is_compared_in_words() {
    let of = |fraction: f64| Availability::from_fraction(fraction);
    let predicted = [0.99, 0.9998, 0.9999].map(of);
    let verdict =
        |one: Measured| Report::of(&[one], 0, &usual_windows(), Some(predicted)).unwrap().comparison.unwrap();
    let short = verdict(measured("lb1", HOUR, |_| State::Up));
    assert_eq!(short.verdict, Verdict::TooShort);
    assert!(
        short.text.starts_with(
            "99.98 % predicted (between 99.0 % and 99.990 %), 100 % measured over 1 h: too short to tell"
        ),
        "{}",
        short.text
    );
    // A hundred days, by the minute.
    let long = |down: u64| {
        let mut one = measured("lb1", 0, |_| State::Up);
        let subject = Subject::new(Kind::Listener, "front/http-80");
        for minute in 0..100 * 1440 {
            let of = if minute < down {
                super::super::Minute::new(0, u64::MAX, 0, 0)
            } else {
                super::super::Minute::all_up(0)
            };
            one.history.put_minute(&subject, BEGIN / MINUTE + minute, of);
        }
        one.now = BEGIN + 100 * DAY;
        verdict(one).verdict
    };
    // Likely: 29 min; at worst a day in a hundred; at best 14 min.
    assert_eq!(
        [long(5), long(30), long(2_000), long(6_000)],
        [Verdict::Better, Verdict::AsPredicted, Verdict::Worse, Verdict::Worse]
    );
}
