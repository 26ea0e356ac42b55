//! Mistakes in the TOML itself: what the parser says, in an operator's words.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::mistake::{Mistake, Span};

/// One mistake for each line with a syntax error: further ones on a line only follow from the first.
pub(crate) fn mistakes(text: &str, document: &DeTable<'_>, errors: &[Error]) -> Vec<Mistake> {
    let mut lines = BTreeSet::new();
    let mut errors: Vec<(Span, &Error)> =
        errors.iter().map(|error| (error.span().unwrap_or(text.len()..text.len()), error)).collect();
    errors.sort_by_key(|(span, _)| span.start);
    errors
        .into_iter()
        .filter(|(span, _)| lines.insert(line_of(text, span.start)))
        .map(|(span, error)| mistake(text, document, span, error.message()))
        .collect()
}

/// The mistakes in what could be read, without those that may only follow from a syntax error: whatever is in
/// the same table, and whatever is missed.
pub(crate) fn unrelated(text: &str, syntax: &[Mistake], others: Vec<Mistake>) -> Vec<Mistake> {
    let table = |mistake: &Mistake| mistake.marks.first().map(|mark| table_of(text, mark.span.start));
    let broken: BTreeSet<_> = syntax.iter().map(table).collect();
    others.into_iter().filter(|other| !other.is_of_the_whole() && !broken.contains(&table(other))).collect()
}

/// How many headers come before.
fn table_of(text: &str, at: usize) -> usize {
    let lines = text.split_inclusive('\n').scan(0, |start, line| {
        let from = *start;
        *start += line.len();
        Some((from, line))
    });
    lines.take_while(|(from, _)| *from <= at).filter(|(_, line)| line.trim_start().starts_with('[')).count()
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|&&b| b == b'\n').count()
}

fn mistake(text: &str, document: &DeTable<'_>, span: Span, message: &str) -> Mistake {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let words = text.get(span.clone()).unwrap_or_default().trim();
    match what {
        "duplicate key" => duplicate(text, document, span, words),
        "string values must be quoted" => {
            Mistake::new("a text stands in quotes", span, "not in quotes").help(format!("write \"{words}\""))
        }
        "missing comma between key-value pairs" => Mistake::new("a comma is missing", span, "before this")
            .help("write a `,` between two keys of a table"),
        "missing comma between array elements" if begins_key(text, span.start) => {
            unclosed_list(document, span)
        }
        "missing comma between array elements" => Mistake::new("a comma is missing", span, "before this")
            .help("write a `,` between two values of a list"),
        "unclosed array" => unclosed_list(document, span),
        _ if what.starts_with("invalid basic string") && expected == "`\"`" => {
            Mistake::new("a text is not closed", span, "the line ends here")
                .help("a `\"` is missing at its end")
        }
        _ => {
            let label = if expected.is_empty() { "here".to_owned() } else { format!("expected {expected}") };
            Mistake::new(what, span, label).help("the file is TOML: https://toml.io shows how it is written")
        }
    }
}

/// Whether the line goes on as `key =`.
fn begins_key(text: &str, at: usize) -> bool {
    let rest = text.get(at..).unwrap_or_default().trim_start();
    let line = rest.lines().next().unwrap_or_default();
    let key = |key: &str| !key.trim().is_empty() && !key.contains(['"', '{', '[', ',']);
    line.starts_with('[') || line.split_once('=').is_some_and(|(before, _)| key(before))
}

fn unclosed_list(document: &DeTable<'_>, span: Span) -> Mistake {
    let mut opening = None;
    visit(document, &mut |_, value| {
        if value.get_ref().is_array() && value.span().start < span.start && span.start <= value.span().end {
            opening = Some(value.span().start);
        }
    });
    let mistake =
        Mistake::new("a list is not closed", span, "before this").help("a `]` is missing at its end");
    match opening {
        Some(at) => mistake.and(at..at + 1, "the list begins here"),
        None => mistake,
    }
}

fn duplicate(text: &str, document: &DeTable<'_>, span: Span, name: &str) -> Mistake {
    let mut first = header_before(text, &span);
    visit(document, &mut |key, _| {
        let between = text.get(key.end..span.start);
        if text.get(key.clone()) == Some(name) && between.is_some_and(same_table) {
            first = Some(key);
        }
    });
    let mistake = Mistake::new(format!("`{name}` is there twice"), span, "again");
    match first {
        Some(first) => mistake.and(first, "first"),
        None => mistake,
    }
    .help("keep one of them, or give one another name")
}

/// The last name of an earlier header, if the key stands in a header and that says the same.
fn header_before(text: &str, span: &Span) -> Option<Span> {
    let start = text.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
    let header = text.get(start..span.end)?;
    if !header.trim_start().starts_with('[') {
        return None;
    }
    let mut at = 0;
    let line = text.get(..start)?.split_inclusive('\n').find_map(|line| {
        let from = at;
        at += line.len();
        let rest = line.trim_start().strip_prefix(header.trim_start())?;
        rest.trim_start().starts_with(']').then(|| from + (line.len() - line.trim_start().len()))
    })?;
    let end = line + header.trim_start().len();
    Some(end - span.len()..end)
}

/// Whether a text between two keys stays in the table of the first: no bracket left open, no header.
fn same_table(between: &str) -> bool {
    let mut depth = 0_usize;
    for line in between.lines() {
        if depth == 0 && line.trim_start().starts_with('[') {
            return false;
        }
        for c in line.split('#').next().unwrap_or_default().chars() {
            depth = match c {
                '{' | '[' => depth + 1,
                '}' | ']' if depth == 0 => return false,
                '}' | ']' => depth - 1,
                _ => depth,
            };
        }
    }
    depth == 0
}

/// Shows every key of the document, and where it stands; outer tables before inner ones.
fn visit<'a>(table: &'a DeTable<'a>, see: &mut dyn FnMut(Span, &'a Spanned<DeValue<'a>>)) {
    for (key, value) in table {
        see(key.span(), value);
        visit_value(value, see);
    }
}

fn visit_value<'a>(value: &'a Spanned<DeValue<'a>>, see: &mut dyn FnMut(Span, &'a Spanned<DeValue<'a>>)) {
    match value.get_ref() {
        DeValue::Table(table) => visit(table, see),
        DeValue::Array(list) => list.iter().for_each(|value| visit_value(value, see)),
        _ => {}
    }
}
