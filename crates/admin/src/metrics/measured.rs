//! The metrics of what was measured, by subject.

use std::fmt;

use nines_control::status::{MeasuredStatus, MeasuredWindow, Status};

use super::{Labels, Page};

/// Those over which availability is told; the others are there for burn rates.
const TOLD: [&str; 4] = ["1h", "1d", "30d", "365d"];

pub(super) fn families(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let all = &status.measured;
    page.gauge(
        "nines_objective",
        "The share that the system file promises",
        [(vec![], status.objective_fraction)],
    )?;
    page.gauge(
        "nines_measurements_kept",
        "Whether what is measured is kept on disk: 0 where a restart would forget it",
        [(vec![], f64::from(u8::from(status.not_kept.is_none())))],
    )?;
    let windows = || all.iter().flat_map(|one| one.windows.iter().map(move |window| (one, window)));
    page.gauge(
        "nines_availability_ratio",
        "The share of seconds that were up, of those of which it is known, and of requests that went well",
        windows()
            .filter(|(_, window)| TOLD.contains(&window.window.as_str()))
            .flat_map(|(one, window)| by(of_window(one, window), [window.by_time, window.by_request])),
    )?;
    page.gauge(
        "nines_error_budget_left_ratio",
        "What is left of what the objective allows in thirty days; below 0 it is overspent",
        all.iter().flat_map(|one| by(of(one), [one.budget_left_by_time, one.budget_left_by_request])),
    )?;
    page.gauge(
        "nines_burn_rate",
        "How many times as fast as the objective allows its budget was spent",
        windows().flat_map(|(one, window)| {
            by(of_window(one, window), [window.burn_by_time, window.burn_by_request])
        }),
    )?;
    page.counter(
        "nines_measured_seconds",
        "Seconds by what is known of them",
        all.iter().flat_map(|one| {
            [("up", one.up), ("down", one.down), ("unknown", one.unknown)]
                .map(|(state, seconds)| ([of(one), vec![("state", state)]].concat(), seconds))
        }),
    )?;
    page.counter(
        "nines_measured_requests",
        "Requests by how they went; what is the client's own doing is not among them",
        all.iter().flat_map(|one| {
            [("good", one.good), ("bad", one.bad)]
                .map(|(outcome, count)| ([of(one), vec![("outcome", outcome)]].concat(), count))
        }),
    )
}

fn of(one: &MeasuredStatus) -> Labels<'_> {
    vec![("kind", one.kind.as_str()), ("subject", one.name.as_str())]
}

fn of_window<'a>(one: &'a MeasuredStatus, window: &'a MeasuredWindow) -> Labels<'a> {
    [of(one), vec![("window", window.window.as_str())]].concat()
}

/// What is not known is not there.
fn by<'a>(labels: Labels<'a>, [time, requests]: [Option<f64>; 2]) -> impl Iterator<Item = (Labels<'a>, f64)> {
    let one = move |word, value: Option<f64>| Some(([labels.clone(), vec![("by", word)]].concat(), value?));
    [one("time", time), one("request", requests)].into_iter().flatten()
}
