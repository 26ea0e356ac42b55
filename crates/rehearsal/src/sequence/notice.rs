//! When the system first said that it knows of a fault, and when another host had taken over.

use std::time::{Duration, SystemTime};

use nines_control::event::{Event, Kind};

use crate::plan::{Component, ComponentKind};
use crate::report::Happened;

/// Events of a case that are kept; there are some dozens.
const EVENTS: usize = 200;

pub(super) struct Notice<'a> {
    component: &'a Component,
    since: SystemTime,
    pub(super) noticed: Option<Duration>,
    /// Of a database: a primary serves, by an event of after the fault.
    pub(super) taken_over: Option<Duration>,
    /// Of a database: a host began to take it over.
    pub(super) decided: Option<Duration>,
    pub(super) events: Vec<Happened>,
    pub(super) events_left_out: u64,
}

impl<'a> Notice<'a> {
    pub(super) fn of(component: &'a Component, since: SystemTime) -> Self {
        let (noticed, taken_over, decided) = (None, None, None);
        Self { component, since, noticed, taken_over, decided, events: Vec::new(), events_left_out: 0 }
    }

    pub(super) fn read(&mut self, events: &[Event]) {
        for event in events {
            let at = SystemTime::UNIX_EPOCH + Duration::from_micros(event.at_us);
            // The clock that stamped it is this machine's; a step back must not make it unnoticed.
            let after = at.duration_since(self.since).unwrap_or_default();
            let earliest =
                |known: Option<Duration>| Some(known.map_or(after, |before: Duration| before.min(after)));
            if self.is_about_it(event) {
                self.noticed = earliest(self.noticed);
            }
            if event.kind == Kind::Taken && self.database() == Some(&event.subject) {
                self.taken_over = earliest(self.taken_over);
            }
            if event.kind == Kind::Takeover && self.database() == Some(&event.subject) {
                self.decided = earliest(self.decided);
            }
            self.keep(event, after);
        }
    }

    fn keep(&mut self, event: &Event, after: Duration) {
        if self.events.len() == EVENTS {
            self.events_left_out += 1;
            return;
        }
        self.events.push(Happened {
            at_ms: (after.as_secs_f64() * 1e4).round() / 10.0,
            kind: event.kind.word().to_owned(),
            subject: event.subject.clone(),
            why: event.why.clone(),
        });
    }

    /// In the order of their times: each host tells its own.
    pub(super) fn in_order(mut self) -> Self {
        self.events.sort_by(|one, other| one.at_ms.total_cmp(&other.at_ms));
        self
    }

    fn database(&self) -> Option<&String> {
        self.component.writes.as_ref().map(|writes| &writes.database)
    }

    fn is_about_it(&self, event: &Event) -> bool {
        let about_database = self.database() == Some(&event.subject);
        match event.kind {
            Kind::Takeover | Kind::Refused | Kind::Cohort => about_database,
            Kind::Taken | Kind::Released | Kind::Conflict => {
                about_database || self.component.virtual_ips.contains(&event.subject)
            }
            // Who of a database's hosts is up for load balancers changes with the primary.
            Kind::Down
                if matches!(self.component.kind, ComponentKind::Database | ComponentKind::WholeDatabase) =>
            {
                false
            }
            Kind::Ejected | Kind::Down => self.component.members.contains(&event.subject),
            _ => false,
        }
    }
}
