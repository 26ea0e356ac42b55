//! What is taken for granted about failures and repairs, each with where it comes from. A prediction is worth what these are.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bounds::{Interval, clopper_pearson};
use crate::distribution::Hours;
use crate::nines::HOURS_PER_YEAR;

/// A figure, between which bounds it may lie, and who says so.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    pub value: Interval,
    pub origin: Origin,
    pub source: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Nobody measured it: change it to what you know.
    Assumed,
    /// Somebody published it, about something else than your system.
    Published,
    /// The system's owner says so.
    Stated,
    /// Rehearsed or observed.
    Measured,
}

/// How often a kind of component fails by itself, and how long that lasts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failing {
    pub per_year: Figure,
    pub repair: Hours,
    pub repair_source: String,
}

/// What rehearsals or drills of one component showed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rehearsed {
    pub failovers: u64,
    /// Of those, how many did not come about by themselves in time.
    pub missed: u64,
    /// Seconds until clients were served again: the longest.
    pub seconds: Option<f64>,
}

/// Everything that a prediction takes for granted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assumptions {
    pub host: Failing,
    pub zone: Failing,
    pub region: Failing,
    /// A change by people that takes everything down at once: a deployment, a setting, an expired certificate.
    pub change: Failing,
    /// The share of a host's failures that takes all hosts of a redundant group: the same software, the same settings.
    pub common_cause: Figure,
    /// The share of failovers that come about by themselves, where nothing was rehearsed.
    pub coverage: Figure,
    /// Until a person has done what a failover did not.
    pub by_hand: Hours,
    pub by_hand_source: String,
    /// Seconds that a standby takes to be the primary once it may.
    pub promotion: Figure,
    /// How many hosts are repaired at one time. Only simulations know of it. Default: as many as fail.
    pub crew: Option<usize>,
    /// By the component's name.
    pub rehearsed: BTreeMap<String, Rehearsed>,
}

/// Which end of the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    Best,
    Likely,
    Worst,
}

fn figure(value: Interval, origin: Origin, source: &str) -> Figure {
    Figure { value, origin, source: source.to_owned() }
}

/// Failures a year of what is `unavailable` for this share of time, when each lasts as long as that.
fn per_year(unavailable: f64, repair: &Hours) -> f64 {
    unavailable / (1.0 - unavailable) * HOURS_PER_YEAR / repair.mean()
}

/// A guess that may be wrong by this factor, either way.
fn within(likely: f64, factor: f64) -> Interval {
    Interval { low: likely / factor, likely, high: likely * factor }
}

impl Default for Assumptions {
    fn default() -> Self {
        let incident = Hours::log_normal(1.9, 21.8);
        let host_repair = Hours::Exponential { mean: 4.0 };
        Self {
            host: Failing {
                per_year: figure(
                    within(per_year(0.001, &host_repair), 2.0),
                    Origin::Published,
                    "99.9 %: service level agreements for a single virtual machine (Azure with premium disks, \
                     Google in one zone); a threshold for refunds, not an observation",
                ),
                repair: host_repair,
                repair_source: "assumed: four hours on average".into(),
            },
            zone: Failing {
                per_year: figure(
                    within(per_year(0.001, &incident), 2.0),
                    Origin::Published,
                    "99.9 %: what Google Cloud's reliability guide aims at in a single zone",
                ),
                repair: incident,
                repair_source: "public summaries of cloud incidents (AWS, 2024): half are over in 1.9 h, 95 of 100 in 21.8 h"
                    .into(),
            },
            region: Failing {
                per_year: figure(within(0.02, 2.0), Origin::Assumed, "once in fifty years"),
                repair: incident,
                repair_source: "as zones".into(),
            },
            change: Failing {
                per_year: figure(
                    within(0.5, 2.0),
                    Origin::Assumed,
                    "once in two years; where records are kept, most outages are due to changes",
                ),
                repair: Hours::Exponential { mean: 0.5 },
                repair_source: "assumed: half an hour until it is taken back".into(),
            },
            common_cause: figure(
                Interval { low: 0.005, likely: 0.01, high: 0.05 },
                Origin::Assumed,
                "the beta factor of IEC 61508-6, whose tables go from 0.5 % to 10 %",
            ),
            coverage: figure(
                Interval { low: 0.90, likely: 0.95, high: 0.99 },
                Origin::Assumed,
                "nobody rehearsed it: `nines rehearse` does",
            ),
            by_hand: Hours::Exponential { mean: 0.5 },
            by_hand_source: "assumed: half an hour until somebody was woken and has acted".into(),
            promotion: figure(
                Interval { low: 0.5, likely: 2.0, high: 10.0 },
                Origin::Assumed,
                "a standby of PostgreSQL that has little left to replay",
            ),
            crew: None,
            rehearsed: BTreeMap::new(),
        }
    }
}

