//! Pages of made-up measurements, from none to too many, looked at in a browser.

use nines_availability::measurement::{
    DAY, Day, HOUR, History, Limits, Minute, Noted, State, Subject, Tick, Totals, usual_windows,
};
use nines_trial::browser::Browser;
use nines_trial::layout::{SCREENS, complaints};

use super::*;

/// 2026-11-25 14:37:21.
const NOW: Second = 1_795_617_441;

fn subject(kind: Kind, name: &str) -> Subject {
    Subject::new(kind, name)
}

fn measured(vantage: &str, objective: (f64, &str)) -> Measured {
    Measured {
        version: 1,
        system: "shop".to_owned(),
        objective: objective.0,
        objective_text: objective.1.to_owned(),
        now: NOW,
        ahead: 0,
        kept_in: Some(format!("/var/lib/nines/{vantage}.state/measured")),
        problems: Vec::new(),
        related: ["listener front/http-80", "pool web"]
            .map(|of| (of.to_owned(), vec!["web".to_owned()]))
            .into(),
        history: History::new(vantage, Limits::default()),
    }
}

/// Up all the time from so many days ago to now, with as many requests a minute.
fn good(of: &mut Measured, subject: &Subject, days: u64, requests: u64) {
    let first = NOW - days * DAY;
    let whole = Day::pack(&vec![Minute::all_up(requests); 1440]);
    for day in (first / DAY + 1)..(NOW / DAY) {
        of.history.put_day(subject, day, &whole);
    }
    let minute = |number: u64| number..number + 1;
    of.history.record(
        subject,
        &Tick { from: NOW / MINUTE * MINUTE, to: NOW - 1, step: None },
        State::Up,
        1,
        0,
    );
    let ends = [first / MINUTE..(first / DAY + 1) * 1440, NOW / DAY * 1440..NOW / MINUTE];
    for number in ends.into_iter().flatten().flat_map(minute) {
        of.history.put_minute(subject, number, Minute::all_up(requests));
    }
}

/// Something else for a while, second by second, in whole minutes.
fn but(of: &mut Measured, subject: &Subject, from: Second, seconds: u64, state: State) {
    for number in from / MINUTE..(from + seconds).div_ceil(MINUTE) {
        let mut minute = Minute::new(0, 0, if state == State::Down { 12 } else { 40 }, 0);
        for second in number * MINUTE..(number + 1) * MINUTE {
            let within = (from..from + seconds).contains(&second);
            if second < NOW {
                minute.record(second, if within { state } else { State::Up });
            }
        }
        minute.bad = if state == State::Down { 3 * minute.down() } else { 0 };
        of.history.put_minute(subject, number, minute);
    }
}

fn note(of: &mut Measured, at: Second, kind: &str, subject: &str, why: &str) {
    let (kind, subject, why) = (kind.to_owned(), subject.to_owned(), why.to_owned());
    of.history.note(Noted { at_ms: at * 1000 + 217, kind, subject, why });
}

fn three_subjects() -> [Subject; 3] {
    [subject(Kind::Listener, "front/http-80"), subject(Kind::Pool, "web"), subject(Kind::Database, "orders")]
}

fn nothing() -> Vec<Measured> {
    vec![Measured { kept_in: None, ..measured("lb1", (0.999, "99.9 %")) }]
}

fn good_month() -> Vec<Measured> {
    let mut lb1 = measured("lb1", (0.999, "99.9 %"));
    for subject in &three_subjects() {
        good(&mut lb1, subject, 43, 60_000);
    }
    let [listener, pool, orders] = three_subjects();
    but(&mut lb1, &orders, NOW - 9 * DAY, 4, State::Down);
    note(&mut lb1, NOW - 9 * DAY, "takeover", "orders", "the lease ran out, and this host has everything");
    note(&mut lb1, NOW - 9 * DAY + 2, "taken", "orders", "serves writes since generation 4");
    for of in [&listener, &pool] {
        but(&mut lb1, of, NOW - 20 * DAY, 40, State::Unknown);
    }
    vec![lb1]
}

