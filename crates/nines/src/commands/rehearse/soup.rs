//! `nines rehearse --soup`: a database under faults that come at random, and whether what transactions saw can have happened.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use nines_lab::Inside;
use nines_rehearsal::health::Expected;
use nines_rehearsal::history::{History, Isolation};
use nines_rehearsal::sequence::{Glance, Soup, SoupReport};
use nines_rehearsal::verdict::Verdict;
use nines_rehearsal::{Options, Plan, Rehearsal};
use nines_system::System;

use super::progress::Progress;
use super::{EXIT_INTERRUPTED, interruption};
use crate::EXIT_BAD;
use crate::stage::LabStage;
use crate::terminal::{tell, thousands};

/// What was asked for.
pub(super) struct Cook {
    pub(super) seconds: u64,
    pub(super) seed: Option<u64>,
    pub(super) histories: Option<PathBuf>,
    pub(super) json: bool,
}

/// Of the first database that can be written into. Inside the lab, in a process of its own.
pub(super) fn play(
    inside: &Inside,
    cook: &Cook,
    system: &Arc<System>,
    file: &Path,
    plan: &Plan,
    logs: Option<PathBuf>,
) -> anyhow::Result<ExitCode> {
    let databases = plan.databases();
    let writes = databases.first().context("there is no database to make a soup of")?;
    let seed = cook.seed.unwrap_or_else(|| {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    });
    tell(format_args!("nines: a soup of {} for {} s, seed {seed}", writes.database, cook.seconds));
    let soup = Soup { writes: (*writes).clone(), lasts: Duration::from_secs(cook.seconds), seed };
    let played = crate::commands::runtime()?.block_on(async {
        let stage = LabStage::build(inside, Arc::clone(system), file, logs)
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut rehearsal = Rehearsal::new(stage, Options::default(), Expected::of(system));
        let progress = Progress::new(1);
        let played = tokio::select! {
            played = async {
                let mut watch = |glance: &Glance<'_>| progress.show(None, glance);
                rehearsal.bring_up(&mut watch).await?;
                Ok::<_, anyhow::Error>(Some(rehearsal.soup(&soup, &mut watch).await?))
            } => played,
            interrupted = interruption() => interrupted.map(|()| None),
        };
        progress.clear();
        played
    });
    let Some((report, histories)) = played? else { return Ok(EXIT_INTERRUPTED.into()) };
    if let Some(directory) = &cook.histories {
        keep(directory, &histories)?;
    }
    let mut out = anstream::stdout();
    if cook.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        for line in lines(&report) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(if report.verdict == Verdict::Held { ExitCode::SUCCESS } else { EXIT_BAD.into() })
}

fn keep(directory: &Path, histories: &[(Isolation, History)]) -> anyhow::Result<()> {
    for (isolation, history) in histories {
        let path = directory.join(format!("{}.jsonl", isolation.word()));
        std::fs::write(&path, history.lines()).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

fn lines(report: &SoupReport) -> Vec<String> {
    let done = report.faults.iter().filter(|fault| fault.refused.is_none()).count();
    let mut lines = vec![format!(
        "soup of {}, seed {}: {done} faults in {:.0} s, {} that could not be put in",
        report.database,
        report.seed,
        report.seconds,
        report.faults.len() - done,
    )];
    for it in &report.histories {
        lines.push(format!(
            "{}: {} transactions committed, {} refused, {} nobody knows of; {} lost",
            it.isolation,
            thousands(it.ok),
            thousands(it.fail),
            thousands(it.info),
            thousands(it.findings.lost),
        ));
    }
    lines.extend(report.why.iter().map(|why| format!("  broken: {why}")));
    lines.push(match report.verdict {
        Verdict::Held => "verdict: what transactions saw can have happened".to_owned(),
        Verdict::Broken => format!("verdict: broken; play it again with --seed {}", report.seed),
    });
    lines
}
