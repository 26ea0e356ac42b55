//! What is taken for granted about failures and repairs, each with where it comes from. A prediction is worth what these are.

use std::collections::BTreeMap;
use std::time::Duration;

use nines_system::{FailureRate, Stated};
use serde::Serialize;

use crate::bounds::{Interval, below, clopper_pearson, quantile};
use crate::distribution::Hours;
use crate::nines::HOURS_PER_YEAR;

/// As many failovers an assumed coverage counts for, beside those that were rehearsed: its bounds are about as wide as twenty
/// tries leave them.
const ASSUMED_WEIGHS: f64 = 20.0;
/// How likely a coverage is to be beyond each of its bounds: as likely as beyond those of the assumption, but within these.
const BEYOND: (f64, f64) = (0.05, 0.15);

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
    /// Things that hosts share: a switch, a power line, a certificate.
    pub shared: Failing,
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
    /// Whether the file says anything of all this, also of a single host.
    #[serde(skip)]
    pub stated: bool,
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
        let shared_repair = Hours::Exponential { mean: 2.0 };
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
            shared: Failing {
                per_year: figure(
                    within(per_year(0.0001, &shared_repair), 2.0),
                    Origin::Assumed,
                    "99.99 %: nobody says more of it",
                ),
                repair: shared_repair,
                repair_source: "assumed: two hours on average".into(),
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
            stated: false,
        }
    }
}

/// Where a figure comes from that the file states.
fn stated_by(source: Option<&String>) -> String {
    source.cloned().unwrap_or_else(|| "the system file".to_owned())
}

impl Failing {
    /// The same with what the file states instead. A repair that is not stated stays; one that is has the shape of the assumed
    /// one, with another mean.
    pub fn stated(&self, said: Option<&nines_system::Failing>) -> Self {
        let Some(said) = said else { return self.clone() };
        let hours = |time: Duration| time.as_secs_f64() / 3600.0;
        let source = stated_by(said.source.as_ref());
        let (repair, repair_source) = match said.repair {
            Some(repair) => (self.repair.scaled(hours(repair) / self.repair.mean()), source.clone()),
            None => (self.repair, self.repair_source.clone()),
        };
        let rate = match said.rate {
            FailureRate::Availability(share) => per_year(1.0 - share, &repair),
            // From failure to failure, with the repair in it.
            FailureRate::Every(every) => {
                HOURS_PER_YEAR / (hours(every) - repair.mean()).max(hours(every) / 1000.0)
            }
        };
        Self { per_year: figure(Interval::exactly(rate), Origin::Stated, &source), repair, repair_source }
    }
}

impl Assumptions {
    /// What the file states, and defaults for the rest.
    pub fn of(system: &nines_system::System) -> Self {
        let said = &system.assumptions;
        let default = Self::default();
        let share = |of: &Option<Stated<f64>>, default: Figure| {
            of.as_ref().map_or(default, |of| {
                figure(Interval::exactly(of.value), Origin::Stated, &stated_by(of.source.as_ref()))
            })
        };
        let (by_hand, by_hand_source) = match &said.by_hand {
            Some(of) => {
                let hours = of.value.as_secs_f64() / 3600.0;
                (Hours::Exponential { mean: hours }, stated_by(of.source.as_ref()))
            }
            None => (default.by_hand, default.by_hand_source),
        };
        let promotion = said
            .promotion
            .as_ref()
            .map(|of| Stated { value: of.value.as_secs_f64(), source: of.source.clone() });
        Self {
            host: default.host.stated(said.host.as_ref()),
            zone: default.zone.stated(said.zone.as_ref()),
            region: default.region.stated(said.region.as_ref()),
            shared: default.shared.stated(said.shared.as_ref()),
            change: default.change.stated(said.change.as_ref()),
            common_cause: share(&said.common_cause, default.common_cause),
            coverage: share(&said.coverage, default.coverage),
            by_hand,
            by_hand_source,
            promotion: share(&promotion, default.promotion),
            crew: said.crew,
            rehearsed: BTreeMap::new(),
            stated: *said != nines_system::Assumptions::default()
                || system.hosts.iter().any(|host| host.failures.is_some() || host.maintenance.is_some())
                || system.shared.iter().any(|shared| shared.failures.is_some()),
        }
    }

    /// Whether the file states any of these, or maintenance.
    pub fn are_stated(&self) -> bool {
        self.stated
    }

    /// What rehearsals of a component alone show of its coverage, whatever was assumed before: 90 %, so that 95 of 100 times it is at
    /// least the lower one.
    pub fn shown(&self, component: &str) -> Option<Interval> {
        let of = self.rehearsed.get(component).filter(|of| of.failovers > 0)?;
        let missed = clopper_pearson(of.missed, of.failovers, 0.9);
        Some(Interval { low: 1.0 - missed.high, likely: 1.0 - missed.likely, high: 1.0 - missed.low })
    }

