//! A live line on stderr while a rehearsal goes on; where stderr is no terminal, a line for each case instead.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use nines_rehearsal::sequence::{Glance, Phase};
use nines_rehearsal::{Case, CaseReport};

use super::table;
use crate::terminal::{tell, thousands};

pub(crate) struct Progress {
    /// Hidden where stderr is no terminal.
    bar: ProgressBar,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new(cases: usize) -> Self {
        let style = ProgressStyle::with_template("{spinner} {pos}/{len} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(cases as u64).with_style(style);
        Self { bar, terminal: std::io::stderr().is_terminal() }
    }

    /// `case`: the one that is played.
    pub(crate) fn show(&self, case: Option<&Case>, glance: &Glance<'_>) {
        if !self.terminal {
            return;
        }
        let of = case.map_or(String::new(), |case| format!("{} {} · ", case.component.label(), case.fault));
        let what = what_is_sent(case);
        let sent = format!("{} {what}, {} failed", thousands(glance.sent), thousands(glance.failed));
        let doing = match glance.phase {
            Phase::BringingUp => "bringing the system up".to_owned(),
            Phase::Waiting if glance.missing.is_empty() => "healthy".to_owned(),
            Phase::Waiting => format!("waiting: {}", glance.missing.join("; ")),
            Phase::Warming => format!("{sent} · before the fault"),
            Phase::Broken => format!("{sent} · the fault is in"),
            Phase::Healing if glance.missing.is_empty() => format!("{sent} · healed, well again"),
            Phase::Healing => format!("{sent} · healed; {}", glance.missing.join("; ")),
        };
        self.bar.set_message(format!("{of}{doing}"));
        self.bar.tick();
    }

    pub(crate) fn ended(&self, report: &CaseReport) {
        self.bar.inc(1);
        if !self.terminal {
            tell(table::sentence(report));
        }
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn what_is_sent(case: Option<&Case>) -> &'static str {
    if case.is_some_and(|case| case.component.writes.is_some()) { "rows" } else { "requests" }
}