impl Assumptions {
    /// The share of a component's failovers that come about.
    pub fn coverage(&self, component: &str) -> Figure {
        match self.rehearsed.get(component) {
            Some(of) if of.failovers > 0 => {
                let missed = clopper_pearson(of.missed, of.failovers, 0.9);
                Figure {
                    // None of a few missed does not mean that none of many will: half of what could still be.
                    value: Interval {
                        low: 1.0 - missed.high,
                        likely: 1.0 - (of.missed as f64 + 0.5) / (of.failovers as f64 + 1.0),
                        high: 1.0 - missed.low,
                    },
                    origin: Origin::Measured,
                    source: format!("{} of {} failovers came about", of.failovers - of.missed, of.failovers),
                }
            }
            _ => self.coverage.clone(),
        }
    }

    /// One end of every figure at once: what is worse for the service, what is better, or what is likely.
    pub(crate) fn rates(&self, case: Case) -> Rates<'_> {
        Rates { of: self, case }
    }
}

/// Assumptions as numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates<'a> {
    pub(crate) of: &'a Assumptions,
    case: Case,
}

impl Rates<'_> {
    /// Of a figure that is the worse the greater it is.
    fn harm(&self, value: Interval) -> f64 {
        match self.case {
            Case::Best => value.low,
            Case::Likely => value.likely,
            Case::Worst => value.high,
        }
    }

    pub(crate) fn per_hour(&self, failing: &Failing) -> f64 {
        self.harm(failing.per_year.value).max(0.0) / HOURS_PER_YEAR
    }

    pub(crate) fn common_cause(&self) -> f64 {
        self.harm(self.of.common_cause.value).clamp(0.0, 1.0)
    }

    pub(crate) fn coverage(&self, component: &str) -> f64 {
        let value = self.of.coverage(component).value;
        self.harm(Interval { low: value.high, likely: value.likely, high: value.low }).clamp(0.0, 1.0)
    }

    /// In hours.
    pub(crate) fn promotion(&self) -> f64 {
        self.harm(self.of.promotion.value) / 3600.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_as_available_as_its_source_says() {
        let host = Assumptions::default().host;
        let down = host.per_year.value.likely * host.repair.mean() / HOURS_PER_YEAR;
        assert!((down / (1.0 + down) - 0.001).abs() < 1e-12);
        assert!((2.1..2.3).contains(&host.per_year.value.likely));
    }

    #[test]
    fn rehearsals_take_the_place_of_what_was_assumed() {
        let mut assumptions = Assumptions::default();
        let rehearsed = |failovers, missed| Rehearsed { failovers, missed, seconds: None };
        assumptions.rehearsed.insert("front".into(), rehearsed(10, 0));
        assumptions.rehearsed.insert("main".into(), rehearsed(1000, 10));
        assert_eq!(assumptions.coverage("other").origin, Origin::Assumed);
        let few = assumptions.coverage("front");
        assert_eq!(few.origin, Origin::Measured);
        // Ten without a miss are not worth much yet.
        assert!(few.value.low < 0.75 && few.value.high == 1.0 && few.value.likely < 1.0, "{few:?}");
        let many = assumptions.coverage("main").value;
        assert!(many.low > 0.98 && many.high < 0.996 && (many.likely - 0.99).abs() < 0.001, "{many:?}");
        let [best, worst] = [Case::Best, Case::Worst].map(|case| assumptions.rates(case).coverage("main"));
        assert!(worst < best);
    }
}
