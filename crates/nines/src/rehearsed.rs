//! What rehearsals showed, for whoever predicts: read from their JSON, or remembered from the last ones.

mod checked;
mod failovers;
pub(crate) mod memory;

use std::io::Read;
use std::path::{Path, PathBuf};

use nines_availability::service::Service;
use nines_rehearsal::report::{FORMAT, Predicted};
use nines_rehearsal::verdict::Verdict;
use nines_rehearsal::{CaseReport, Fault, Report};
use nines_system::System;
use serde::{Deserialize, Serialize};

pub(crate) use failovers::{failovers, late};

/// What a report may weigh: timelines and all.
const LARGEST: u64 = 256 << 20;
/// Reasons that are kept of a broken promise, and their letters.
const REASONS: usize = 5;
const LETTERS: usize = 300;

/// One component and fault, as it went the last time, and how often it was played with the same file.
///
/// What is read is checked, see [`checked`]: there is none with figures that nobody can have measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct Tried {
    pub(crate) component: String,
    pub(crate) role: Option<String>,
    pub(crate) fault: Fault,
    pub(crate) hosts: Vec<String>,
    pub(crate) together: bool,
    /// When, in seconds since 1970, by which program, and with which file.
    pub(crate) at: u64,
    pub(crate) program: String,
    pub(crate) fingerprint: String,
    /// Of requests, or of rows.
    pub(crate) asked: u64,
    pub(crate) failed: u64,
    /// Acknowledged rows that are gone; `None`: none were written, or nobody knows.
    pub(crate) lost: Option<u64>,
    pub(crate) longest_gap_ms: f64,
    pub(crate) promised_gap_ms: Option<f64>,
    pub(crate) noticed_ms: Option<f64>,
    pub(crate) taken_over_ms: Option<f64>,
    pub(crate) recovered_ms: Option<f64>,
    pub(crate) seconds: f64,
    pub(crate) verdict: Verdict,
    pub(crate) why: Vec<String>,
    pub(crate) predicted: Option<Predicted>,
    pub(crate) difference: Option<String>,
    /// How often it was played with this file, and of these, how often nobody took over before it was healed.
    pub(crate) times: u64,
    pub(crate) missed: u64,
    /// How often somebody did, later than was promised.
    #[serde(default)]
    pub(crate) late: u64,
    /// The longest gap of those that were taken over.
    pub(crate) longest_taken_over_ms: Option<f64>,
}

impl Tried {
    fn of(report: &Report, case: &CaseReport) -> Self {
        let writes = case.writes.as_ref();
        let why = case.why.iter().take(REASONS).map(|why| why.chars().take(LETTERS).collect());
        let mut tried = Self {
            component: case.component.clone(),
            role: case.role.clone(),
            fault: case.fault,
            hosts: case.hosts.clone(),
            together: case.together,
            at: report.at,
            program: report.program.clone(),
            fingerprint: report.fingerprint.clone(),
            asked: writes.map_or(case.requests.sent, |writes| writes.acked.saturating_add(writes.errors)),
            failed: writes.map_or(case.requests.failed, |writes| writes.errors),
            lost: writes.and_then(|writes| writes.lost),
            longest_gap_ms: case.longest_gap_ms,
            promised_gap_ms: case.promised_gap_ms,
            noticed_ms: case.noticed_ms,
            taken_over_ms: case.taken_over_ms,
            recovered_ms: case.recovered_ms,
            seconds: case.seconds,
            verdict: case.verdict,
            why: why.collect(),
            predicted: case.predicted.clone(),
            difference: case.difference.clone(),
            times: 1,
            missed: 0,
            late: 0,
            longest_taken_over_ms: None,
        };
        if tried.is_missed() {
            tried.missed = 1;
        } else {
            tried.late = u64::from(tried.is_late());
            tried.longest_taken_over_ms = Some(tried.longest_gap_ms);
        }
        tried
    }

    /// Whether nobody took over before it was healed.
    fn is_missed(&self) -> bool {
        let healed = self.seconds * 1e3;
        let taken_over = self.taken_over_ms.is_some_and(|taken_over| taken_over < healed);
        self.longest_gap_ms >= healed && !taken_over
    }

    /// Of one that was not missed: whether clients waited longer than was promised.
    fn is_late(&self) -> bool {
        let late = self.promised_gap_ms.is_some_and(|promised| self.longest_gap_ms > promised);
        late && self.verdict == Verdict::Broken
    }

    fn is_same_case(&self, other: &Self) -> bool {
        let key = |of: &Self| (of.component.clone(), of.role.clone(), of.fault, of.together);
        // Who was hit tells a host from a pool of its name; of a role it is another one each time.
        key(self) == key(other) && (self.role.is_some() || self.hosts == other.hosts)
    }

    /// `lb1`, `orders/primary`.
    pub(crate) fn label(&self) -> String {
        match &self.role {
            Some(role) => format!("{}/{role}", self.component),
            None => self.component.clone(),
        }
    }
}

/// The newest of each case; counted together are those that were played with the same file.
fn merge(known: &mut Vec<Tried>, new: Tried) {
    let Some(old) = known.iter_mut().find(|old| old.is_same_case(&new)) else {
        known.push(new);
        return;
    };
    let newer = new.at >= old.at;
    let (mut last, before) = if newer { (new, old.clone()) } else { (old.clone(), new) };
    if last.fingerprint == before.fingerprint {
        last.times = last.times.saturating_add(before.times);
        last.missed = last.missed.saturating_add(before.missed);
        last.late = last.late.saturating_add(before.late);
        let longest = [last.longest_taken_over_ms, before.longest_taken_over_ms];
        last.longest_taken_over_ms = longest.into_iter().flatten().reduce(f64::max);
    }
    *old = last;
}

