//! The drawing of a plot.

use maud::{Markup, html};

use super::labels::{Label, lanes};
use super::paths::{Scale, Slots, area, line};
use super::{Band, Ink, Mark, Panel, Plot, Series, Shape};
use crate::text::{number, width};
use crate::ticks::ticks;

/// Of the whole drawing, in its own pixels.
const WIDTH: f64 = 960.0;
/// Left of the panels: labels and ticks.
const LEFT: f64 = 78.0;
/// Right of them, at least.
const RIGHT: f64 = 16.0;
/// Of a line of text.
const LANE: f64 = 18.0;
const FONT: f64 = 12.0;
/// Between panels.
const BETWEEN: f64 = 16.0;
/// Below the last one: ticks, and what they are where that is said.
const BELOW: f64 = 45.0;
const BELOW_TICKS: f64 = 27.0;
/// What is to be seen of a failure, in tenths of a pixel.
const LEAST: i64 = 25;
/// More than these can't be told apart.
pub(super) const MOST_SLOTS: usize = 900;

/// Where a series begins and ends in each slot, from zero on.
type Edges = Vec<(f64, f64)>;

/// Where everything is.
struct Layout {
    x: Scale,
    /// The right end of the panels.
    right: f64,
    /// Each mark's lane.
    lanes: Vec<usize>,
    /// The first panel's top.
    top: f64,
    bottom: f64,
}

impl Layout {
    fn of(plot: &Plot) -> Self {
        let x = |right: f64| Scale { from: (plot.from, LEFT), to: (plot.to, right) };
        let labels = |x: Scale| -> Vec<Label> {
            let label = |mark: &Mark| Label { at: x.within(mark.at), width: width(&mark.label, FONT) + 10.0 };
            plot.marks.iter().map(label).collect()
        };
        // A label at the end needs room; making it moves all of them a little to the left, so once more is enough.
        let mut right = WIDTH - RIGHT;
        for _ in 0..3 {
            let ends = labels(x(right)).into_iter().map(|label| label.at + label.width);
            right -= (ends.fold(0.0, f64::max) - (WIDTH - 4.0)).clamp(0.0, WIDTH / 6.0);
        }
        let lanes = lanes(&labels(x(right)));
        let count = lanes.iter().max().map_or(0, |highest| highest + 1);
        let top = 6.0
            + count as f64 * LANE
            + if plot.bands.iter().any(|band| band.label.is_some()) { LANE } else { 0.0 };
        let heights: f64 = plot.panels.iter().map(|panel| panel.height).sum();
        let bottom = top + heights + BETWEEN * plot.panels.len().saturating_sub(1) as f64;
        Self { x: x(right), right, lanes, top, bottom }
    }
}

pub(super) fn draw(plot: &Plot) -> Markup {
    let layout = Layout::of(plot);
    let height = layout.bottom + if plot.time.is_some() { BELOW } else { BELOW_TICKS };
    let tops = plot.panels.iter().scan(layout.top, |next, panel| {
        let top = *next;
        *next += panel.height + BETWEEN;
        Some(top)
    });
    html! {
        svg role="img" viewBox={ "0 0 " (WIDTH) " " (number(height)) } {
            title { (plot.title) }
            desc { (plot.description) }
            @for band in &plot.bands { (shade(band, &layout)) }
            (time_axis(plot, &layout))
            @for (panel, top) in plot.panels.iter().zip(tops) { (draw_panel(panel, &layout, top)) }
            @for (mark, lane) in plot.marks.iter().zip(&layout.lanes) { (moment(mark, *lane, &layout)) }
            @for band in &plot.bands { (band_label(band, &layout)) }
        }
    }
}

fn time_axis(plot: &Plot, layout: &Layout) -> Markup {
    let ticks = ticks(plot.unit, plot.from, plot.to, 9);
    let below = number(layout.bottom + 19.0);
    html! {
        @for (at, label) in &ticks {
            @let x = number(layout.x.at(*at));
            line.grid x1=(x) x2=(x) y1=(number(layout.top)) y2=(number(layout.bottom)) {}
            text.tick x=(x) y=(below) text-anchor="middle" { (label) }
        }
        @if let Some(time) = &plot.time {
            text.tick x=(number(f64::midpoint(LEFT, layout.right))) y=(number(layout.bottom + 37.0)) text-anchor="middle" { (time) }
        }
    }
}

