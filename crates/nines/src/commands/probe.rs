//! `nines probe`: a service as a new client sees it, from wherever this runs.

mod keep;
mod show;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use nines_availability::measurement::{Kind, Subject};
use nines_availability::nines::Availability;
use nines_prober::{Asker, Heard, Pace, Roots, Rules, Scheme, Tally, Target, probe};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::terminal::tell;
use crate::{EXIT_BAD, EXIT_USAGE};
use keep::Keeper;

/// Targets of one prober.
const TARGETS: usize = 32;
/// Questions that may be unanswered at one time.
const IN_FLIGHT: f64 = 5_000.0;

/// As a shell says of a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to ask: `http://…`, `https://…`, `tcp://host:port`, `postgres://user@host/database` (its password: $PGPASSWORD; with
    /// `?sslmode=verify-full` by TLS with a certificate that is checked, with `?write` it is asked to commit)
    // Taken apart later: a refusal must not repeat what may have a password in it.
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// From one time that it is asked to the next, whether it has answered or not
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = every)]
    every: Duration,
    /// An answer that takes longer, its name's look-up included, is a failure
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = timeout)]
    timeout: Duration,
    /// How long; without it, until Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = nines_system::read_duration)]
    lasts: Option<Duration>,
    /// What this place is called in reports; otherwise the machine's name
    #[arg(long, value_name = "NAME")]
    vantage: Option<String>,
    /// Statuses that are good
    #[arg(long, value_name = "STATUSES", default_value = "200-399", value_parser = statuses, value_delimiter = ',')]
    expect: Vec<RangeInclusive<u16>>,
    /// What an answer must contain
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Follow redirects, five at most; otherwise a redirect is the answer, and good or not by its status
    #[arg(long)]
    follow: bool,
    /// Every second question goes over a connection that is kept, as most clients do; otherwise each has a new one
    #[arg(long)]
    keep_alive: bool,
    /// Authorities to trust for https and `sslmode=verify-full`, in PEM; otherwise the machine's own
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The share of questions that must be answered well; the exit code is 1 if fewer were
    #[arg(long, value_name = "PERCENT", value_parser = super::export::objective)]
    objective: Option<f64>,
    /// Keep what was seen in this directory, for `nines report`
    #[arg(long, value_name = "DIRECTORY")]
    ledger: Option<PathBuf>,
    /// What the system is called in reports; otherwise the first URL's host
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
    /// Print the summary, and all seconds for `nines report`, as JSON
    #[arg(long)]
    json: bool,
}

fn every(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(10), Duration::from_secs(300), "10 ms to 5 min")
}

fn timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(1), Duration::from_secs(60), "1 ms to 1 min")
}

fn within(text: &str, least: Duration, most: Duration, words: &str) -> Result<Duration, String> {
    let duration = nines_system::read_duration(text)?;
    if (least..=most).contains(&duration) { Ok(duration) } else { Err(words.to_owned()) }
}

fn statuses(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.trim().parse().ok().filter(|status| (100..=599).contains(status));
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err("like `200` or `200-399`".to_owned()),
    }
}

/// One target, and what came of it.
struct Seen {
    subject: Subject,
    tally: Tally,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let unanswered = args.timeout.as_secs_f64() / args.every.as_secs_f64() * args.urls.len() as f64;
    if args.urls.len() > TARGETS || unanswered > IN_FLIGHT {
        tell("nines: too much at one time: ask less often, fewer targets, or with a shorter time-out");
        return Ok(EXIT_USAGE.into());
    }
    let targets = match targets(args) {
        Ok(targets) => targets,
        Err(mistake) => {
            tell(format_args!("nines: {mistake}"));
            return Ok(EXIT_USAGE.into());
        }
    };
    let secure = args.ca.is_some() || targets.iter().any(Target::needs_roots);
    let roots = match Roots::load(args.ca.as_deref()) {
        Ok(roots) => Some(roots),
        // A redirect may lead to TLS, and then it is said.
        Err(_) if !secure => None,
        Err(error) => {
            tell(format_args!("nines: {error}"));
            return Ok(EXIT_USAGE.into());
        }
    };
    let vantage = args.vantage.clone().unwrap_or_else(machine);
    let system = args.system.clone().unwrap_or_else(|| targets[0].host.clone());
    let objective = Availability::from_fraction(args.objective.unwrap_or(0.999));
    let mut keeper = Keeper::open(args.ledger.as_deref(), &vantage, system, objective)?;
    let mut seen: Vec<Seen> = targets
        .iter()
        .map(|url| Seen { subject: Subject::new(Kind::Url, url.name.clone()), tally: Tally::new(args.every) })
        .collect();

