//! What a rehearsal found, as `--json` prints it and the table reads it.

mod course;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::plan::{Case, NotPossible, Plan, Promise, Whom};
use crate::record::{FailedRequest, Record};
use crate::sequence::Written;
use crate::verdict::Verdict;
use crate::writers::FailedWrite;
pub use course::{Course, Happened, SlowReport, TimelineReport};

/// Of the JSON: what can be read by whoever knows this number.
pub const FORMAT: u32 = 1;

/// The whole rehearsal, or as much of it as was done. Fields are added, never changed in meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`]; 0 in reports of before there was one.
    #[serde(default)]
    pub format: u32,
    /// The program's version.
    #[serde(default)]
    pub program: String,
    /// When it ended, in seconds since 1970.
    #[serde(default)]
    pub at: u64,
    /// Of the system file's text: another one, another file.
    #[serde(default)]
    pub fingerprint: String,
    pub system: String,
    pub objective: String,
    /// Broken if any promise was.
    pub verdict: Verdict,
    /// Every case that was planned has its result.
    pub complete: bool,
    /// Where it was played, and how long that took.
    #[serde(default)]
    pub machine: Option<Machine>,
    pub results: Vec<CaseReport>,
    /// What this machine could not do, and so was not put to the test.
    #[serde(default)]
    pub not_possible: Vec<NotPlayed>,
}

/// A case that was not played: whether its promise would have held is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotPlayed {
    /// As its results would be called.
    pub component: String,
    #[serde(default)]
    pub role: Option<String>,
    pub fault: Fault,
    /// `this kernel has no nftables …`
    pub why: String,
}

impl NotPlayed {
    fn of(it: &NotPossible) -> Self {
        let component = &it.case.component;
        Self {
            component: component.name.clone(),
            role: component.whom.word().map(str::to_owned),
            fault: it.case.fault,
            why: it.why.clone(),
        }
    }
}

/// What measurements may depend on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    pub cores: usize,
    pub memory_bytes: u64,
    /// `Linux 6.1.0 x86_64`.
    pub kernel: String,
    pub processor: String,
    /// Of all programs in the last minute, when it began.
    pub load: f64,
    /// The program was built without optimisation.
    pub unoptimised: bool,
    /// From beginning to end.
    pub took_s: f64,
}

/// One component, one fault. Durations are milliseconds with a tenth's precision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseReport {
    /// A host's name; the pool's where all of it was hit together; a database's, or `coordination`.
    pub component: String,
    /// Which of its hosts were meant, where that is known only when the fault comes: `primary`, `standby`, `standbys`, `leader`.
    #[serde(default)]
    pub role: Option<String>,
    pub fault: Fault,
    pub requests: Requests,
    /// Of a case in which rows were written into a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<WritesReport>,
    /// Longest time without a good answer on one of the ways in; of such a case: without an acknowledged row.
    pub longest_gap_ms: f64,
    /// How long that was promised to be at most, where an address or a primary moves.
    #[serde(default)]
    pub promised_gap_ms: Option<f64>,
    /// The slowest good answer; none without one.
    pub slowest_ms: Option<f64>,
    /// From the fault to the first event about it: one of the members hit is ejected or down, or one of the load
    /// balancer's virtual addresses has moved, or a host of the database does something about it. None: it went unnoticed.
    pub noticed_ms: Option<f64>,
    /// From the fault to when a host began to serve the database. None: none did anew.
    #[serde(default)]
    pub taken_over_ms: Option<f64>,
    /// From the healing to full health. None: not within the patience.
    pub recovered_ms: Option<f64>,
    pub verdict: Verdict,
    /// Why it is broken; empty when it held.
    pub why: Vec<String>,
    /// What was promised, in words.
    pub expected: String,
    pub together: bool,
    pub zone: Option<String>,
    pub hosts: Vec<String>,
    pub members: Vec<String>,
    pub rate: u32,
    /// How long the fault lasted.
    pub seconds: f64,
    pub latency_ms: Percentiles,
    /// How far the clients themselves fell behind their schedule at worst: the machine's doing, not the system's.
    pub clients_late_ms: f64,
    /// Requests and writes that had failed before the fault came: it is not to blame for these.
    #[serde(default)]
    pub failed_before: u64,
    pub first_failures: Vec<FirstFailure>,
    /// What happened when.
    #[serde(default)]
    pub course: Course,
    /// What the audit's model expects of it; none where it has no word for the fault.
    #[serde(default)]
    pub predicted: Option<Predicted>,
    /// A finding: how what was observed differs from that. Less than a worst case is no difference.
    #[serde(default)]
    pub difference: Option<String>,
}