fn draw_panel(panel: &Panel, layout: &Layout, top: f64) -> Markup {
    let bottom = top + panel.height;
    let (low, high) = range(panel);
    let y = Scale { from: (low, bottom), to: (high, top) };
    let middle = f64::midpoint(top, bottom);
    if panel.strip {
        return html! {
            text.axis x=(LEFT - 7.0) y=(number(middle + 4.0)) text-anchor="end" { (panel.label) }
            (draw_series(panel, layout, y))
        };
    }
    let middle = number(middle);
    let most = ((panel.height / 34.0) as usize).max(2);
    html! {
        @for (at, label) in mirrored_ticks(panel, low, high, most) {
            @let place = y.at(at);
            line.grid x1=(LEFT) x2=(number(layout.right)) y1=(number(place)) y2=(number(place)) {}
            text.tick x=(LEFT - 7.0) y=(number(place + 4.0)) text-anchor="end" { (label) }
        }
        text.axis transform={ "rotate(-90 13 " (middle) ")" } x="13" y=(middle) text-anchor="middle" { (panel.label) }
        (draw_series(panel, layout, y))
        line.zero x1=(LEFT) x2=(number(layout.right)) y1=(number(y.within(0.0))) y2=(number(y.within(0.0))) {}
        @for limit in &panel.limits {
            @let place = number(y.at(limit.at));
            line.limit x1=(LEFT) x2=(number(layout.right)) y1=(place) y2=(place) {}
            text.halo x=(number(layout.right - 4.0)) y=(number(y.at(limit.at) - 5.0)) text-anchor="end" { (limit.label) }
        }
    }
}

/// Below zero what is counted downwards has its own ticks, and as many things.
fn mirrored_ticks(panel: &Panel, low: f64, high: f64, most: usize) -> Vec<(f64, String)> {
    if low >= 0.0 || panel.series.iter().all(|series| series.shape != Shape::Down) {
        return ticks(panel.unit, low, high, most);
    }
    let largest = high.max(-low);
    let all = ticks(panel.unit, 0.0, largest, most);
    let down = all.iter().filter(|(at, _)| *at > 0.0 && *at <= -low).map(|(at, label)| (-at, label.clone()));
    down.chain(all.iter().filter(|(at, _)| *at <= high).cloned()).collect()
}

/// What the panel must have room for: sums of what is stacked, lines, limits.
fn range(panel: &Panel) -> (f64, f64) {
    if let Some(range) = panel.range {
        return range;
    }
    let highest = |shape: Shape| stack(panel, shape).1.into_iter().fold(0.0, f64::max);
    let lines = panel.series.iter().filter(|series| series.shape == Shape::Line);
    let line = lines.flat_map(|series| &series.values).copied().filter(|value| value.is_finite());
    let most = line.chain(panel.limits.iter().map(|limit| limit.at)).fold(highest(Shape::Up), f64::max);
    let down = highest(Shape::Down);
    let most = if most + down > 0.0 { most } else { 1.0 };
    // Room above for a limit's label, and for what is as high as the panel to be seen as such.
    (-down * 1.06, most * if panel.limits.is_empty() { 1.06 } else { 1.3 })
}

/// The edges of each stacked series of a shape, and the outermost ones. All of them have the slots of the first one.
fn stack(panel: &Panel, shape: Shape) -> (Vec<(&Series, Edges)>, Vec<f64>) {
    let mut height: Vec<f64> = Vec::new();
    let mut edges = Vec::new();
    for series in panel.series.iter().filter(|series| series.shape == shape) {
        height.resize(height.len().max(series.values.len()), 0.0);
        let own = series.values.iter().zip(&mut height).map(|(&value, height)| {
            let base = *height;
            *height += if value.is_finite() { value.max(0.0) } else { 0.0 };
            (base, *height)
        });
        edges.push((series, own.collect()));
    }
    (edges, height)
}

