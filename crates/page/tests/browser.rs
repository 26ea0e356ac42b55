//! The building blocks as a browser shows them; and that whoever looks would see what is wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

use std::path::PathBuf;

use maud::{PreEscaped, html};
use nines_page::*;
use nines_trial::browser::Browser;
use nines_trial::layout::{SCREENS, complaints};
use tempfile::TempDir;

fn written(directory: &TempDir, name: &str, page: &str) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, page).unwrap();
    path
}

fn plot() -> Plot {
    let wave = |n: u32| f64::from(n * 7 % 11);
    let up = |name, ink| Series::new(name, ink, Shape::Up, -1000.0, 10.0, (0..600).map(wave).collect());
    let down = |name, ink| Series::new(name, ink, Shape::Down, -1000.0, 10.0, (0..130).map(wave).collect());
    let line = Series::new("slowest", Ink::Neutral, Shape::Line, -1000.0, 10.0, (0..600).map(wave).collect());
    let outcomes = Panel::new("requests per 10 ms", Unit::Count, 170.0)
        .series(up("good", Ink::Good))
        .series(up("slow", Ink::Slow))
        .series(up("unknown", Ink::Unknown))
        .series(down("reset", Ink::Failed(0)))
        .series(down("timeout", Ink::Failed(1)))
        .series(down("503", Ink::Failed(2)))
        .series(down("refused", Ink::Failed(7)));
    let mut plot = Plot::new("Everything", "All that a plot can show.", (-1000.0, 5000.0), Unit::SinceMs)
        .time("time since the fault")
        .panel(outcomes)
        .panel(Panel::new("slowest", Unit::Ms, 80.0).series(line).limit(9.0, "promised: 9 ms"))
        .band(Band::faint(0.0, 3000.0))
        .band(Band::dark(40.0, 300.0, "gap of 260 ms, of which a lot can be said"))
        .mark(Mark::new(0.0, "killed").strong());
    for (at, label) in [
        (12.0, "noticed"),
        (14.0, "decided"),
        (40.0, "taken over"),
        (300.0, "first success"),
        (3000.0, "healed"),
    ] {
        plot = plot.mark(Mark::new(at, format!("{label} after {at} ms")));
    }
    plot.mark(Mark::new(4999.0, "healthy again after 5 s"))
}

fn drawing() -> Diagram {
    let zones = ["north", "south", "a-zone-with-a-rather-long-name"]
        .map(|name| (name.to_owned(), Some("europe".to_owned())));
    let mut diagram = Diagram::new("A system", "Drawn.", zones.to_vec()).tier(Tier::new("clients", vec![]));
    for tier in 0..3 {
        let words = vec!["answers on 10.0.1.100".to_owned(), ":80 → web".to_owned()];
        let mut made = Tier::new(format!("tier {tier}"), words).from(0);
        for host in 0..10 {
            let name = format!("host-with-a-long-name-{tier}-{host}");
            let words = vec![
                "2001:db8:aaaa:bbbb:cccc::1".to_owned(),
                "load balancer, first of all of them".to_owned(),
            ];
            made =
                made.place(host % 3, Chip::new(name, words).note(Tone::Bad, "2 of 9 broken").link("#case"));
        }
        diagram = diagram.tier(made);
    }
    diagram
}

fn sampler() -> String {
    let columns = [Column::text("What"), Column::number("How many").meaning("Counted"), Column::text("Why")];
    let tones = [Tone::Plain, Tone::Good, Tone::Unsure, Tone::Bad, Tone::Quiet];
    let row = |tone: Tone| {
        let why = html! { "because of a reason that takes more words than a narrow screen has room for" };
        vec![Cell::text("x".repeat(60)), Cell::text("12,345").tone(tone), Cell::words(why)]
    };
    let body = html! {
        h1 { "A page " @for tone in tones { (badge(tone, "a word")) " " } }
        (facts(&[("A name", html! { "a value" }), ("Another", html! { (badge(Tone::Bad, "1.2 s")) })]))
        (section("first", "A section", &html! {
            p { a href="#case" { "A link" } " and " code { ("some-code-".repeat(20)) } }
            (table("A table", &columns, tones.map(row).to_vec()))
        }))
        @for tone in tones {
            (card(if tone == Tone::Bad { "case" } else { tone_id(tone) }, tone, &html! {
                h3 { "A card " (badge(tone, "held")) }
                (plot().figure())
                (fold("A fold", &table("Within", &columns, vec![row(tone)])))
            }))
        }
        (drawing().figure())
    };
    Document::new("A sampler").made_by("nines").body(&body)
}

fn tone_id(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Good => "good",
        Tone::Unsure => "unsure",
        Tone::Bad => "bad",
        Tone::Quiet => "quiet",
    }
}

#[test]
fn every_block_can_be_read_on_every_screen() {
    let Some(mut browser) = Browser::start().unwrap() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = written(&directory, "sampler.html", &sampler());
    let found = complaints(&mut browser, &file, &SCREENS).unwrap();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A page with a flaw, and what must be said about it.
const FLAWS: [(&str, &str); 10] = [
    ("<p style='width:2000px'>wide</p>", "px wide on 360 px as it opens"),
    ("<details><summary>s</summary><div style='width:2000px'>wide</div></details>", "with all of it open"),
    ("<p style='color:#999'>pale</p>", "contrast of"),
    (
        "<svg viewBox='0 0 300 90'><text x='9' y='20'>one</text><text x='15' y='22'>two</text></svg>",
        "cover each other",
    ),
    ("<svg viewBox='0 0 300 90'><text x='290' y='20'>too far</text></svg>", "cut off by its drawing"),
    (
        "<svg viewBox='0 0 300 90'><rect class='chip' x='5' y='5' width='20' height='30'></rect><text x='9' y='20'>too long</text></svg>",
        "leaves its box",
    ),
    ("<p style='overflow:hidden;white-space:nowrap;width:20px'>cut off here</p>", "is cut off"),
    ("<a href='https://elsewhere.example/'>away</a>", "leads away"),
    ("<a href='#nowhere'>x</a>", "leads nowhere"),
    ("<img src='https://elsewhere.example/x.png' alt=''>", "Content Security Policy"),
];

#[test]
fn a_page_with_a_flaw_is_seen_through() {
    let Some(mut browser) = Browser::start().unwrap() else { return };
    let directory = tempfile::tempdir().unwrap();
    let check = |browser: &mut Browser, flaw: &str| {
        let page = Document::new("Flawed").body(&html! { p { "Text." } (PreEscaped(flaw)) });
        complaints(browser, &written(&directory, "flawed.html", &page), &SCREENS[..1]).unwrap().join("\n")
    };
    assert_eq!(check(&mut browser, ""), "");
    for (flaw, word) in FLAWS {
        let found = check(&mut browser, flaw);
        assert!(found.contains(word), "{flaw}: {found:?}");
    }
}
