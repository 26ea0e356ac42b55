//! A system drawn: zones as columns, what it does for its clients as tiers, hosts where the two meet, and the traffic between tiers.

use maud::{Markup, html};

use crate::parts::{Tone, scroll};
use crate::text::{fit, number, wrap};

const CHIP: f64 = 146.0;
const GAP: f64 = 10.0;
const TIER: f64 = 216.0;
/// Between the lanes of arrows that go past a tier.
const LANE: f64 = 12.0;
const NAME: f64 = 13.0;
const WORDS: f64 = 11.5;
const LINE: f64 = 15.0;
/// As wide as it gets, as long as each zone has room for one host beside another.
const WIDE: f64 = 1120.0;
/// Lines of text in a chip, and in a tier's box.
const CHIP_LINES: usize = 4;
const TIER_LINES: usize = 8;

/// A host where it stands.
#[derive(Debug, Clone)]
pub struct Chip {
    name: String,
    words: Vec<String>,
    tone: Tone,
    note: Option<String>,
    link: Option<String>,
    again: bool,
}

impl Chip {
    /// `words`: what it is, a line each.
    pub fn new(name: impl Into<String>, words: Vec<String>) -> Self {
        Self { name: name.into(), words, tone: Tone::Plain, note: None, link: None, again: false }
    }

    /// Why it is worth a look, or not: `2 broken`.
    pub fn note(mut self, tone: Tone, note: impl Into<String>) -> Self {
        (self.tone, self.note) = (tone, Some(note.into()));
        self
    }

    /// Where on the page more is said: `#app1-kill`.
    pub fn link(mut self, link: impl Into<String>) -> Self {
        self.link = Some(link.into());
        self
    }

    /// A host that stands in another tier already, and has a part in this one too.
    pub fn again(mut self) -> Self {
        self.again = true;
        self
    }
}

/// A chip, in which of the zones.
#[derive(Debug, Clone)]
pub struct Place {
    pub zone: usize,
    pub chip: Chip,
}

/// What the system does for those above it: a load balancer, a pool, a database.
#[derive(Debug, Clone)]
pub struct Tier {
    heading: String,
    words: Vec<String>,
    from: Vec<usize>,
    places: Vec<Place>,
}

impl Tier {
    pub fn new(heading: impl Into<String>, words: Vec<String>) -> Self {
        Self { heading: heading.into(), words, from: Vec::new(), places: Vec::new() }
    }

    /// Traffic comes from an earlier tier of the drawing, by its number from 0.
    pub fn from(mut self, tier: usize) -> Self {
        self.from.push(tier);
        self
    }

    pub fn place(mut self, zone: usize, chip: Chip) -> Self {
        self.places.push(Place { zone, chip });
        self
    }
}

/// A drawing to be.
#[derive(Debug, Clone)]
pub struct Diagram {
    title: String,
    description: String,
    zones: Vec<(String, Option<String>)>,
    tiers: Vec<Tier>,
}

impl Diagram {
    /// `title` and `description` are what is read aloud. `zones`: each with the region that it is in, if it says so.
    pub fn new(
        title: impl Into<String>,
        description: impl Into<String>,
        zones: Vec<(String, Option<String>)>,
    ) -> Self {
        Self { title: title.into(), description: description.into(), zones, tiers: Vec::new() }
    }

    pub fn tier(mut self, tier: Tier) -> Self {
        self.tiers.push(tier);
        self
    }

    /// The drawing in a box that scrolls where the screen is narrow.
    pub fn figure(&self) -> Markup {
        html! { figure.drawing { (scroll(&self.title, &draw(self))) } }
    }
}

struct Layout {
    /// Left edges of tiers' boxes.
    left: f64,
    /// Each zone's left edge, and chips side by side in it.
    zones: Vec<(f64, usize)>,
    /// Each tier's top and height.
    tiers: Vec<(f64, f64)>,
    /// Chips' height in each tier.
    chips: Vec<f64>,
    lanes: Vec<Option<usize>>,
    top: f64,
    width: f64,
    height: f64,
}

fn zone_width(columns: usize) -> f64 {
    columns as f64 * (CHIP + GAP) + GAP
}

