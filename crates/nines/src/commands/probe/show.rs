//! What a person sees: a line that lives while it goes on, and a summary.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use nines_availability::bounds::{clopper_pearson, none_failed};
use nines_availability::measurement::{Measured, Subject};
use nines_availability::nines::Availability;
use nines_prober::{Asked, Outcome, Tally, Told};
use serde_json::{Value, json};

use super::Seen;
use crate::terminal::{self, BAD, BOLD, Cell, GOOD, PLAIN, UNSURE, duration, line, table, tell, thousands};

/// Between two pictures of the live line.
const DRAWN: Duration = Duration::from_millis(100);
/// Outages of a target that the text lists.
const OUTAGES: usize = 20;

pub(super) struct About {
    pub(super) vantage: String,
    pub(super) every: Duration,
    pub(super) lasted: Duration,
    pub(super) promised: Option<Availability>,
    /// Whether redirects were.
    pub(super) follow: bool,
}

/// On a terminal a line that changes; elsewhere a line for each outage's begin and end.
pub(super) struct Live {
    bar: ProgressBar,
    terminal: bool,
    drawn: Option<Instant>,
    latest: String,
}

impl Live {
    pub(super) fn new(json: bool) -> Self {
        let style = ProgressStyle::with_template("{spinner} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style);
        let terminal = std::io::stderr().is_terminal() && !json;
        Self { bar, terminal, drawn: None, latest: String::new() }
    }

    pub(super) fn asked(&mut self, asked: &Asked) {
        let ms = u64::try_from(asked.took.as_millis()).unwrap_or(u64::MAX);
        self.latest = match (&asked.outcome, asked.tried.last()) {
            (Outcome::Good, Some((address, _))) => format!("{} from {address}", duration(ms)),
            (Outcome::Good, None) => duration(ms),
            (Outcome::Failed(failure, why), _) => failure.with(why),
            (Outcome::Unknown(why), _) => why.clone(),
        };
    }

    pub(super) fn told(&self, subject: &Subject, told: &Told) {
        let said = match told {
            Told::Seconds(_) => return,
            Told::Down(of) => {
                let at = terminal::timestamp(of.from_us);
                format!("{at}  {} is down: {}", subject.name, of.first.with(&of.why))
            }
            Told::Up(of) => {
                let at = terminal::timestamp(of.to_us.unwrap_or(of.from_us));
                format!("{at}  {} answers again after {}", subject.name, span(of.lasted))
            }
        };
        self.bar.suspend(|| tell(said));
    }

    pub(super) fn turn(&mut self, seen: &[Seen], now: Instant) {
        if !self.terminal || self.drawn.is_some_and(|drawn| now.saturating_duration_since(drawn) < DRAWN) {
            return;
        }
        self.drawn = Some(now);
        let sum = |of: fn(&Tally) -> u64| thousands(seen.iter().map(|one| of(&one.tally)).sum());
        let (good, failed, unknown) = (sum(|one| one.good), sum(Tally::failed), sum(|one| one.unknown));
        let state = if seen.iter().any(|one| one.tally.is_down()) { "down" } else { "up" };
        self.bar.set_message(format!(
            "{state} · {good} good, {failed} failed, {unknown} unknown · {}",
            self.latest
        ));
        self.bar.tick();
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Of all that is known. Nothing known is nothing reached.
fn reached(tally: &Tally) -> Option<Availability> {
    let (bad, all) = (tally.failed(), tally.good + tally.failed());
    (all > 0).then(|| Availability::from_unavailability(bad as f64 / all as f64))
}

pub(super) fn is_kept(tally: &Tally, promised: Availability) -> bool {
    // What was stated is less exact than what was counted by its last bit.
    reached(tally)
        .is_some_and(|reached| reached.unavailability() <= promised.unavailability() * (1.0 + 1e-13))
}

/// What it may be at worst in the long run, if asking goes on like this: 95 %. Without a failure in n that is 3/n.
fn at_worst(tally: &Tally) -> Option<Availability> {
    let (bad, all) = (tally.failed(), tally.good + tally.failed());
    let lost = match bad {
        0 => none_failed(all, 0.95),
        bad => clopper_pearson(bad, all, 0.95).high,
    };
    (all > 0).then(|| Availability::from_unavailability(lost))
}

fn span(of: Duration) -> String {
    duration(u64::try_from(of.as_millis()).unwrap_or(u64::MAX))
}

fn micros(us: u64) -> String {
    if us < 10_000 { format!("{}.{} ms", us / 1000, us % 1000 / 100) } else { duration(us / 1000) }
}

pub(super) fn summary(about: &About, seen: &[Seen], json: Option<&Measured>) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    if let Some(measured) = json {
        let targets: Vec<Value> = seen.iter().map(|one| as_json(about, one)).collect();
        let all = json!({
            "version": 1, "vantage": about.vantage, "lasted_s": about.lasted.as_secs_f64(), "every_s": about.every.as_secs_f64(),
            "objective": about.promised, "targets": targets, "measured": [measured],
        });
        writeln!(out, "{all:#}")?;
        return Ok(());
    }
    for (index, one) in seen.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        let head = format!(
            "{} from {}, asked every {} for {}",
            one.subject.name,
            about.vantage,
            span(about.every),
            span(about.lasted)
        );
        writeln!(out, "{}", line(&[Cell::new(head, BOLD)], None))?;
        for line in table(&rows(about, &one.tally), terminal::width()) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

fn rows(about: &About, tally: &Tally) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Row> = Vec::new();
    let (failed, all) = (tally.failed(), tally.good + tally.failed());
    rows.push((
        "  asked",
        format!(
            "{}: {} good, {} failed, {} unknown",
            thousands(all + tally.unknown),
            thousands(tally.good),
            thousands(failed),
            thousands(tally.unknown)
        ),
        PLAIN,
    ));
    match (reached(tally), at_worst(tally)) {
        (Some(reached), Some(worst)) => {
            let style = if failed == 0 { GOOD } else { UNSURE };
            let text = format!(
                "{} of {}; in the long run at least {} (95 %)",
                reached.percent(1),
                thousands(all),
                worst.percent(1)
            );
            rows.push(("  available", text, style));
        }
        _ => rows.push(("  available", "nothing is known".to_owned(), BAD)),
    }
    if let Some(promised) = about.promised {
        let (word, style) = match is_kept(tally, promised) {
            true if at_worst(tally).is_some_and(|worst| worst >= promised) => ("kept", GOOD),
            true => ("kept so far; too little was asked to be sure of it", UNSURE),
            false => ("missed", BAD),
        };
        rows.push(("  objective", format!("{}: {word}", promised.as_stated()), style));
    }
    let [up, down, unknown] = tally.seconds;
    rows.push((
        "  seconds",
        format!("{} up, {} down, {} unknown", thousands(up), thousands(down), thousands(unknown)),
        PLAIN,
    ));
    let list = |counts: Vec<String>| counts.join(", ");
    if failed > 0 {
        let kinds = tally.failures.iter().map(|(failure, count)| format!("{} {failure}", thousands(*count)));
        rows.push(("  failed", list(kinds.collect()), BAD));
    }
    if tally.unknown > 0 {
        let reasons = tally.unknown_for.iter().map(|(why, count)| format!("{} {why}", thousands(*count)));
        rows.push(("  unknown", list(reasons.collect()), UNSURE));
    }
    rows.extend(answers(tally));
    if tally.redirected > 0 {
        let done = if about.follow { "followed" } else { "not followed: `--follow` asks where they lead" };
        rows.push(("  redirected", format!("{} times, {done}", thousands(tally.redirected)), PLAIN));
    }
    rows.extend(outages(tally));
    rows.into_iter().map(|(what, text, style)| vec![Cell::new(what, PLAIN), Cell::new(text, style)]).collect()
}

type Row = (&'static str, String, anstyle::Style);

/// How long it took, and who answered.
fn answers(tally: &Tally) -> Vec<Row> {
    let mut rows = Vec::new();
    rows.push(("  longest gap", span(tally.longest_gap), PLAIN));
    if tally.kept != (0, 0) {
        let ((good, failed), connections) = (tally.kept, tally.connections);
        let text = format!(
            "{} good and {} failed of those who keep their connection; they needed {}",
            thousands(good),
            thousands(failed),
            thousands(connections)
        );
        rows.push(("  kept alive", text, if failed > 0 { BAD } else { PLAIN }));
    }
    if let Some(slowest) = tally.slowest {
        let at = |share: f64| micros(tally.latency.value_at_quantile(share));
        let text = format!(
            "half in {}, 95 % in {}, 99 % in {}, slowest {}",
            at(0.5),
            at(0.95),
            at(0.99),
            micros(u64::try_from(slowest.as_micros()).unwrap_or(u64::MAX))
        );
        rows.push(("  answered", text, PLAIN));
    }
    for (address, (good, bad)) in &tally.addresses {
        rows.push((
            "  address",
            format!("{address}: {} good, {} failed", thousands(*good), thousands(*bad)),
            PLAIN,
        ));
    }
    rows
}

fn outages(tally: &Tally) -> Vec<Row> {
    let mut rows = Vec::new();
    let hidden = tally.outage_count.saturating_sub(OUTAGES as u64);
    if hidden > 0 {
        rows.push(("  outages", format!("{} earlier ones are not listed", thousands(hidden)), PLAIN));
    }
    for outage in tally.outages.iter().rev().take(OUTAGES).rev() {
        let when = match outage.to_us {
            Some(to) => format!("{} to {}", terminal::timestamp(outage.from_us), terminal::timestamp(to)),
            None => format!("since {}", terminal::timestamp(outage.from_us)),
        };
        let text = format!(
            "{when}, {}, {} failed: {}",
            span(outage.lasted),
            thousands(outage.failed),
            outage.first.with(&outage.why)
        );
        rows.push(("  outage", text, BAD));
    }
    rows
}

fn as_json(about: &About, one: &Seen) -> Value {
    let tally = &one.tally;
    let [up, down, unknown] = tally.seconds;
    let quantile = |share: f64| tally.latency.value_at_quantile(share) as f64 / 1e6;
    let answered = tally.slowest.map(|slowest| {
        json!({ "p50_s": quantile(0.5), "p95_s": quantile(0.95), "p99_s": quantile(0.99), "slowest_s": slowest.as_secs_f64() })
    });
    let outages: Vec<Value> = tally
        .outages
        .iter()
        .map(|of| {
            json!({
                "from_us": of.from_us, "to_us": of.to_us, "lasted_s": of.lasted.as_secs_f64(), "failed": of.failed,
                "unknown": of.unknown, "first": of.first.to_string(), "why": of.why,
            })
        })
        .collect();
    json!({
        "url": one.subject.name,
        "asked": tally.good + tally.failed() + tally.unknown,
        "good": tally.good,
        "failed": tally.failures.iter().map(|(failure, count)| (failure.to_string(), json!(count))).collect::<serde_json::Map<_, _>>(),
        "unknown": tally.unknown,
        "unknown_for": tally.unknown_for,
        "availability": reached(tally),
        "at_least": at_worst(tally),
        "kept": about.promised.map(|promised| is_kept(tally, promised)),
        "seconds": { "up": up, "down": down, "unknown": unknown },
        "longest_gap_s": tally.longest_gap.as_secs_f64(),
        "answered": answered,
        "kept_alive": { "good": tally.kept.0, "failed": tally.kept.1, "connections": tally.connections },
        "redirected": tally.redirected,
        "addresses": tally.addresses.iter().map(|(address, (good, bad))| (address.to_string(), json!({ "good": good, "failed": bad }))).collect::<serde_json::Map<_, _>>(),
        "outages": outages,
        "outage_count": tally.outage_count,
    })
}
