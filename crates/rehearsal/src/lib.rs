//! What happens if this fails? Breaks each component of a running system in turn and measures what clients saw.
//!
//! This room knows neither how a host is made nor how a daemon is asked: it drives a [`Stage`], on which the
//! program puts network namespaces and real processes, and its tests an in-process loopback server. What is
//! here is the plan (which components, which faults), the clients, the sequence of a case, and the verdict.

pub mod clients;
pub mod fault;
pub mod health;
pub mod history;
pub mod plan;
pub mod record;
pub mod report;
pub mod sequence;
pub mod stage;
pub mod timeline;
pub mod verdict;
pub mod writers;

pub use fault::Fault;
pub use plan::{Case, Component, Plan};
pub use report::{CaseReport, Report};
pub use sequence::{Options, Rehearsal};
pub use stage::{Stage, StageError};
