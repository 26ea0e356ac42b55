//! Pages for people: one HTML file that needs no network, no script and no other file, by day, by night and on paper.
//!
//! Reports are sent around, opened years later and on machines without a network, so everything is in the file: style, plots
//! and drawings. This room knows what a page is made of and nothing of what it tells: the program puts reports on it.
//! It is pure: what it returns follows from what it is given.
//!
//! ```
//! use maud::html;
//! use nines_page::{Document, Ink, Panel, Plot, Series, Shape, Tone, Unit, badge};
//!
//! let plot = Plot::new("Requests", "Twelve good ones, then two that failed.", (0.0, 20.0), Unit::Ms).panel(
//!     Panel::new("requests", Unit::Count, 120.0)
//!         .series(Series::new("good", Ink::Good, Shape::Up, 0.0, 10.0, vec![6.0, 6.0]))
//!         .series(Series::new("failed", Ink::Failed(0), Shape::Down, 0.0, 10.0, vec![0.0, 2.0])),
//! );
//! let page = Document::new("shop: a rehearsal").body(&html! {
//!     h1 { "shop " (badge(Tone::Good, "held")) }
//!     (plot.figure())
//! });
//! assert!(page.starts_with("<!DOCTYPE html>"));
//! ```
//!
//! Who uses it depends on `maud` too: its macro `html!` is what everything is written in. Text is escaped by construction: whatever
//! stands there in parentheses is text, unless it is [`Markup`] already.
//! Never make `PreEscaped` of anything that came from outside.

mod diagram;
mod document;
mod parts;
pub mod plot;
pub mod text;
pub mod ticks;

pub use diagram::{Chip, Diagram, Place, Tier};
pub use document::Document;
pub use maud::Markup;
pub use parts::{Cell, Column, Tone, badge, card, facts, fold, scroll, section, slug, table};
pub use plot::{Band, Ink, Mark, Panel, Plot, Series, Shape, legend};
pub use ticks::Unit;
