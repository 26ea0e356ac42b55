//! The shape as prose: `docs/system-file.md`.

use crate::kind::{Absent, Key, Kind, Section};
use crate::shape;
use crate::units::{write_bytes, write_duration, write_share};

/// What the reference says before it comes to the keys.
const OPENING: &str = include_str!("reference.md");

/// The reference of the system file, in Markdown. A test keeps `docs/system-file.md` the same.
pub fn reference() -> String {
    let mut out = OPENING.to_owned();
    describe(&shape::SYSTEM, "", &mut out);
    out
}

/// A section of the file, and then the sections inside it. `path`: how the file calls it, `pools.NAME`.
fn describe(section: &Section, path: &str, out: &mut String) {
    let title = if path.is_empty() { "The top of the file".to_owned() } else { format!("`{path}`") };
    out.push_str(&format!("\n## {title}\n\n{}\n\n", section.about));
    out.push_str("| key | value | without it | |\n|---|---|---|---|\n");
    for key in section.keys.iter().filter(|key| !matches!(key.kind, Kind::Later)) {
        out.push_str(&row(key));
    }
    let later = section.keys.iter().filter(|key| matches!(key.kind, Kind::Later));
    let later: Vec<_> = later.map(|key| format!("`{}`", key.name)).collect();
    if !later.is_empty() {
        out.push_str(&format!("\nNot in this version yet: {}.\n", later.join(", ")));
    }
    for key in section.keys {
        let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        for (inner, path) in tables(&key.kind, path) {
            describe(inner, &path, out);
        }
    }
}

/// The tables that a value may hold, and what the file calls them.
fn tables(kind: &Kind, path: String) -> Vec<(&'static Section, String)> {
    match kind {
        Kind::Table(section) => vec![(section, path)],
        Kind::Named(kind) => tables(kind, format!("{path}.NAME")),
        Kind::List(kind) => tables(kind, path),
        Kind::Either(kinds) => kinds.iter().flat_map(|kind| tables(kind, path.clone())).collect(),
        _ => Vec::new(),
    }
}

fn row(key: &Key) -> String {
    let absent = match key.absent {
        Absent::Required => "**needed**".to_owned(),
        Absent::Value(value) => format!("`{}`", written(&key.kind, value)),
        Absent::Words(words) => words.to_owned(),
    };
    format!("| `{}` | {} | {absent} | {} |\n", key.name, value(&key.kind), key.about)
}

/// A default as the file would write it.
fn written(kind: &Kind, value: &str) -> String {
    match kind {
        Kind::Flag | Kind::Whole { .. } => value.to_owned(),
        Kind::Either(_) if ["true", "false"].contains(&value) => value.to_owned(),
        _ => format!("\"{value}\""),
    }
}

fn value(kind: &Kind) -> String {
    let words = |words: &[&str]| words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>();
    match kind {
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Whole { min, max } => format!("number, {} to {}", thousands(*min), thousands(*max)),
        Kind::Time { min, max } => format!("duration, {} to {}", write_duration(*min), write_duration(*max)),
        Kind::Size { min, max } => format!("size, {} to {}", write_bytes(*min), write_bytes(*max)),
        Kind::Share { min, max, exclusive: true } => {
            format!("percentage, more than {} and less than {}", write_share(*min), write_share(*max))
        }
        Kind::Share { min, max, exclusive: false } => {
            format!("percentage, {} to {}", write_share(*min), write_share(*max))
        }
        Kind::Text(syntax) => format!("`\"{}\"`: {}", syntax.example, syntax.what),
        Kind::Word(known) => words(known).join(" or "),
        Kind::List(kind) => match kind {
            Kind::Text(syntax) => format!("`[\"{}\"]`: list, each {}", syntax.example, syntax.what),
            kind => format!("list, each {}", value(kind)),
        },
        Kind::Table(_) => "a table (below)".to_owned(),
        Kind::Named(kind) => format!("names, each with {}", value(kind)),
        Kind::Setting => "a text, a number, `true` or `false`".to_owned(),
        Kind::Either(kinds) => kinds.iter().map(value).collect::<Vec<_>>().join("; or "),
        Kind::Later => String::new(),
    }
}

/// `10,000,000`; up to four digits as they are.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() <= 4 {
        return digits;
    }
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