    let runtime = super::runtime()?;
    let lasted = runtime.block_on(ask(args, targets, roots, &mut keeper, &mut seen))?;
    // A look-up that hangs is not waited for.
    runtime.shutdown_background();
    let measured = keeper.close();
    let promised = args.objective.map(Availability::from_fraction);
    let about = show::About { vantage, every: args.every, lasted, promised, follow: args.follow };
    show::summary(&about, &seen, args.json.then_some(&measured))?;
    Ok(match promised {
        Some(promised) if !seen.iter().all(|one| show::is_kept(&one.tally, promised)) => EXIT_BAD.into(),
        _ => ExitCode::SUCCESS,
    })
}

/// What is to be asked, or what can't be meant.
fn targets(args: &Args) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    for (at, url) in args.urls.iter().enumerate() {
        let place = if args.urls.len() > 1 { format!("URL {}", at + 1) } else { "the URL".to_owned() };
        targets.push(url.parse().map_err(|why| format!("{place}: {why}"))?);
    }
    match mistake(args, &targets) {
        Some(mistake) => Err(mistake),
        None => Ok(targets),
    }
}

fn mistake(args: &Args, targets: &[Target]) -> Option<String> {
    let mut names = BTreeSet::new();
    if let Some(twice) = targets.iter().find(|url| !names.insert(url.name.as_str())) {
        return Some(format!("{} is given twice", twice.name));
    }
    let no_http = !targets.iter().any(Target::is_http);
    let statuses = args.expect != [200..=399];
    let of_http = [("--text", args.text.is_some()), ("--expect", statuses), ("--follow", args.follow)];
    let (name, _) = of_http.into_iter().find(|(_, given)| *given && no_http)?;
    Some(format!("{name} is about HTTP, and nothing is asked by HTTP"))
}

async fn ask(
    args: &Args,
    targets: Vec<Target>,
    roots: Option<Roots>,
    keeper: &mut Keeper,
    seen: &mut [Seen],
) -> anyhow::Result<Duration> {
    let rules = Rules {
        timeout: args.timeout,
        statuses: args.expect.clone(),
        text: args.text.clone(),
        follow: args.follow,
        keep_alive: args.keep_alive,
    };
    let password = std::env::var("PGPASSWORD").ok();
    let askers = targets.into_iter().map(|mut target| {
        if let Scheme::Postgres(session) = &mut target.scheme {
            session.password = session.password.take().or_else(|| password.clone());
        }
        Asker::new(target, rules.clone(), roots.clone())
    });
    let (stop, stopped) = watch::channel(false);
    heed_signals(stop)?;
    let mut live = show::Live::new(args.json);
    let started = Instant::now();
    let pace = Pace { every: args.every, lasts: args.lasts };
    // Nothing is under way that was due before this.
    let patience = args.timeout + Duration::from_millis(500);
    probe(askers.collect(), pace, stopped, |heard| match heard {
        Heard::Asked { target, due, asked } => {
            let one = &mut seen[target];
            live.asked(&asked);
            let at = keeper.name_us(due.into_std());
            one.tally.asked(due.saturating_duration_since(started), at, asked);
        }
        Heard::Turn { now } => {
            let settled = now.saturating_duration_since(started).saturating_sub(patience);
            for Seen { subject, tally } in seen.iter_mut() {
                tally.settle(settled, |told| {
                    keeper.told(subject, &told);
                    live.told(subject, &told);
                });
            }
            keeper.turn(now.into_std());
            live.turn(seen, now.into_std());
        }
    })
    .await;
    let ended = keeper.name_us(Instant::now().into_std());
    for Seen { subject, tally } in seen.iter_mut() {
        tally.end(ended, |told| {
            keeper.told(subject, &told);
            live.told(subject, &told);
        });
    }
    live.clear();
    Ok(started.elapsed())
}

/// The first one stops it, and gets its summary. Who asks twice does not want to wait, not even for a disk: so it has a thread of its own.
fn heed_signals(stop: watch::Sender<bool>) -> anyhow::Result<()> {
    let runtime = super::runtime()?;
    let mut signals = {
        let _within = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = signals.0.recv() => {}, _ = signals.1.recv() => {} }
            let _ = stop.send(true);
            tokio::select! { _ = signals.0.recv() => {}, _ = signals.1.recv() => {} }
            std::process::exit(INTERRUPTED);
        });
    })?;
    Ok(())
}

fn machine() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "probe".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_too_often_or_waited_for_too_long_is_refused() {
        assert_eq!(every("250ms"), Ok(Duration::from_millis(250)));
        assert!(every("1ms").is_err() && every("1h").is_err() && every("5").is_err());
        assert!(timeout("2s").is_ok() && timeout("2min").is_err());
        assert_eq!(statuses("204"), Ok(204..=204));
        assert_eq!(statuses("200-399"), Ok(200..=399));
        assert!(statuses("399-200").is_err() && statuses("20").is_err() && statuses("ok").is_err());
    }
}
