//! Figures for failures, and maintenance.

use std::time::Duration;

use toml::de::DeValue;

use crate::fields::Fields;
use crate::item::Item;
use crate::kind::Section;
use crate::mistake::Mistake;
use crate::model::{Assumptions, Failing, FailureRate, Maintenance, Stated};
use crate::{shape, units, usual_repair};

pub(super) fn assumptions(system: &Fields<'_>) -> Assumptions {
    let fields = system.table("assumptions");
    let failing = |name: &str, usual| fields.get(name).and_then(|item| failing(item, usual));
    let share = |name: &str| {
        let item = fields.get(name)?;
        figure(
            item,
            &shape::SHARE_FIGURE,
            |item| item.share(0.0, 1.0, false),
            |fields| fields.maybe_share("value"),
        )
    };
    let time = |name: &str, section: &'static Section| {
        let item = fields.get(name)?;
        figure(item, section, |item| time_of(item, section), |fields| fields.maybe_time("value"))
    };
    Assumptions {
        host: failing("host", usual_repair::HOST),
        zone: failing("zone", usual_repair::ZONE),
        region: failing("region", usual_repair::ZONE),
        shared: failing("shared", usual_repair::SHARED),
        change: failing("change", usual_repair::CHANGE),
        common_cause: share("common_cause"),
        coverage: share("coverage"),
        by_hand: time("by_hand", &shape::BY_HAND_FIGURE),
        promotion: time("promotion", &shape::PROMOTION_FIGURE),
        crew: fields.maybe_whole("crew"),
    }
}

/// The short form of a time, within the bounds of the long one.
fn time_of(item: &Item<'_>, section: &'static Section) -> Option<Duration> {
    match section.key("value").kind {
        crate::kind::Kind::Time { min, max } => item.time(min, max),
        _ => None,
    }
}

/// A figure alone, or a table with where it comes from.
fn figure<'a, T>(
    item: Item<'a>,
    section: &'static Section,
    alone: impl Fn(&Item<'a>) -> Option<T>,
    within: impl Fn(&Fields<'a>) -> Option<T>,
) -> Option<Stated<T>> {
    match item.value.get_ref() {
        DeValue::Table(_) => {
            let fields = item.fields(section)?;
            fields.require("value")?;
            Some(Stated { value: within(&fields)?, source: source(&fields) })
        }
        _ => alone(&item).map(|value| Stated { value, source: None }),
    }
}

fn source(fields: &Fields<'_>) -> Option<String> {
    fields.text("source").map(str::to_owned)
}

/// `usual` is how long it lasts where that is not said here.
pub(super) fn failing(item: Item<'_>, usual: Duration) -> Option<Failing> {
    let fields = item.fields(&shape::FAILING)?;
    let (repair, source) = (fields.maybe_time("repair"), source(&fields));
    let (availability, every) = (fields.maybe_share("availability"), fields.maybe_time("every"));
    match (fields.key_place("availability"), fields.key_place("every")) {
        (Some(first), Some(second)) => fields.notes().add(
            Mistake::new("how often it fails is said twice", second, "by the time between failures")
                .and(first, "by the share of time")
                .help("keep the one that you know"),
        ),
        (None, None) if fields.is_missed("availability") && fields.is_missed("every") => fields.notes().add(
            Mistake::new("how often it fails is not said", item.span(), "neither `availability` nor `every`")
                .of_the_whole()
                .help(
                    "add availability = \"99.9 %\", the share of time in which it works; or every = \"365d\"",
                ),
        ),
        _ => {}
    }
    if let Some(every) = every.filter(|every| repair.unwrap_or(usual) >= *every) {
        let place = |name: &str| fields.place(name).unwrap_or_default();
        let what = "a failure lasts longer than from one to the next";
        let said = format!("every {}", units::write_duration(every));
        fields.notes().add(match repair {
            Some(_) => Mistake::new(what, place("repair"), "how long it lasts")
                .and(place("every"), said)
                .help("`every` is the time from one failure to the next, the repair included"),
            None => Mistake::new(what, place("every"), said).help(format!(
                "it is taken to last {}: say how long, `repair = \"10min\"`; `every` is the time from one failure to the next, the repair included",
                units::write_duration(usual)
            )),
        });
    }
    let rate = availability.map(FailureRate::Availability).or(every.map(FailureRate::Every));
    Some(Failing { rate: rate?, repair, source })
}

pub(super) fn maintenance(item: Item<'_>) -> Option<Maintenance> {
    let fields = item.fields(&shape::MAINTENANCE)?;
    let time = |name: &str| fields.require(name).and_then(|_| fields.maybe_time(name));
    let (every, takes) = (time("every"), time("takes"));
    let (every, takes) = (every?, takes?);
    if takes >= every {
        let place = |name: &str| fields.place(name).unwrap_or_default();
        fields.notes().add(
            Mistake::new(
                "maintenance takes longer than from one to the next",
                place("takes"),
                format!("it takes {}", units::write_duration(takes)),
            )
            .and(place("every"), format!("every {}", units::write_duration(every)))
            .help("`takes` is how long one host is away at one time"),
        );
        return None;
    }
    Some(Maintenance { every, takes })
}

/// `"none"`, or a table.
pub(super) fn host_maintenance(item: Item<'_>) -> Option<Maintenance> {
    match item.value.get_ref() {
        DeValue::String(_) => {
            item.word(&["none"]);
            None
        }
        _ => maintenance(item),
    }
}
