//! Plots over time: panels that share their time axis, with marked moments and spans. Drawn as SVG, readable without colour and
//! without eyes.

mod labels;
mod paths;
mod svg;

use maud::{Markup, html};

use crate::parts::scroll;
use crate::ticks::Unit;

/// How a series is drawn: what it means, not a colour. Each is told apart by pattern or place as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Good,
    /// Good, but not good enough.
    Slow,
    /// Failures of different kinds: 0, 1, 2, … ; from the fourth on they look alike.
    Failed(u8),
    /// Nobody looked.
    Unknown,
    /// A figure without a judgement.
    Neutral,
}

/// Failures that look different.
const FAILED: u8 = 4;

impl Ink {
    fn class(self) -> String {
        match self {
            Self::Good => "i-good".to_owned(),
            Self::Slow => "i-slow".to_owned(),
            Self::Failed(kind) => format!("i-bad{}", kind.min(FAILED - 1)),
            Self::Unknown => "i-unknown".to_owned(),
            Self::Neutral => "i-neutral".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Stacked upwards from zero, on the series before it.
    Up,
    /// Stacked downwards from zero: the dark side.
    Down,
    /// A line with a point in each slot; nothing is drawn where a value isn't finite.
    Line,
}

/// A value for each of many slots of one length, in order.
#[derive(Debug, Clone)]
pub struct Series {
    name: String,
    ink: Ink,
    shape: Shape,
    /// Where on the time axis the first slot begins, and how long each is.
    from: f64,
    step: f64,
    values: Vec<f64>,
}

impl Series {
    pub fn new(
        name: impl Into<String>,
        ink: Ink,
        shape: Shape,
        from: f64,
        step: f64,
        values: Vec<f64>,
    ) -> Self {
        Self { name: name.into(), ink, shape, from, step, values }
    }
}

/// A horizontal line: a promise, an objective.
#[derive(Debug, Clone)]
struct Limit {
    at: f64,
    label: String,
}

/// One of the plots that share the time axis.
#[derive(Debug, Clone)]
pub struct Panel {
    label: String,
    unit: Unit,
    height: f64,
    series: Vec<Series>,
    limits: Vec<Limit>,
    range: Option<(f64, f64)>,
    strip: bool,
}

impl Panel {
    /// `label`: what is counted, short enough to stand along the panel's height.
    pub fn new(label: impl Into<String>, unit: Unit, height: f64) -> Self {
        let (series, limits) = (Vec::new(), Vec::new());
        Self { label: label.into(), unit, height, series, limits, range: None, strip: false }
    }

    /// States and not figures: without an axis, from 0 to 1, and the label beside it.
    pub fn strip(label: impl Into<String>, height: f64) -> Self {
        Self { strip: true, ..Self::new(label, Unit::Share, height).range(0.0, 1.0) }
    }

    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    pub fn limit(mut self, at: f64, label: impl Into<String>) -> Self {
        if at.is_finite() {
            self.limits.push(Limit { at, label: label.into() });
        }
        self
    }

    /// Default: from zero to the largest value or limit.
    pub fn range(mut self, from: f64, to: f64) -> Self {
        self.range = Some(some_range((from, to)));
        self
    }
}

/// An axis of no length, or without an end, would have no place for anything.
fn some_range((from, to): (f64, f64)) -> (f64, f64) {
    match (from.is_finite(), to.is_finite() && to > from) {
        (true, true) => (from, to),
        (true, false) => (from, from + 1.0),
        (false, _) => (0.0, 1.0),
    }
}

/// A moment, with a line through all panels and a label above them.
#[derive(Debug, Clone)]
pub struct Mark {
    at: f64,
    label: String,
    strong: bool,
}

impl Mark {
    pub fn new(at: f64, label: impl Into<String>) -> Self {
        Self { at, label: label.into(), strong: false }
    }

    /// What it is all about: the fault.
    pub fn strong(mut self) -> Self {
        self.strong = true;
        self
    }
}

/// A span of time, shaded through all panels.
#[derive(Debug, Clone)]
pub struct Band {
    from: f64,
    to: f64,
    label: Option<String>,
    dark: bool,
}

impl Band {
    /// Faintly: that something was going on.
    pub fn faint(from: f64, to: f64) -> Self {
        Self { from, to, label: None, dark: false }
    }

    /// With a label: what nobody can overlook, an outage.
    pub fn dark(from: f64, to: f64, label: impl Into<String>) -> Self {
        Self { from, to, label: Some(label.into()), dark: true }
    }
}

/// A plot to be. Bounded by who makes it: about a thousand slots of a series can be seen ([`Plot::merging`]), a dozen marks read.
#[derive(Debug, Clone)]
pub struct Plot {
    title: String,
    description: String,
    from: f64,
    to: f64,
    unit: Unit,
    time: Option<String>,
    panels: Vec<Panel>,
    marks: Vec<Mark>,
    bands: Vec<Band>,
    legend: bool,
}

impl Plot {
    /// `title` and `description` are what is read aloud: the second says what is to be seen. `range` is the time axis's,
    /// in its unit.
    pub fn new(
        title: impl Into<String>,
        description: impl Into<String>,
        range: (f64, f64),
        unit: Unit,
    ) -> Self {
        let (title, description) = (title.into(), description.into());
        let (from, to) = some_range(range);
        let (panels, marks, bands) = (vec![], vec![], vec![]);
        Self { title, description, from, to, unit, time: None, panels, marks, bands, legend: true }
    }

    /// What stands below the time axis.
    pub fn time(mut self, label: impl Into<String>) -> Self {
        self.time = Some(label.into());
        self
    }

    pub fn panel(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }

    pub fn mark(mut self, mark: Mark) -> Self {
        self.marks.push(mark);
        self
    }

    pub fn band(mut self, band: Band) -> Self {
        self.bands.push(band);
        self
    }

    /// Of several that mean the same by the same inks, one [`legend`] says it.
    pub fn without_legend(mut self) -> Self {
        self.legend = false;
        self
    }

    /// How many slots must be made one so that each can be seen.
    pub fn merging(slots: usize) -> usize {
        slots.div_ceil(svg::MOST_SLOTS).max(1)
    }

    /// The plot in a box that scrolls where the screen is narrow, with its legend.
    pub fn figure(&self) -> Markup {
        html! {
            figure.plot {
                (scroll(&self.title, &svg::draw(self)))
                @if self.legend {
                    figcaption { ul.legend {
                        @for series in self.panels.iter().flat_map(|panel| &panel.series) {
                            li { (svg::swatch(series.ink, series.shape)) (series.name) }
                        }
                    } }
                }
            }
        }
    }
}

/// What areas of these inks mean, for plots without a legend of their own.
pub fn legend(inks: &[(&str, Ink)]) -> Markup {
    html! { ul class="legend apart" { @for (name, ink) in inks { li { (svg::swatch(*ink, Shape::Up)) (name) } } } }
}

/// What plots' patterns are, once for each page: [`crate::Document`] puts it there.
pub(crate) fn patterns() -> Markup {
    svg::patterns()
}

#[cfg(test)]
mod tests;
