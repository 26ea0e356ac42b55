//! One value of the file: read as what it must be, or noted as a mistake.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use crate::fields::Fields;
use crate::kind::{Kind, Section};
use crate::mistake::{Mistake, Notes, Span, nearest, suggestion};
use crate::units::{self, Wrong};

/// A value, the key that it stands under, and what the shape says of it.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'static Kind,
    pub(crate) value: &'a Spanned<DeValue<'a>>,
    pub(crate) notes: &'a Notes,
}

/// How a number with a unit is written and read.
struct Quantity<T> {
    what: &'static str,
    example: &'static str,
    units: &'static [&'static str],
    read: fn(&str) -> Result<T, Wrong>,
    /// The number with the unit that was probably meant.
    complete: fn(&str) -> String,
}

impl<'a> Item<'a> {
    pub(crate) fn span(&self) -> Span {
        self.value.span()
    }

    /// Where a part of the text stands; the whole where escapes leave no telling.
    pub(crate) fn part(&self, part: &str) -> Span {
        let span = self.span();
        let Some(text) = self.value.get_ref().as_str() else { return span };
        match text.find(part) {
            Some(at) if span.len() == text.len() + 2 => span.start + 1 + at..span.start + 1 + at + part.len(),
            _ => span,
        }
    }

    pub(crate) fn note(&self, title: impl Into<String>, label: impl Into<String>, help: impl Into<String>) {
        self.notes.add(Mistake::new(title, self.span(), label).help(help));
    }

    pub(crate) fn wrong_type(&self) {
        let value = self.value.get_ref();
        let found = describe(value);
        let help = match (value, self.kind) {
            (DeValue::String(text), Kind::List(_)) => format!("write [\"{text}\"]"),
            (DeValue::String(text), Kind::Whole { .. }) if text.parse::<u64>().is_ok() => {
                format!("write {text}, without quotes")
            }
            (DeValue::String(text), Kind::Flag) if ["true", "false"].contains(&text.as_ref()) => {
                format!("write {text}, without quotes")
            }
            _ => format!("for example {}", self.kind.example()),
        };
        self.note(format!("`{}` must be {}, not {found}", self.name, self.kind.wanted()), found, help);
    }

    /// The same for something that the item was not found to be.
    fn or_wrong_type<T>(&self, found: Option<T>) -> Option<T> {
        if found.is_none() {
            self.wrong_type();
        }
        found
    }

    pub(crate) fn fields(self, section: &'static Section) -> Option<Fields<'a>> {
        let table = self.or_wrong_type(self.value.get_ref().as_table())?;
        Some(Fields::new(section, table, self.span(), self.notes))
    }

    pub(crate) fn items(self) -> Option<impl Iterator<Item = Item<'a>>> {
        let array = self.or_wrong_type(self.value.get_ref().as_array())?;
        let kind = self.kind.element().unwrap_or(self.kind);
        Some(array.iter().map(move |value| Item { value, kind, ..self }))
    }

    pub(crate) fn flag(&self) -> Option<bool> {
        self.or_wrong_type(self.value.get_ref().as_bool())
    }

    pub(crate) fn text(&self) -> Option<&'a str> {
        self.or_wrong_type(self.value.get_ref().as_str())
    }

    pub(crate) fn word(&self, words: &[&'static str]) -> Option<&'static str> {
        let text = self.text()?;
        let word = words.iter().copied().find(|word| *word == text);
        if word.is_none() {
            self.note(
                format!("`{}` can't be `{text}`", self.name),
                "unknown word",
                suggestion(text, "known words", words.iter().copied()),
            );
        }
        word
    }

    pub(crate) fn whole(&self, min: u64, max: u64) -> Option<u64> {
        let number = self.or_wrong_type(self.value.get_ref().as_integer())?;
        let found = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let found = found.and_then(|number| u64::try_from(number).ok()).filter(|n| (min..=max).contains(n));
        if found.is_none() {
            self.out_of_range(&format!("from {min} to {max}"));
        }
        found
    }

    pub(crate) fn time(&self, min: Duration, max: Duration) -> Option<Duration> {
        let time = self.quantity(&Quantity {
            what: "duration",
            example: "500ms",
            units: &["ns", "us", "ms", "s", "min", "h", "d"],
            read: units::duration,
            complete: |number| match number.parse::<f64>() {
                Ok(few) if few < 100.0 => format!("{number}s"),
                _ => format!("{number}ms"),
            },
        })?;
        let range = || format!("from {} to {}", units::write_duration(min), units::write_duration(max));
        self.in_range(time, min <= time && time <= max, range)
    }

    /// Bytes.
    pub(crate) fn size(&self, min: u64, max: u64) -> Option<u64> {
        let size = self.quantity(&Quantity {
            what: "size",
            example: "64KiB",
            units: &["B", "kB", "KiB", "MB", "MiB", "GB", "GiB"],
            read: units::bytes,
            complete: |number| match number.parse::<u64>() {
                Ok(many) if many >= 1024 => units::write_bytes(many),
                _ => format!("{number}KiB"),
            },
        })?;
        let range = || format!("from {} to {}", units::write_bytes(min), units::write_bytes(max));
        self.in_range(size, min <= size && size <= max, range)
    }

    /// A fraction. `exclusive`: the bounds themselves are out.
    pub(crate) fn share(&self, min: f64, max: f64, exclusive: bool) -> Option<f64> {
        let share = self.quantity(&Quantity {
            what: "percentage",
            example: "50 %",
            units: &["%"],
            read: units::share,
            complete: |number| match number.parse::<f64>() {
                Ok(fraction) if fraction <= 1.0 => units::write_share(fraction),
                _ => format!("{number} %"),
            },
        })?;
        let inside = if exclusive { min < share && share < max } else { min <= share && share <= max };
        let (min, max) = (units::write_share(min), units::write_share(max));
        self.in_range(share, inside, || match exclusive {
            true => format!("more than {min} and less than {max}"),
            false => format!("from {min} to {max}"),
        })
    }

    fn in_range<T>(&self, value: T, inside: bool, range: impl FnOnce() -> String) -> Option<T> {
        if inside {
            return Some(value);
        }
        self.out_of_range(&range());
        None
    }

    fn out_of_range(&self, range: &str) {
        self.note(format!("`{}` is out of range", self.name), "out of range", format!("it must be {range}"));
    }

    fn quantity<T>(&self, quantity: &Quantity<T>) -> Option<T> {
        let Quantity { what, example, units, read, complete } = quantity;
        let known = format!("units: {}", units.join(", "));
        let number = match self.value.get_ref() {
            DeValue::String(text) => match read(text) {
                Ok(value) => return Some(value),
                Err(Wrong::NoUnit) => text.trim(),
                Err(Wrong::UnknownUnit(other)) => {
                    let near = nearest(&other, units.iter().copied());
                    let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
                    let title = format!("`{}` has an unknown unit, `{other}`", self.name);
                    self.note(title, "unknown unit", near + &known);
                    return None;
                }
                Err(Wrong::NoNumber) => {
                    let help = format!("write a number and a unit, such as \"{example}\"");
                    self.note(format!("`{}` is not a {what}", self.name), format!("not a {what}"), help);
                    return None;
                }
            },
            DeValue::Integer(number) => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => {
                self.wrong_type();
                return None;
            }
        };
        self.note(
            format!("`{}` needs a unit", self.name),
            "a number without a unit",
            format!("write \"{}\"; {known}", complete(number)),
        );
        None
    }
}

fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a floating-point number",
        DeValue::Boolean(true) => "true",
        DeValue::Boolean(false) => "false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
