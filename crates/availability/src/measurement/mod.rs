//! The arithmetic of what was measured: seconds that something was up, down or unknown, and requests that went well or not.
//!
//! Who measures is a *vantage* (a daemon's host, a prober outside), what is measured a [`Subject`]. A vantage has a [`History`]: for
//! each subject a [`Series`] of minutes, each with the state of all its seconds, so that what several vantages saw can be laid on one
//! another second by second. Time comes in: [`Axis`] makes seconds of a monotonic clock, and of the wall clock only their names.
//!
//! What counts as up and down is said in `docs/measurement.md`; [`Watch`] is where it is decided.

mod axis;
mod check;
mod figures;
mod history;
mod merge;
mod minute;
mod outage;
mod report;
mod series;
mod slots;
mod subject;
mod watch;
mod worst;

pub use axis::{Axis, Step, Tick};
pub use figures::{Budget, Burn, ByRequest, ByTime, FEW, Totals, WINDOWS, in_words};
pub use history::{History, Limits, Noted};
pub use merge::{Seen, merge, service};
pub use minute::Minute;
pub use outage::{JOINED, Milestone, Moment, Outage, outages};
pub use report::{
    Comparison, Measured, OBJECTIVE_WINDOW, Report, SubjectReport, VantageReport, Verdict, WindowReport,
    usual_windows,
};
pub use series::{Day, Series, Unreadable};
pub use slots::Slots;
pub use subject::{Kind, State, Subject};
pub use watch::{Look, Watch};
pub use worst::{Worst, worst};

/// Seconds since 1970-01-01 UTC, as the vantage's axis names them.
pub type Second = u64;

pub const MINUTE: u64 = 60;
pub const HOUR: u64 = 3600;
pub const DAY: u64 = 86_400;