/// What is known from rehearsals, and where from.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Evidence {
    pub(crate) tried: Vec<Tried>,
    pub(crate) from: Vec<Source>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// The newest of it, in seconds since 1970.
    pub(crate) at: u64,
    pub(crate) program: String,
    pub(crate) cases: usize,
    /// Whether the system file was another one then.
    pub(crate) file_changed: bool,
    /// Whether every case that was planned was played; unknown of what is remembered.
    pub(crate) complete: Option<bool>,
}

/// Why a rehearsal can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("can't read {0}: {1}")]
    Read(String, std::io::Error),
    #[error("can't write {0}: {1}")]
    Write(String, std::io::Error),
    #[error("{0} is spoilt: {1}; delete it, or rehearse again, which puts it aside")]
    Spoilt(String, String),
    #[error("{0} is not what `nines rehearse --json` prints: {1}; rehearse again")]
    Form(String, String),
    #[error("{0} was written by an older nines, whose reports say less; rehearse again")]
    Old(String),
    #[error("{0} was written by a newer nines (format {1}; this one reads {FORMAT}); use that one")]
    New(String, u64),
    #[error("{0} is a rehearsal of {1}, and this is {2}")]
    OtherSystem(String, String, String),
    #[error("{0} is of another system: there is no {1} in this one")]
    NoSuch(String, String),
    #[error("nothing is remembered of {0} in {1}; `nines rehearse` writes it there")]
    Nothing(String, String),
}

/// The file, as far as rehearsals must fit it.
pub(crate) struct Subject<'a> {
    pub(crate) system: &'a System,
    pub(crate) service: &'a Service,
    pub(crate) fingerprint: String,
}

/// FNV-1a of a text: enough to tell that it is another one.
pub(crate) fn fingerprint(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Reads what was given: files with reports, and `last` for what is remembered.
pub(crate) fn read(with: &[PathBuf], subject: &Subject<'_>) -> Result<Evidence, Unusable> {
    let mut evidence = Evidence::default();
    // The same report twice proves nothing twice.
    let mut seen: Vec<(u64, Vec<Tried>)> = Vec::new();
    for path in with {
        let (name, tried, complete) = if path.as_os_str() == "last" {
            let (name, tried) = memory::recall(&subject.system.name)?;
            (name, tried, None)
        } else {
            let report = report(path)?;
            let name = path.display().to_string();
            if report.system != subject.system.name {
                return Err(Unusable::OtherSystem(name, report.system, subject.system.name.clone()));
            }
            let cases = report.results.iter().enumerate();
            let tried = cases.map(|(at, case)| {
                let tried = Tried::of(&report, case).checked();
                tried.map_err(|why| Unusable::Form(name.clone(), format!("in `results[{at}]`, {why}")))
            });
            let tried = tried.collect::<Result<Vec<Tried>, Unusable>>()?;
            (name, tried, Some(report.complete))
        };
        let newest = tried.iter().max_by_key(|tried| tried.at);
        let at = newest.map_or(0, |newest| newest.at);
        if seen.contains(&(at, tried.clone())) {
            continue;
        }
        seen.push((at, tried.clone()));
        fits(&name, &tried, subject.service)?;
        evidence.from.push(Source {
            at,
            program: newest.map(|newest| newest.program.clone()).unwrap_or_default(),
            cases: tried.len(),
            file_changed: tried.iter().any(|tried| tried.fingerprint != subject.fingerprint),
            complete,
            name,
        });
        tried.into_iter().for_each(|tried| merge(&mut evidence.tried, tried));
    }
    Ok(evidence)
}

/// Everybody who was hit must be there.
fn fits(name: &str, tried: &[Tried], service: &Service) -> Result<(), Unusable> {
    for case in tried {
        let missing = case.hosts.iter().find(|host| service.hosts.iter().all(|of| of.name != **host));
        if let Some(host) = missing {
            return Err(Unusable::NoSuch(name.to_owned(), format!("host {host}")));
        }
        let is_database = || service.databases.iter().any(|of| of.name == case.component);
        if case.role.is_some() && case.component != "coordination" && !is_database() {
            return Err(Unusable::NoSuch(name.to_owned(), format!("database {}", case.component)));
        }
    }
    Ok(())
}

fn report(path: &Path) -> Result<Report, Unusable> {
    let name = path.display().to_string();
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| Unusable::Read(name.clone(), error))?;
    file.take(LARGEST).read_to_string(&mut text).map_err(|error| Unusable::Read(name.clone(), error))?;
    parse(&name, &text)
}

fn parse(name: &str, text: &str) -> Result<Report, Unusable> {
    let form = |why: String| Unusable::Form(name.to_owned(), why);
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| form(error.to_string()))?;
    if !value["system"].is_string() || !value["results"].is_array() {
        return Err(form("it has no `system` and `results`".to_owned()));
    }
    match value["format"].as_u64() {
        None | Some(0) => Err(Unusable::Old(name.to_owned())),
        Some(format) if format > u64::from(FORMAT) => Err(Unusable::New(name.to_owned(), format)),
        // Once more from the text, for only that knows the place.
        Some(_) => serde_json::from_str(text).map_err(|error| form(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