/// Four hours after an upgrade that went wrong, seen by two, one of which was away.
fn bad_day() -> Vec<Measured> {
    let mut both = ["lb1", "lb2"].map(|name| measured(name, (0.9995, "99.95 %")));
    for of in &mut both {
        for subject in &three_subjects() {
            good(of, subject, 12, 900);
        }
    }
    let [listener, pool, orders] = three_subjects();
    for of in &mut both {
        for subject in [&listener, &pool] {
            but(of, subject, NOW - 4 * HOUR, 19 * MINUTE + 13, State::Down);
            but(of, subject, NOW - 3 * HOUR, 31, State::Down);
            but(of, subject, NOW - 7 * MINUTE, 7 * MINUTE, State::Down);
            but(of, subject, NOW - 6 * DAY, 47 * MINUTE, State::Unknown);
        }
        but(of, &orders, NOW - 4 * HOUR + 60, 45, State::Down);
    }
    let [lb1, lb2] = &mut both;
    but(lb2, &listener, NOW - 20 * HOUR, 5 * HOUR, State::Unknown);
    but(lb1, &listener, NOW - 18 * HOUR, 2 * HOUR, State::Unknown);
    but(lb1, &pool, NOW - 18 * HOUR, 2 * HOUR, State::Unknown);
    but(lb2, &pool, NOW - 17 * HOUR, 95, State::Down);
    for n in 1..=6 {
        let why = "3 failures in a row: connection refused";
        note(lb1, NOW - 4 * HOUR + n, "down", &format!("web/app{n}:8080"), why);
        note(
            lb1,
            NOW - 4 * HOUR + 19 * MINUTE + n,
            "up",
            &format!("web/app{n}:8080"),
            "2 good answers in a row",
        );
    }
    note(lb1, NOW - 7 * MINUTE, "down", "web/app1:8080", "no answer within 500 ms");
    note(lb1, NOW - 4 * HOUR + 62, "takeover", "orders", "the lease ran out");
    lb2.problems =
        vec!["/var/lib/nines/lb2.state/measured: No space left on device; kept in memory".to_owned()];
    both.into()
}

fn three_vantages() -> Vec<Measured> {
    let mut all = ["lb1", "lb2", "probe-frankfurt"].map(|name| measured(name, (0.999, "99.9 %")));
    let [listener, pool, orders] = three_subjects();
    let url = subject(Kind::Url, "https://shop.example/checkout?step=1");
    for of in &mut all[..2] {
        for subject in [&listener, &pool, &orders] {
            good(of, subject, 95, 2000);
        }
    }
    good(&mut all[2], &url, 33, 60);
    but(&mut all[0], &listener, NOW - 5 * HOUR, 120, State::Down);
    but(&mut all[2], &url, NOW - 5 * HOUR + 10, 130, State::Down);
    but(&mut all[2], &url, NOW - 50 * HOUR, 20, State::Down);
    but(&mut all[1], &listener, NOW - 30 * HOUR, 90, State::Down);
    all[1].ahead = 3;
    all.into()
}

/// With names as long as somebody may think of, and everything that can be drawn.
fn many(subjects: usize, days: u64) -> Vec<Measured> {
    let mut lb1 = measured("load-balancer-number-one.frankfurt.example", (0.999, "99.9 %"));
    let minutes: Vec<Minute> = (0..1440u64)
        .map(|n| match n % 60 {
            7 => Minute::new(u64::MAX, 0xf0, 20, 4),
            11 | 12 => Minute::default(),
            31 if n % 120 > 60 => Minute::new(0, u64::MAX, 0, 9),
            n => Minute::all_up(n % 5),
        })
        .collect();
    let day = Day::pack(&minutes);
    for n in 0..subjects {
        let kind = [Kind::Listener, Kind::Pool, Kind::Database, Kind::Url][n % 4];
        let name =
            format!("a-subject-with-a-rather-long-name-that-nobody-would-type/and-its-part-number-{n:03}");
        let subject = subject(kind, &name);
        for number in NOW / DAY - days..NOW / DAY {
            lb1.history.put_day(&subject, number, &day);
        }
        lb1.related.insert(subject.to_string(), vec!["web".to_owned()]);
    }
    let why = "<b>connection refused</b> by a host that has been told to go, and went ".repeat(4);
    for n in 0..400 {
        note(&mut lb1, NOW / DAY * DAY - n * 97, "down", &format!("web/app{n}:8080"), &why);
    }
    vec![lb1]
}

fn predicted() -> Option<[Availability; 3]> {
    Some([0.999, 0.9996, 0.9999].map(Availability::from_fraction))
}

fn made(all: &[Measured]) -> String {
    let report = Report::of(all, 0, &usual_windows(), predicted()).unwrap();
    page(&report, &Around { all, since: 0, file: Some("shop.toml") })
}

