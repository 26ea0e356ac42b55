//! What happens if a component fails, as a table: five answers for each.

use anstyle::Style;
use nines_availability::audit::{Audit, ComponentKind, Consequence};
use nines_availability::service::Service;

use super::kind;
use crate::terminal::{BAD, Cell, DIM, GOOD, PLAIN, UNSURE, table};

/// Rows of hosts and members that are shown; all of them are in the JSON.
const ROWS: usize = 60;

pub(super) fn section(service: &Service, audit: &Audit, width: Option<usize>, out: &mut Vec<String>) {
    super::heading("What happens if it fails", out);
    let mut rows: Vec<&Consequence> = audit.components.iter().collect();
    if rows.len() > ROWS {
        rows.sort_by_key(|row| row.lost.is_empty());
    }
    let (few, rest) = rows.split_at(rows.len().min(ROWS));
    let head = ["", "", "clients lose", "person", "noticed", "who takes over, or what is lost"];
    let head = head.map(|text| Cell::new(text, DIM)).to_vec();
    let rows = few.iter().map(|row| cells(service, audit, row));
    out.extend(table(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), width));
    if !rest.is_empty() {
        out.push(format!("and {} more: --json shows all", rest.len()));
    }
}

fn cells(service: &Service, audit: &Audit, row: &Consequence) -> Vec<Cell> {
    let (verdict, style) = if row.lost.is_empty() {
        loses(row)
    } else {
        let hours = repair(service, audit, row).map(|hours| format!(", ~{hours:.1} h")).unwrap_or_default();
        (format!("until repaired{hours}"), BAD)
    };
    let told = match (row.lost.is_empty(), row.provided.is_empty()) {
        (true, _) => row.takes_over.join("; "),
        (false, true) => row.lost.join("; "),
        (false, false) => format!("{} ({})", row.lost.join("; "), row.provided.join("; ")),
    };
    vec![
        Cell::new(kind(row.component.kind), DIM),
        Cell::new(row.component.name.clone(), PLAIN),
        Cell::new(verdict, style),
        if row.person { Cell::new("needed", UNSURE) } else { Cell::new("", PLAIN) },
        Cell::new(noticed(row), PLAIN),
        Cell::new(told, PLAIN),
    ]
}

/// What clients lose where nothing is lost until it is repaired: all that is asked for a short time, and a part of it for longer.
fn loses(row: &Consequence) -> (String, Style) {
    let gap = (row.gap > 0.0).then(|| format!("up to {:.2} s", row.gap));
    let some = match row.part_fails {
        _ if row.person => Some("some, until repaired".to_owned()),
        Some(seconds) if seconds > row.gap => Some(format!("some, up to {seconds:.2} s")),
        Some(_) if gap.is_none() => Some("a few requests".to_owned()),
        _ => None,
    };
    let told: Vec<String> = gap.into_iter().chain(some).collect();
    match told.is_empty() {
        true => ("nothing".to_owned(), GOOD),
        false => (told.join("; "), if row.person { BAD } else { UNSURE }),
    }
}

/// How long a repair takes on average, in hours: of what has a figure.
fn repair(service: &Service, audit: &Audit, row: &Consequence) -> Option<f64> {
    let (of, name) = (&audit.assumptions, row.component.name.as_str());
    let failing = match row.component.kind {
        ComponentKind::Region => of.region.clone(),
        ComponentKind::Zone => of.zone.clone(),
        ComponentKind::Host => {
            let host = service.hosts.iter().find(|host| host.name == name)?;
            of.host.stated(host.failures.as_ref())
        }
        ComponentKind::Shared => match service.shared.iter().find(|shared| shared.name == name) {
            Some(shared) => of.shared.stated(shared.failures.as_ref()),
            None if name == "the system file and the program" => of.change.clone(),
            None => return None,
        },
        // Programs have none: they are there as long as their hosts are.
        ComponentKind::LoadBalancer
        | ComponentKind::Member
        | ComponentKind::Instance
        | ComponentKind::Keeper
        | ComponentKind::Address
        | ComponentKind::Coordination => return None,
    };
    Some(failing.repair.mean())
}