impl Layout {
    fn of(diagram: &Diagram) -> Self {
        let (lanes, count) = lanes(&diagram.tiers);
        let left = 12.0 + count as f64 * LANE + if count > 0 { 8.0 } else { 0.0 };
        let right_of_tiers = left + TIER + 24.0;
        let columns = columns(diagram, WIDE - right_of_tiers);
        let mut x = right_of_tiers;
        let mut zones = Vec::new();
        for count in columns {
            zones.push((x, count));
            x += zone_width(count) + GAP;
        }
        let regions = diagram.zones.iter().any(|(_, region)| region.is_some());
        let top = if regions { 46.0 } else { 26.0 };
        let (mut tiers, mut chips, mut y) = (Vec::new(), Vec::new(), top + 10.0);
        for tier in &diagram.tiers {
            let lines = tier.places.iter().map(|place| chip_lines(&place.chip).len()).max().unwrap_or(0);
            let chip = 26.0 + lines as f64 * LINE;
            let rows = zones.iter().enumerate().map(|(zone, &(_, columns))| {
                tier.places.iter().filter(|place| place.zone == zone).count().div_ceil(columns)
            });
            let rows = rows.max().unwrap_or(0) as f64;
            let height = (28.0 + tier_lines(tier).len() as f64 * LINE).max(rows * (chip + GAP) - GAP);
            tiers.push((y, height));
            chips.push(chip);
            y += height + 28.0;
        }
        Self { left, zones, tiers, chips, lanes, top, width: x.max(right_of_tiers), height: y - 14.0 }
    }
}

/// Which lane each tier's arrows past others go in, and how many lanes there are.
fn lanes(tiers: &[Tier]) -> (Vec<Option<usize>>, usize) {
    let mut count = 0;
    let lanes = (0..tiers.len())
        .map(|source| {
            let past = tiers
                .iter()
                .enumerate()
                .any(|(target, tier)| target > source + 1 && tier.from.contains(&source));
            past.then(|| {
                count += 1;
                count - 1
            })
        })
        .collect();
    (lanes, count)
}

/// How many chips stand side by side in each zone: more where most are below one another, as long as there is room.
fn columns(diagram: &Diagram, room: f64) -> Vec<usize> {
    let most = |zone: usize| {
        let of_tier = |tier: &Tier| tier.places.iter().filter(|place| place.zone == zone).count();
        diagram.tiers.iter().map(of_tier).max().unwrap_or(0)
    };
    let most: Vec<usize> = (0..diagram.zones.len()).map(most).collect();
    let mut columns = vec![1usize; most.len()];
    loop {
        let taken: f64 = columns.iter().map(|&count| zone_width(count) + GAP).sum();
        let rows = |zone: usize| most[zone].div_ceil(columns[zone]);
        let highest = (0..most.len()).max_by_key(|&zone| (rows(zone), std::cmp::Reverse(zone)));
        match highest {
            Some(zone) if rows(zone) > 1 && taken + CHIP + GAP <= room => columns[zone] += 1,
            _ => return columns,
        }
    }
}

fn chip_lines(chip: &Chip) -> Vec<String> {
    let mut lines: Vec<String> =
        chip.words.iter().flat_map(|words| wrap(words, WORDS, CHIP - 16.0, 2)).take(CHIP_LINES).collect();
    lines.extend(chip.note.as_ref().map(|note| fit(note, WORDS, CHIP - 16.0)));
    lines
}

fn tier_lines(tier: &Tier) -> Vec<String> {
    tier.words.iter().flat_map(|words| wrap(words, WORDS, TIER - 20.0, 2)).take(TIER_LINES).collect()
}

fn draw(diagram: &Diagram) -> Markup {
    let layout = Layout::of(diagram);
    // Never so small that its text can't be read: rather scrolled.
    let least = number(layout.width * 0.92);
    html! {
        svg role="img" viewBox={ "0 0 " (number(layout.width)) " " (number(layout.height)) }
            style={ "min-width:" (least) "px;max-width:" (number(layout.width * 1.1)) "px" } {
            title { (diagram.title) }
            desc { (diagram.description) }
            @for (index, (name, _)) in diagram.zones.iter().enumerate() { (draw_zone(name, index, &layout)) }
            (draw_regions(diagram, &layout))
            @for (index, tier) in diagram.tiers.iter().enumerate() {
                (draw_tier(tier, index, &layout))
                (draw_chips(tier, index, &layout))
            }
            (arrows(diagram, &layout))
        }
    }
}