/// The text of a page, without its markup.
fn text(page: &str) -> String {
    let body = page.split("<body>").nth(1).unwrap();
    let parts = body.split('<').filter_map(|part| part.split_once('>'));
    parts.map(|(_, text)| text).collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn nothing_measured_is_neither_good_nor_bad() {
    let page = made(&nothing());
    let text = text(&page);
    assert!(text.contains("nothing measured yet") && !text.contains("100 %"), "{text}");
    assert!(!page.contains("class=\"badge good\"") && !page.contains("class=\"badge bad\""));
}

#[test]
fn the_figures_of_the_report_are_on_the_page_with_what_they_were_made_of() {
    let all = good_month();
    let report = Report::of(&all, 0, &usual_windows(), predicted()).unwrap();
    let text = text(&made(&all));
    let whole = report.service.as_ref().unwrap();
    for window in &whole.windows {
        let (time, requests) = (window.by_time.unwrap(), window.by_request.unwrap());
        for said in [
            time.likely.percent(1),
            time.worst.percent(1),
            time.best.percent(1),
            thousands(time.up),
            thousands(time.up + time.down),
            requests.likely.percent(1),
            thousands(requests.good),
            thousands(requests.all),
        ] {
            assert!(text.contains(&said), "{}: {said}", window.window);
        }
    }
    for said in [
        "Promised 3 nines 99.9 %",
        "Predicted 3 nines 99.96 % 99.90 % 99.990 %",
        "too short to tell",
        "within budget",
        "14.4",
        "somebody is woken",
    ] {
        assert!(text.contains(said), "{said} in {text}");
    }
}

#[test]
fn an_outage_is_told_once_with_all_that_was_down_who_saw_it_and_why() {
    let page = made(&bad_day());
    let text = text(&page);
    // Those of the listener, the pool and the whole are one each; the database's lies within one; the pool's as lb2 alone saw it.
    assert!(text.contains("4 times in which something was down"), "{text}");
    assert_eq!(page.matches("<article id=\"outage-").count(), 4);
    for said in [
        "budget overspent",
        "2026-11-25 10:37:21 to 10:56:34: 19 min 13 s",
        "goes on",
        "web/app1:8080: 3 failures in a row: connection refused",
        "lb1, lb2",
        "No space left on device",
        "made of the others",
        "up again",
    ] {
        assert!(text.contains(said), "{said} in {text}");
    }
}

#[test]
fn where_vantages_differ_both_are_told() {
    let mut all = three_vantages();
    // One of the load balancers saw no outage where the other did, and that is none.
    let page = made(&all);
    let text_of = text(&page);
    assert!(text_of.contains("Down, as seen by some"), "{text_of}");
    assert_eq!(page.matches("<article id=\"outage-").count(), 2, "of the prober alone");
    let [listener, ..] = three_subjects();
    but(&mut all[1], &listener, NOW - 5 * HOUR, 60, State::Unknown);
    let text_of = text(&made(&all));
    assert!(text_of.contains("lb1; unknown to lb2"), "{text_of}");
}

#[test]
fn unknown_time_is_never_good() {
    // A month of which almost nothing is known, and what is known was up.
    let mut lb1 = measured("lb1", (0.999, "99.9 %"));
    let [listener, ..] = three_subjects();
    for at in [NOW - 31 * DAY, NOW - 60] {
        lb1.history.record(&listener, &Tick { from: at, to: at + 9, step: None }, State::Up, 0, 0);
    }
    let page = made(&[lb1]);
    assert!(text(&page).contains("as far as is known"), "{}", text(&page));
    let head = page.split("<section").next().unwrap();
    assert!(!head.contains("badge good"), "{head}");
    let hour = HOUR as f64;
    let slot = |up, down| Totals { seconds: HOUR, up, down, ..Totals::default() };
    for (up, down) in [(0, 0), (1, 0), (3599, 0), (0, 1), (3598, 1), (0, 3600)] {
        let [red, hatched, _, blue] =
            super::subject::shares(&slot(up, down), Availability::from_fraction(0.999));
        assert!((red + hatched + blue - 1.0).abs() < 1e-9);
        assert!(red >= down as f64 / hour * 0.7 && (down == 0) == (red == 0.0), "{up} {down}: {red}");
        assert_eq!(up + down == HOUR, hatched == 0.0, "{up} {down}: {hatched}");
        assert_eq!(up == 0, blue == 0.0);
    }
}

#[test]
fn what_came_from_outside_is_never_markup() {
    let mut all = many(3, 2);
    all[0].system = "<script>alert(1)</script>".to_owned();
    all[0].problems = vec!["</title><img src=x>".to_owned()];
    let page = made(&all);
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"));
}

#[test]
fn a_page_is_bounded_however_much_was_measured() {
    let small = made(&good_month());
    assert!(small.len() < 150_000, "{}", small.len());
    let page = made(&many(60, 32));
    println!("{} bytes", page.len());
    assert!(page.len() < 6_000_000, "{}", page.len());
    assert_eq!(page.matches("<article id=\"of-").count(), SUBJECTS + 1);
    assert!(text(&page).contains("20 more are not"));
}

#[test]
fn every_page_can_be_read_on_every_screen() {
    let Some(mut browser) = Browser::start().unwrap() else { return };
    // With NINES_PAGES they are kept there, to be looked at.
    let directory = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("NINES_PAGES").map(std::path::PathBuf::from);
    let mut wrong = Vec::new();
    for (name, all) in [
        ("nothing", nothing()),
        ("month", good_month()),
        ("bad-day", bad_day()),
        ("vantages", three_vantages()),
        ("many", many(7, 3)),
    ] {
        let file = kept.as_deref().unwrap_or(directory.path()).join(format!("measured-{name}.html"));
        std::fs::write(&file, made(&all)).unwrap();
        let found = complaints(&mut browser, &file, &SCREENS).unwrap();
        wrong.extend(found.into_iter().map(|what| format!("{name}, {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