fn draw_series(panel: &Panel, layout: &Layout, y: Scale) -> Markup {
    let x = layout.x;
    let slots = |series: &Series| Slots { from: series.from, step: series.step };
    let areas = [(Shape::Up, 1.0), (Shape::Down, -1.0)].into_iter().flat_map(|(shape, sign)| {
        stack(panel, shape).0.into_iter().map(move |(series, edges)| {
            let failed = shape == Shape::Down || matches!(series.ink, Ink::Failed(_));
            let least = if failed { LEAST } else { 0 };
            let edges: Edges = edges.into_iter().map(|(base, top)| (base * sign, top * sign)).collect();
            (series.ink.class(), area(slots(series), &edges, x, y, least))
        })
    });
    let lines = panel.series.iter().filter(|series| series.shape == Shape::Line);
    html! {
        g transform="scale(.1)" {
            @for (class, path) in areas {
                @if !path.is_empty() { path class=(class) d=(path) {} }
            }
            @for series in lines {
                path class={ "line " (series.ink.class()) } d=(line(slots(series), &series.values, x, y)) {}
            }
        }
    }
}

fn shade(band: &Band, layout: &Layout) -> Markup {
    let (from, to) = (layout.x.within(band.from), layout.x.within(band.to));
    let class = if band.dark { "gap" } else { "during" };
    html! {
        rect class=(class) x=(number(from)) y=(number(layout.top)) width=(number((to - from).max(1.0)))
            height=(number(layout.bottom - layout.top)) {}
    }
}

/// In a lane of its own between the marks' labels and the panels, with the span itself drawn below it.
fn band_label(band: &Band, layout: &Layout) -> Markup {
    let Some(label) = &band.label else { return html! {} };
    let (from, to) = (layout.x.within(band.from), layout.x.within(band.to));
    let half = width(label, FONT) / 2.0 + 2.0;
    let middle = f64::midpoint(from, to).clamp(LEFT + half, (layout.right - half).max(LEFT + half));
    let (y, text) = (layout.top - 2.0, layout.top - 7.0);
    html! {
        line.span x1=(number(from)) x2=(number(to.max(from + 1.0))) y1=(number(y)) y2=(number(y)) {}
        text.halo x=(number(middle)) y=(number(text)) text-anchor="middle" { (label) }
    }
}

fn moment(mark: &Mark, lane: usize, layout: &Layout) -> Markup {
    let x = layout.x.within(mark.at);
    let highest = layout.lanes.iter().max().copied().unwrap_or(0);
    let y = 4.0 + (highest - lane) as f64 * LANE;
    let class = if mark.strong { "mark strong" } else { "mark" };
    html! {
        line class=(class) x1=(number(x)) x2=(number(x)) y1=(number(y)) y2=(number(layout.bottom)) {}
        text class=(class) x=(number(x + 4.0)) y=(number(y + 11.0)) { (mark.label) }
    }
}

/// A little of a series, for the legend.
pub(super) fn swatch(ink: Ink, shape: Shape) -> Markup {
    let class = ink.class();
    html! {
        svg.swatch viewBox="0 0 22 12" aria-hidden="true" {
            @if shape == Shape::Line {
                g transform="scale(.1)" { path class={ "line " (class) } d="M0 60h220" {} }
            } @else {
                g transform="scale(.1)" { path class=(class) d="M0 0h220v120h-220z" {} }
            }
        }
    }
}

/// In tenths of a pixel, as the paths that are filled with them.
pub(super) fn patterns() -> Markup {
    html! {
        svg.patterns width="0" height="0" aria-hidden="true" {
            defs {
                pattern id="p-slow" width="40" height="40" patternUnits="userSpaceOnUse" {
                    path.f-slow d="M0 0h40v40h-40z" {} path.f-page d="M0 0h40v12h-40z" {}
                }
                pattern id="p-bad1" width="60" height="60" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    path.f-bad1 d="M0 0h60v60h-60z" {} path.f-page d="M0 0h16v60h-16z" {}
                }
                pattern id="p-bad2" width="60" height="60" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)" {
                    path.f-bad2 d="M0 0h60v60h-60z" {} path.f-page d="M0 0h26v60h-26z" {}
                }
                pattern id="p-bad3" width="50" height="50" patternUnits="userSpaceOnUse" {
                    path.f-bad3 d="M0 0h50v50h-50z" {} path.f-page d="M10 10h22v22h-22z" {}
                }
                pattern id="p-unknown" width="60" height="60" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)" {
                    path.f-page d="M0 0h60v60h-60z" {} path.f-unknown d="M0 0h16v60h-16z" {}
                }
                pattern id="p-gap" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    path.f-gap d="M0 0h2v8h-2z" {}
                }
            }
        }
    }
}