fn draw_zone(name: &str, index: usize, layout: &Layout) -> Markup {
    let (x, columns) = layout.zones[index];
    let width = zone_width(columns);
    html! {
        rect.zone x=(number(x)) y=(number(layout.top - 22.0)) width=(number(width)) height=(number(layout.height - layout.top + 20.0)) rx="8" {}
        text.zone-name x=(number(x + GAP)) y=(number(layout.top - 4.0)) { (fit(name, 14.0, width - 2.0 * GAP)) title { (name) } }
    }
}

/// A bracket over the zones of a region that stand side by side.
fn draw_regions(diagram: &Diagram, layout: &Layout) -> Markup {
    let all: Vec<(usize, &String)> = diagram
        .zones
        .iter()
        .enumerate()
        .filter_map(|(index, (_, region))| Some((index, region.as_ref()?)))
        .collect();
    let together = all.chunk_by(|one, next| one.1 == next.1 && one.0 + 1 == next.0);
    html! {
        @for region in together {
            @if let (Some((first, name)), Some((last, _))) = (region.first(), region.last()) {
                @let from = layout.zones[*first].0;
                @let to = layout.zones[*last].0 + zone_width(layout.zones[*last].1);
                line.region x1=(number(from)) x2=(number(to)) y1="20" y2="20" {}
                text.words x=(number(from + 2.0)) y="14" { (fit(&format!("region {name}"), WORDS, to - from)) }
            }
        }
    }
}

fn draw_tier(tier: &Tier, index: usize, layout: &Layout) -> Markup {
    let (y, _) = layout.tiers[index];
    let lines = tier_lines(tier);
    let height = 28.0 + lines.len() as f64 * LINE;
    let x = layout.left;
    html! {
        rect.tier x=(number(x)) y=(number(y)) width=(TIER) height=(number(height)) rx="6" {}
        text.chip-name x=(number(x + 10.0)) y=(number(y + 18.0)) { (fit(&tier.heading, NAME * 1.06, TIER - 20.0)) title { (tier.heading) } }
        @for (n, line) in lines.iter().enumerate() {
            text.words x=(number(x + 10.0)) y=(number(y + 34.0 + n as f64 * LINE)) { (line) }
        }
    }
}

fn draw_chips(tier: &Tier, index: usize, layout: &Layout) -> Markup {
    let (top, _) = layout.tiers[index];
    let height = layout.chips[index];
    // Each with how many are before it in its zone.
    let placed = tier.places.iter().enumerate().filter(|(_, place)| place.zone < layout.zones.len());
    let placed = placed.map(|(n, place)| {
        (place, tier.places[..n].iter().filter(|earlier| earlier.zone == place.zone).count())
    });
    html! {
        @for (place, nth) in placed {
            @let (left, columns) = layout.zones[place.zone];
            @let x = left + GAP + (nth % columns) as f64 * (CHIP + GAP);
            @let y = top + (nth / columns) as f64 * (height + GAP);
            @match &place.chip.link {
                Some(link) => a href=(link) { (draw_chip(&place.chip, x, y, height)) },
                None => (draw_chip(&place.chip, x, y, height)),
            }
        }
    }
}

fn draw_chip(chip: &Chip, x: f64, y: f64, height: f64) -> Markup {
    let again = if chip.again { " again" } else { "" };
    let lines = chip_lines(chip);
    let note = chip.note.is_some().then(|| lines.len() - 1);
    html! {
        g {
            title { (chip.name) @for words in chip.words.iter().chain(&chip.note) { ", " (words) } }
            rect class={ "chip " (chip.tone.class()) (again) } x=(number(x)) y=(number(y)) width=(CHIP) height=(number(height)) rx="5" {}
            text.chip-name x=(number(x + 8.0)) y=(number(y + 17.0)) { (fit(&chip.name, NAME * 1.06, CHIP - 16.0)) }
            @for (n, line) in lines.iter().enumerate() {
                @let class = if note == Some(n) { format!("words {}", chip.tone.class()) } else { "words".to_owned() };
                text class=(class) x=(number(x + 8.0)) y=(number(y + 33.0 + n as f64 * LINE)) { (line) }
            }
        }
    }
}