/// In few words: `silence 0.33 s, checks 2.3 s`.
fn noticed(row: &Consequence) -> String {
    let mut ways: Vec<String> = Vec::new();
    for text in &row.noticed {
        let text = text.rsplit_once(": ").map_or(text.as_str(), |(_, text)| text);
        for way in text.split(", by ") {
            let way = way.strip_prefix("by ").unwrap_or(way);
            let way = way
                .replace("silence, within", "silence")
                .replace("checks within", "checks")
                .replace("absence, within", "absence")
                .replace("traffic after ", "")
                .replace(" failures in a row", " failures")
                .replace("its host, which gives the lease up at once", "its host, at once")
                .replace("whoever answers for it, within", "DNS")
                .replace("not by nines, which does not serve it", "not by nines")
                .replace("not by nines, whose hosts hear each other all the same", "not by nines")
                .replace("not by nines: nothing moves an address", "not by nines");
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
    }
    if ways.is_empty() && !row.lost.is_empty() {
        ways.push("clients".to_owned());
    }
    ways.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nines_availability::audit::Options;

    use super::*;

    #[test]
    fn five_answers_for_each_component() {
        let text = include_str!("../../../../../examples/single.toml");
        let system = nines_system::parse("single.toml", text).unwrap();
        let service = Service::of(&system, &BTreeMap::new());
        let audit = Audit::of(&service, &Options::of(&system));
        let mut out = Vec::new();
        section(&service, &audit, None, &mut out);
        let row = |words: &[&str]| {
            let fits = |line: &&String| words.iter().all(|word| line.contains(word));
            assert!(out.iter().any(|line| fits(&line)), "{words:?} is not in\n{}", out.join("\n"));
        };
        row(&["clients lose", "person", "noticed"]);
        row(&["host", "until repaired, ~4.0 h", "needed", "clients"]);
        row(&["the system file and the program", "until repaired, ~0.5 h", "needed", "clients"]);
        // What depends on where the primary is says so.
        let mut audit = audit;
        audit.components[0].provided = vec!["orders: if the primary is there".into()];
        let lost = audit.components[0].lost.join("; ");
        out.clear();
        section(&service, &audit, None, &mut out);
        let told = format!("{lost} (orders: if the primary is there)");
        assert!(!lost.is_empty() && out.iter().any(|line| line.contains(&told)), "{}", out.join("\n"));
    }

    #[test]
    fn a_part_of_the_requests_is_told_beside_a_gap_that_is_shorter() {
        let text = include_str!("../../../../../examples/pair.toml");
        let system = nines_system::parse("pair.toml", text).unwrap();
        let service = Service::of(&system, &BTreeMap::new());
        let audit = Audit::of(&service, &Options::of(&system));
        let told = |gap, part_fails, person| {
            let first = audit.components[0].clone();
            loses(&Consequence { gap, part_fails, person, lost: Vec::new(), ..first }).0
        };
        assert_eq!(told(0.35, Some(3961.5), false), "up to 0.35 s; some, up to 3961.50 s");
        assert_eq!(told(0.35, Some(0.2), false), "up to 0.35 s");
        assert_eq!(told(0.35, None, true), "up to 0.35 s; some, until repaired");
        assert_eq!(told(0.0, Some(0.0), false), "a few requests");
        assert_eq!(told(0.0, None, false), "nothing");
    }

    #[test]
    fn how_it_is_noticed_is_told_in_few_words() {
        let text = include_str!("../../../../../examples/pair.toml");
        let system = nines_system::parse("pair.toml", text).unwrap();
        let service = Service::of(&system, &BTreeMap::new());
        let audit = Audit::of(&service, &Options::of(&system));
        let of = |name: &str| {
            let row = audit.components.iter().find(|row| row.component.name == name).unwrap();
            noticed(row)
        };
        assert_eq!(of("lb1"), "silence 0.33 s");
        assert_eq!(of("app1"), "3 failures, checks 2.1 s");
        assert_eq!(of("a"), "silence 0.33 s, 3 failures, checks 2.1 s");
    }
}