/// What a case should cost clients, worked out from the file alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    pub loss: Loss,
    /// For how long, at most; none where it is until the repair, or nothing.
    pub at_most_ms: Option<f64>,
    /// How that was computed, in words.
    pub how: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    Nothing,
    /// A part of what is asked.
    Some,
    /// All of it.
    Gap,
    UntilRepaired,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    pub sent: u64,
    pub failed: u64,
    /// `refused`, `connect-timeout`, `reset`, `timeout`, `503`, `bad-reply`, `local`.
    pub kinds: BTreeMap<String, u64>,
    /// What the load balancer, or the client's error, gave as the cause.
    pub causes: BTreeMap<String, u64>,
}

/// Rows that were written, and what became of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WritesReport {
    /// Rows whose commit was acknowledged.
    pub acked: u64,
    pub errors: u64,
    /// SQLSTATEs, `refused`, `connect-timeout`, `reset`, `timeout`, `bad-reply`, `local`.
    pub kinds: BTreeMap<String, u64>,
    /// Longest time without an acknowledged row on one of the ways in.
    pub longest_gap_ms: f64,
    /// Acknowledged rows that are not there where clients write. None: it could not be read.
    pub lost: Option<u64>,
    /// How many each host lacks, of those that could be read and lack some.
    pub lacking: BTreeMap<String, u64>,
    /// Hosts that could not be read, and why.
    pub unread: BTreeMap<String, String>,
}

/// Of the good answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirstFailure {
    /// When the request was due, from the fault on; negative: before it.
    pub at_ms: f64,
    pub took_ms: f64,
    pub kind: String,
    pub cause: Option<String>,
}

/// What the sequence measured besides the clients' own record.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) fault_at: Instant,
    pub(crate) lasted: Duration,
    /// Who was hit.
    pub(crate) hosts: Vec<String>,
    pub(crate) noticed: Option<Duration>,
    pub(crate) taken_over: Option<Duration>,
    pub(crate) recovered: Option<Duration>,
    pub(crate) rate: u32,
    pub(crate) failed_before: u64,
    pub(crate) written: Option<Written>,
    pub(crate) why: Vec<String>,
    /// From the fault on: it was in; somebody decided to take over; it was healed.
    pub(crate) inflicted: Duration,
    pub(crate) decided: Option<Duration>,
    pub(crate) healed: Duration,
    pub(crate) events: Vec<Happened>,
    pub(crate) events_left_out: u64,
}

impl Report {
    /// Puts the results into the plan's order.
    pub fn new(system: &nines_system::System, plan: &Plan, mut results: Vec<CaseReport>) -> Self {
        let is_of = |result: &CaseReport, case: &Case| {
            let component = &case.component;
            case.fault == result.fault
                && component.name == result.component
                && component.whom.word() == result.role.as_deref()
                // Who was hit tells a host from a pool of its name; of a role it is known only now.
                && (component.whom != Whom::Each || component.hosts == result.hosts)
        };
        results.sort_by_key(|result| plan.cases.iter().position(|case| is_of(result, case)));
        let held = results.iter().all(|result| result.verdict == Verdict::Held);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            at: now.as_secs(),
            fingerprint: String::new(),
            system: system.name.clone(),
            objective: system.objective.text.clone(),
            verdict: if held { Verdict::Held } else { Verdict::Broken },
            complete: results.len() == plan.cases.len(),
            machine: None,
            results,
            not_possible: plan.not_possible.iter().map(NotPlayed::of).collect(),
        }
    }
}