    /// The share of a component's failovers that come about: what was assumed counts as so many tries, and those that were rehearsed
    /// are added to it (a beta distribution). So a few move the figure and its bounds, and many take their place.
    pub fn coverage(&self, component: &str) -> Figure {
        match self.rehearsed.get(component) {
            Some(of) if of.failovers > 0 => {
                let assumed = self.coverage.value;
                let (came, missed) =
                    (assumed.likely * ASSUMED_WEIGHS, (1.0 - assumed.likely) * ASSUMED_WEIGHS);
                let tail = |beyond: f64| beyond.clamp(BEYOND.0, BEYOND.1);
                let (worse, better) =
                    (tail(below(assumed.low, came, missed)), tail(1.0 - below(assumed.high, came, missed)));
                let not = of.missed.min(of.failovers) as f64;
                let (came, missed) = (came + of.failovers as f64 - not, missed + not);
                let (low, high) = (quantile(worse, came, missed), quantile(1.0 - better, came, missed));
                let likely = (came / (came + missed)).clamp(low, high);
                Figure {
                    value: Interval { low, likely, high },
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
    fn what_the_file_states_takes_the_place_of_defaults() {
        let text = r#"
            name = "t"
            [hosts]
            a = "10.0.0.1"
            [load_balancers.front]
            hosts = ["a"]
            listeners = [{ bind = ":80", pool = "web" }]
            [pools.web]
            members = ["a:1"]
            [assumptions]
            host = { availability = "99 %", repair = "2h", source = "our records" }
            zone = { every = "100d", repair = "1d" }
            change = { every = "50d" }
            coverage = { value = "80 %", source = "drills" }
            promotion = "5s"
            by_hand = "1h"
            crew = 3
        "#;
        let of = Assumptions::of(&nines_system::parse("t", text).unwrap());
        let unavailable = |of: &Failing| {
            let load = of.per_year.value.likely * of.repair.mean() / HOURS_PER_YEAR;
            load / (1.0 + load)
        };
        assert!((unavailable(&of.host) - 0.01).abs() < 1e-12);
        assert_eq!(
            (of.host.per_year.origin, of.host.per_year.source.as_str()),
            (Origin::Stated, "our records")
        );
        assert!((of.host.repair.mean() - 2.0).abs() < 1e-12 && of.host.repair_source == "our records");
        // A day of each hundred; and it is still now and then much longer.
        assert!((unavailable(&of.zone) - 0.01).abs() < 1e-12);
        assert!(
            matches!(of.zone.repair, Hours::LogNormal { .. }) && (of.zone.repair.mean() - 24.0).abs() < 1e-9
        );
        assert_eq!(of.zone.per_year.source, "the system file");
        assert_eq!(of.change.repair, Assumptions::default().change.repair);
        assert!((of.change.per_year.value.likely - 7.3).abs() < 0.01);
        assert_eq!((of.coverage.value, of.coverage.source.as_str()), (Interval::exactly(0.8), "drills"));
        assert_eq!((of.promotion.value.likely, of.by_hand.mean(), of.crew), (5.0, 1.0, Some(3)));
        assert!(of.are_stated());
        assert_eq!((of.region, of.shared), (Assumptions::default().region, Assumptions::default().shared));
    }

    #[test]
    fn whatever_the_file_says_of_failures_is_stated() {
        let read = |host: &str, rest: &str| {
            let text = format!("name = \"t\"\nhosts = {{ a = {{ address = \"10.0.0.1\"{host} }} }}\n{rest}");
            Assumptions::of(
                &nines_system::parse("t", &text).unwrap_or_else(|of| panic!("{}", of.render(false))),
            )
        };
        assert!(!read("", "").are_stated());
        for (host, rest) in [
            ("", "[assumptions]\nby_hand = \"1h\"\n"),
            ("", "[assumptions]\ncrew = 2\n"),
            (", failures = { availability = \"99 %\" }", ""),
            ("", "[shared.sw1]\nhosts = [\"a\"]\nfailures = { availability = \"99 %\" }\n"),
            (", maintenance = { every = \"30d\", takes = \"1h\" }", ""),
        ] {
            assert!(read(host, rest).are_stated(), "{host}{rest}");
        }
    }

    #[test]
    fn what_a_file_may_state_goes_by_the_repairs_that_are_assumed() {
        let of = Assumptions::default();
        for (failing, usual) in [
            (of.host, nines_system::usual_repair::HOST),
            (of.zone, nines_system::usual_repair::ZONE),
            (of.region, nines_system::usual_repair::ZONE),
            (of.shared, nines_system::usual_repair::SHARED),
            (of.change, nines_system::usual_repair::CHANGE),
        ] {
            let hours = usual.as_secs_f64() / 3600.0;
            assert!((failing.repair.mean() - hours).abs() < 0.01, "{failing:?} is not {hours}");
        }
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
        // Ten without a miss alone are not worth much yet.
        let shown = assumptions.shown("front").unwrap();
        assert!(shown.low < 0.75 && shown.high == 1.0, "{shown:?}");
        // And yet more than nothing: they make no figure worse.
        let assumed = assumptions.coverage.value;
        assert!(few.value.likely > assumed.likely && few.value.low > assumed.low, "{few:?}");
        let mut before = assumed.low;
        for failovers in 1..40 {
            assumptions.rehearsed.insert("front".into(), rehearsed(failovers, 0));
            let low = assumptions.coverage("front").value.low;
            assert!(low > before, "{failovers}: {low} is not more than {before}");
            before = low;
        }
        assumptions.rehearsed.insert("front".into(), rehearsed(1, 1));
        assert!(assumptions.coverage("front").value.low < assumed.low);
        let many = assumptions.coverage("main").value;
        assert!(many.low > 0.98 && many.high < 0.996 && (many.likely - 0.99).abs() < 0.001, "{many:?}");
        let [best, worst] = [Case::Best, Case::Worst].map(|case| assumptions.rates(case).coverage("main"));
        assert!(worst < best);
    }
}