/// Straight down to the next tier; to others on the left of those between.
fn arrows(diagram: &Diagram, layout: &Layout) -> Markup {
    let box_bottom =
        |tier: usize| layout.tiers[tier].0 + 28.0 + tier_lines(&diagram.tiers[tier]).len() as f64 * LINE;
    let all = diagram.tiers.iter().enumerate().flat_map(|(target, tier)| {
        tier.from.iter().filter(move |&&source| source < target).map(move |&source| (source, target))
    });
    html! {
        @for (source, target) in all {
            @let top = layout.tiers[target].0;
            @if target == source + 1 {
                @let x = layout.left + TIER / 2.0;
                path.arrow d={ "M" (number(x)) " " (number(box_bottom(source))) "V" (number(top - 6.0)) } {}
                path.head d={ "M" (number(x - 5.0)) " " (number(top - 9.0)) "h10l-5 8z" } {}
            } @else if let Some(lane) = layout.lanes[source] {
                @let x = layout.left - 14.0 - lane as f64 * LANE;
                // Each comes in at a height of its own.
                @let into = top + 12.0 + lane as f64 * 5.0;
                @let out = box_bottom(source) - 9.0;
                path.arrow d={ "M" (number(layout.left)) " " (number(out)) "H" (number(x)) "V" (number(into)) "H" (number(layout.left - 6.0)) } {}
                path.head d={ "M" (number(layout.left - 9.0)) " " (number(into - 4.5)) "v9l8 -4.5z" } {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(count: usize) -> Vec<(String, Option<String>)> {
        (0..count).map(|n| (format!("z{n}"), None)).collect()
    }

    fn drawing(hosts: usize, zone_count: usize) -> Diagram {
        let mut pool = Tier::new("pool web", vec!["least requests".to_owned()]).from(0);
        for host in 0..hosts {
            pool = pool.place(host % zone_count, Chip::new(format!("app{host}"), vec!["web".to_owned()]));
        }
        Diagram::new("System", "Drawn.", zones(zone_count)).tier(Tier::new("clients", vec![])).tier(pool)
    }

    #[test]
    fn zones_grow_sidewards_only_as_far_as_there_is_room() {
        for (hosts, zone_count) in [(1, 1), (8, 3), (30, 3), (30, 12), (200, 2)] {
            let drawing = drawing(hosts, zone_count);
            let layout = Layout::of(&drawing);
            let least = 300.0 + zone_count as f64 * (zone_width(1) + GAP);
            assert!(layout.width <= WIDE.max(least), "{hosts} hosts in {zone_count} zones: {}", layout.width);
        }
        assert_eq!(Layout::of(&drawing(30, 3)).zones.iter().map(|zone| zone.1).sum::<usize>(), 5);
    }

    #[test]
    fn every_host_is_on_the_drawing_with_its_whole_name() {
        let long = "a-host-with-a-name-that-is-far-too-long-for-its-box";
        let tier = Tier::new("pool", vec![]).place(0, Chip::new(long, vec!["web".to_owned()]).link("#there"));
        let drawn = Diagram::new("t", "d", zones(1)).tier(tier).figure().into_string();
        assert!(drawn.contains(&format!("<title>{long}, web</title>")), "{drawn}");
        assert!(drawn.contains("…</text>") && drawn.contains("href=\"#there\""));
    }

    #[test]
    fn an_arrow_past_a_tier_goes_around_it() {
        let tiers =
            [Tier::new("a", vec![]), Tier::new("b", vec![]).from(0), Tier::new("c", vec![]).from(0).from(1)];
        assert_eq!(lanes(&tiers), (vec![Some(0), None, None], 1));
    }
}