impl CaseReport {
    pub(crate) fn new(case: &Case, record: &Record, measured: Measured) -> Self {
        let component = &case.component;
        let writes = measured.written.as_ref().map(WritesReport::of);
        let course = Course::of(record, &measured);
        let kinds = record.failures.iter().map(|(failure, &count)| (failure.to_string(), count)).collect();
        let late = measured.written.as_ref().map_or(Duration::ZERO, |written| written.record.lateness);
        let late = late.max(record.lateness);
        let percentile = |share| ms(Duration::from_micros(record.latency.value_at_quantile(share)));
        Self {
            component: component.name.clone(),
            role: component.whom.word().map(str::to_owned),
            fault: case.fault,
            requests: Requests {
                sent: record.sent,
                failed: record.failed(),
                kinds,
                causes: record.causes.clone(),
            },
            longest_gap_ms: writes.as_ref().map_or(ms(record.longest_gap), |writes| writes.longest_gap_ms),
            promised_gap_ms: case.promise.gap().map(ms),
            slowest_ms: record.slowest.map(ms),
            noticed_ms: measured.noticed.map(ms),
            taken_over_ms: measured.taken_over.map(ms),
            recovered_ms: measured.recovered.map(ms),
            verdict: if measured.why.is_empty() { Verdict::Held } else { Verdict::Broken },
            why: measured.why,
            expected: expected(case),
            together: component.kind.is_together(),
            zone: component.zone.clone(),
            hosts: measured.hosts,
            members: component.members.clone(),
            rate: measured.rate,
            seconds: tenths(measured.lasted.as_secs_f64()),
            latency_ms: Percentiles { p50: percentile(0.5), p99: percentile(0.99), p999: percentile(0.999) },
            clients_late_ms: ms(late),
            failed_before: measured.failed_before,
            first_failures: match &measured.written {
                Some(written) => {
                    let first = written.record.first_errors.iter();
                    first.map(|failed| of_write(failed, measured.fault_at)).collect()
                }
                None => {
                    let first = record.first_failures.iter();
                    first.map(|failed| of_request(failed, measured.fault_at)).collect()
                }
            },
            writes,
            course,
            predicted: None,
            difference: None,
        }
    }
}

fn expected(case: &Case) -> String {
    let words: Vec<String> =
        [case.asked, Some(case.promise)].into_iter().flatten().map(Promise::words).collect();
    words.join("; ")
}

impl WritesReport {
    fn of(written: &Written) -> Self {
        let Written { record, ways, found } = written;
        Self {
            acked: record.acknowledged.len() as u64,
            errors: record.errors(),
            kinds: record.errors.clone(),
            longest_gap_ms: ms(record.longest_gap(*ways)),
            lost: found.lost.as_ref().ok().copied(),
            lacking: found.lacking.clone(),
            unread: found.unread.clone(),
        }
    }
}

fn of_request(failed: &FailedRequest, fault_at: Instant) -> FirstFailure {
    FirstFailure {
        at_ms: since(failed.due, fault_at),
        took_ms: ms(failed.took),
        kind: failed.failure.to_string(),
        cause: failed.cause.clone(),
    }
}

fn of_write(failed: &FailedWrite, fault_at: Instant) -> FirstFailure {
    FirstFailure {
        at_ms: since(failed.begun, fault_at),
        took_ms: ms(failed.took),
        kind: failed.refusal.kind.clone(),
        cause: Some(failed.refusal.said.clone()),
    }
}

/// Negative: before it.
fn since(at: Instant, fault_at: Instant) -> f64 {
    match at.checked_duration_since(fault_at) {
        Some(after) => ms(after),
        None => -ms(fault_at.duration_since(at)),
    }
}

fn ms(duration: Duration) -> f64 {
    tenths(duration.as_secs_f64() * 1e3)
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
