//! `nines report`: the nines that were measured, where the downtime went, and what was predicted.

mod page;
mod text;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use nines_availability::audit::{Audit, Options};
use nines_availability::measurement::{DAY, HOUR, MINUTE, Measured, Report, in_words, usual_windows};
use nines_availability::nines::Availability;
use nines_availability::service::Service;
use serde::{Deserialize, Serialize};

use super::output::Output;
use crate::EXIT_BAD;
use crate::admin_socket::Daemon;
use crate::terminal;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    daemon: Daemon,
    /// What others have measured: their `nines report --json`, or the directory where a daemon keeps it. Laid on one another second
    /// by second
    #[arg(long, value_name = "FILE|DIR")]
    with: Vec<PathBuf>,
    /// Asks no daemon: only what `--with` gives
    #[arg(long, requires = "with")]
    no_daemon: bool,
    /// A window up to now, `6h`, `7d`; instead of 1h, 1d, 30d and 365d
    #[arg(long, value_name = "TIME", value_parser = window)]
    window: Vec<(String, u64)>,
    /// Nothing earlier than so long ago: `3d`
    #[arg(long, value_name = "TIME", value_parser = window)]
    since: Option<(String, u64)>,
    /// The system file that predicts. Default: the one that the daemon goes by
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print everything as JSON, with what `--with` needs
    #[arg(long)]
    json: bool,
    /// Write it as a page for people, too: one file that needs no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// `90s`, `5m`, `6h`, `30d`.
fn window(text: &str) -> Result<(String, u64), String> {
    let like = || "like `6h` or `30d`".to_owned();
    let place = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(like)?;
    let (number, unit) = text.split_at(place);
    let unit = match unit {
        "s" => 1,
        "m" | "min" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => return Err(like()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(like)?;
    match seconds {
        1..=31_622_400 => Ok((text.to_owned(), seconds)),
        _ => Err("at least a second, and at most 366 days".to_owned()),
    }
}

/// What is printed as JSON: the figures, and what they were made of.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    report: &'a Report,
    measured: &'a [Measured],
}

/// What `--with` understands, besides what a daemon answers.
#[derive(Deserialize)]
struct Told {
    measured: Option<Vec<Measured>>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let output = args.html.as_deref().map(Output::at).transpose()?;
    let windows = if args.window.is_empty() { usual_windows() } else { args.window.clone() };
    let longest = windows.iter().map(|(_, seconds)| *seconds).max().unwrap_or(DAY);
    let mut all = Vec::new();
    let mut file = args.file.clone();
    if !args.no_daemon {
        let client = args.daemon.client()?;
        let asked = super::runtime()?.block_on(async {
            // The objective's window counts, whatever is asked for.
            let measured = client.measured::<Measured>(longest.max(31 * DAY)).await?;
            anyhow::Ok((measured, client.status().await?))
        });
        let (measured, status) = asked.context(
            "where none runs, what it kept can be read: nines report --no-daemon --with DIR, as /var/lib/nines/HOST.state",
        )?;
        all.push(measured);
        file = file.or(Some(PathBuf::from(status.file.path)));
    }
    for path in &args.with {
        all.extend(told(path)?);
    }
    for one in &all {
        one.check().map_err(|wrong| anyhow::anyhow!("what {} measured {wrong}", one.history.vantage))?;
    }
    let wall = wall();
    // One that is asked now may be ahead of its clock, and says so.
    let now = if args.no_daemon { wall } else { all.first().map_or(wall, |first| first.now.max(wall)) };
    if let Some(fast) = all.iter().find(|one| one.now > now + AHEAD + one.ahead) {
        bail!(
            "the clock of {} is {} ahead of this host's: what it measured can't be laid on the others' second by second. Set it right, or leave it out",
            fast.history.vantage,
            in_words(fast.now - now)
        );
    }
    let Some(first) = all.first() else { bail!("nothing was measured") };
    if let Some(other) = all.iter().find(|one| one.system != first.system) {
        bail!("these are of different systems: {} and {}", first.system, other.system);
    }
    let mut vantages: Vec<&str> = all.iter().map(|one| one.history.vantage.as_str()).collect();
    vantages.sort_unstable();
    if let Some(twice) = vantages.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("{} is there twice", twice[0]);
    }
    let now = all.iter().map(|one| one.now).max().unwrap_or(0);
    let since = args.since.as_ref().map_or(0, |(_, seconds)| now.saturating_sub(*seconds));
    let report = Report::of(&all, since, &windows, predicted(file.as_deref()));
    let report = report.context("nothing was measured")?;
    let mut out = anstream::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&Printed { report: &report, measured: &all })?)?;
    } else {
        for line in text::lines(&report, terminal::width()) {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    if let Some(output) = output {
        let file = file.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let around = page::Around { all: &all, since, file: file.as_deref() };
        output.write(&page::page(&report, &around))?;
        terminal::tell(format_args!("nines: the report is in {}", output.path().display()));
    }
    Ok(if text::overspent(&report) { ExitCode::from(EXIT_BAD) } else { ExitCode::SUCCESS })
}

/// Clocks may differ by so many seconds: an answer takes its time, too.
const AHEAD: u64 = 5;

fn wall() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn told(path: &Path) -> anyhow::Result<Vec<Measured>> {
    if path.is_dir() {
        let inside = path.join("measured");
        return Ok(vec![nines_ledger::read(if inside.is_dir() { &inside } else { path }, wall())?]);
    }
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let told = serde_json::from_slice::<Told>(&text).and_then(|report| match report.measured {
        Some(all) => Ok(all),
        None => Ok(vec![serde_json::from_slice(&text)?]),
    });
    told.with_context(|| format!("{} is not what `nines report --json` printed", path.display()))
}

/// At worst, likely, best. None where there is no file here, or it predicts nothing: then there is no comparison.
fn predicted(file: Option<&Path>) -> Option<[Availability; 3]> {
    let file = file?;
    let text = std::fs::read_to_string(file).ok()?;
    let system = nines_system::parse(&file.display().to_string(), &text).ok()?;
    let service = Service::of(&system, &std::collections::BTreeMap::new());
    Audit::of(&service, &Options::of(&system)).prediction.map(|prediction| prediction.availability)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_number_and_a_unit() {
        assert_eq!(window("6h"), Ok(("6h".to_owned(), 21_600)));
        assert_eq!(window("5m").unwrap().1, 300);
        for wrong in ["", "6", "h", "0d", "367d", "6 h", "99999999999999999999d", "1w"] {
            assert!(window(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_what_is_no_report_it_is_told_what_is_wrong() {
        let one = r#"{"version":1,"system":"shop","objective":0.999,"objective_text":"99.9 %","now":9,"ahead":0,
            "kept_in":null,"problems":[],"related":{},"history":{"vantage":"lb1","series":{SERIES},"events":[]}}"#;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other.json");
        let series = r#""listener a":{"99999999999":"00"}"#;
        for (text, wanted) in [
            (one.replace("SERIES", ""), ""),
            (format!(r#"{{"measured":[{}]}}"#, one.replace("SERIES", "")), ""),
            (one.replace("SERIES", series), "a day is a number"),
            (format!(r#"{{"measured":[{}]}}"#, one.replace("SERIES", series)), "a day is a number"),
            (r#"{"x":1}"#.to_owned(), "missing field `version`"),
            ("garbage".to_owned(), "expected value"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let error = told(&path).map_or_else(|error| format!("{error:#}"), |all| all[0].system.clone());
            let wanted = if wanted.is_empty() { "shop" } else { wanted };
            assert!(error.contains(wanted), "{error} of {text}");
        }
    }
}
