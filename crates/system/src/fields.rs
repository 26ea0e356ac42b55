//! One table of the file, read by its [`Section`]: unknown keys are found at once, and each getter returns what the
//! file says, or else the default, or else notes the mistake and goes on.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::mistake::{Mistake, Notes, Span, nearest, suggestion};
use crate::shape::{Absent, Key, Kind, Section};
use crate::units::{self, Wrong};

/// A value of the file and the key that it stands under.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a Spanned<DeValue<'a>>,
    pub(crate) notes: &'a Notes,
}

pub(crate) struct Fields<'a> {
    section: &'static Section,
    table: Option<&'a DeTable<'a>>,
    /// Where a missing key would be missed.
    span: Span,
    notes: &'a Notes,
}

impl<'a> Fields<'a> {
    /// `span`: the words that name the table, for mistakes about what it lacks.
    pub(crate) fn new(
        section: &'static Section,
        table: &'a DeTable<'a>,
        span: Span,
        notes: &'a Notes,
    ) -> Self {
        for (name, value) in table {
            match section.keys.iter().find(|key| key.name == name.get_ref().as_ref()) {
                Some(Key { kind: Kind::Later, about, .. }) => notes.add(
                    Mistake::new(
                        format!("`{}` is not in this version yet", name.get_ref()),
                        name.span(),
                        "for a later version",
                    )
                    .help(format!("it will be: {about} Take it out for now")),
                ),
                Some(_) => {}
                None => unknown_key(section, name, value, notes),
            }
        }
        Self { section, table: Some(table), span, notes }
    }

    /// A table that the file leaves out: all defaults.
    pub(crate) fn absent(section: &'static Section, notes: &'a Notes) -> Self {
        Self { section, table: None, span: 0..0, notes }
    }

    /// The same, its lacks to be shown at these words.
    pub(crate) fn named(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(crate) fn notes(&self) -> &'a Notes {
        self.notes
    }

    pub(crate) fn get(&self, name: &str) -> Option<Item<'a>> {
        let key = self.section.key(name);
        let (name, value) = self.table?.get_key_value(key.name)?;
        Some(Item { name: name.get_ref().as_ref(), value, notes: self.notes })
    }

    /// Where the value stands, if it does.
    pub(crate) fn place(&self, name: &str) -> Option<Span> {
        self.get(name).map(|item| item.value.span())
    }

    /// Where the key stands, if it does.
    pub(crate) fn key_place(&self, name: &str) -> Option<Span> {
        self.table?.get_key_value(name).map(|(key, _)| key.span())
    }

    /// The value of a required key; its absence is noted.
    pub(crate) fn require(&self, name: &str) -> Option<Item<'a>> {
        let item = self.get(name);
        if item.is_none() {
            self.missing(self.section.key(name));
        }
        item
    }

    fn missing(&self, key: &Key) {
        let what = self.section.what;
        self.notes.add(
            Mistake::new(
                format!("{what} has no `{}`", key.name),
                self.span.clone(),
                format!("`{}` is missing", key.name),
            )
            .help(format!("add `{} = {}`: {}", key.name, key.kind.example(), lower(key.about))),
        );
    }

    /// The table under this key, or all of its defaults.
    pub(crate) fn table(&self, name: &str) -> Fields<'a> {
        let key = self.section.key(name);
        let Kind::Table(section) = &key.kind else { unreachable!("{name} is a table in the shape") };
        self.get(name)
            .and_then(|item| item.fields(section))
            .unwrap_or_else(|| Fields::absent(section, self.notes))
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        let default = matches!(self.section.key(name).absent, Absent::Value("true"));
        self.get(name).and_then(|item| item.flag()).unwrap_or(default)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.text()
    }

    /// The text of a key that has a default, and where it stands.
    pub(crate) fn word(&self, name: &str) -> &'a str {
        let key = self.section.key(name);
        let default = default(key);
        let Kind::Word(words) = &key.kind else { return self.text(name).unwrap_or(default) };
        self.get(name).and_then(|item| item.word(words)).unwrap_or(default)
    }

    pub(crate) fn whole<T: TryFrom<u64>>(&self, name: &str) -> T {
        let default =
            || default(self.section.key(name)).parse().ok().and_then(|number: u64| T::try_from(number).ok());
        self.maybe_whole(name).or_else(default).expect("the shape's defaults fit the model")
    }

    pub(crate) fn maybe_whole<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        let item = self.get(name)?;
        let Kind::Whole { min, max } = self.section.key(name).kind else {
            unreachable!("{name} is a number")
        };
        item.whole(min, max).and_then(|number| T::try_from(number).ok())
    }

    pub(crate) fn time(&self, name: &str) -> Duration {
        let default = || units::duration(default(self.section.key(name))).ok();
        self.maybe_time(name).or_else(default).expect("the shape's defaults are right")
    }

    /// What the file itself says.
    pub(crate) fn maybe_time(&self, name: &str) -> Option<Duration> {
        let item = self.get(name)?;
        let Kind::Time { min, max } = self.section.key(name).kind else {
            unreachable!("{name} is a duration")
        };
        let time = item.quantity("duration", "500ms", "ms", &TIME_NAMES, units::duration)?;
        let range = || (units::write_duration(min), units::write_duration(max));
        item.in_range(time, min <= time && time <= max, range)
    }

    pub(crate) fn size(&self, name: &str) -> u32 {
        let said = || {
            let item = self.get(name)?;
            let Kind::Size { min, max } = self.section.key(name).kind else {
                unreachable!("{name} is a size")
            };
            let size = item.quantity("size", "64KiB", "KiB", &SIZE_NAMES, units::bytes)?;
            item.in_range(size, min <= size && size <= max, || {
                (units::write_bytes(min), units::write_bytes(max))
            })
        };
        said()
            .or_else(|| units::bytes(default(self.section.key(name))).ok())
            .and_then(|size| u32::try_from(size).ok())
            .expect("the shape's defaults are right")
    }

    pub(crate) fn share(&self, name: &str) -> f64 {
        let said = || {
            let item = self.get(name)?;
            let Kind::Share { min, max, exclusive } = self.section.key(name).kind else {
                unreachable!("{name} is a share")
            };
            let share = item.quantity("percentage", "50 %", "%", &["%"], units::share)?;
            let inside = if exclusive { min < share && share < max } else { min <= share && share <= max };
            item.in_range(share, inside, || {
                let over = if exclusive { "more than " } else { "" };
                let under = if exclusive { "less than " } else { "" };
                (format!("{over}{}", units::write_share(min)), format!("{under}{}", units::write_share(max)))
            })
        };
        said()
            .or_else(|| units::share(default(self.section.key(name))).ok())
            .expect("the shape's defaults are right")
    }
}

const TIME_NAMES: [&str; 7] = ["ns", "us", "ms", "s", "min", "h", "d"];
const SIZE_NAMES: [&str; 7] = ["B", "kB", "KiB", "MB", "MiB", "GB", "GiB"];

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

    pub(crate) fn wrong_type(&self, wanted: &str, example: &str) {
        let found = describe(self.value.get_ref());
        self.note(
            format!("`{}` must be {wanted}, not {found}", self.name),
            found,
            format!("for example `{example}`"),
        );
    }

    pub(crate) fn fields(self, section: &'static Section) -> Option<Fields<'a>> {
        let DeValue::Table(table) = self.value.get_ref() else {
            self.wrong_type("a table", "{ key = value }");
            return None;
        };
        Some(Fields::new(section, table, self.span(), self.notes))
    }

    pub(crate) fn items(self) -> Option<impl Iterator<Item = Item<'a>>> {
        let DeValue::Array(array) = self.value.get_ref() else {
            self.wrong_type("a list", "[…]");
            return None;
        };
        Some(array.iter().map(move |value| Item { value, ..self }))
    }

    pub(crate) fn flag(&self) -> Option<bool> {
        let flag = self.value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type("true or false", "true");
        }
        flag
    }

    pub(crate) fn text(&self) -> Option<&'a str> {
        let DeValue::String(text) = self.value.get_ref() else {
            self.wrong_type("a text in quotes", "\"…\"");
            return None;
        };
        Some(text)
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
        let DeValue::Integer(number) = self.value.get_ref() else {
            self.wrong_type("a whole number", &min.max(1).to_string());
            return None;
        };
        let found = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let found = found.and_then(|number| u64::try_from(number).ok()).filter(|n| (min..=max).contains(n));
        if found.is_none() {
            self.out_of_range(&min.to_string(), &max.to_string());
        }
        found
    }

    fn in_range<T>(&self, value: T, inside: bool, range: impl FnOnce() -> (String, String)) -> Option<T> {
        if inside {
            return Some(value);
        }
        let (min, max) = range();
        self.out_of_range(&min, &max);
        None
    }

    fn out_of_range(&self, min: &str, max: &str) {
        self.note(
            format!("`{}` is out of range", self.name),
            "out of range",
            format!("it must be between {min} and {max}"),
        );
    }

    fn quantity<T>(
        &self,
        what: &str,
        example: &str,
        unit: &str,
        known: &[&str],
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let no_unit = |number: &str| {
            self.note(
                format!("`{}` needs a unit", self.name),
                "a number without a unit",
                format!("write \"{number}{unit}\"; units: {}", known.join(", ")),
            );
        };
        match self.value.get_ref() {
            DeValue::String(text) => match read(text) {
                Ok(value) => return Some(value),
                Err(Wrong::NoUnit) => no_unit(text.trim()),
                Err(Wrong::UnknownUnit(other)) => {
                    let near = nearest(&other, known.iter().copied());
                    let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
                    self.note(
                        format!("`{}` has an unknown unit, `{other}`", self.name),
                        "unknown unit",
                        format!("{near}units: {}", known.join(", ")),
                    );
                }
                Err(Wrong::NoNumber) => self.note(
                    format!("`{}` is not a {what}", self.name),
                    format!("not a {what}"),
                    format!("write a number and a unit, such as \"{example}\""),
                ),
            },
            DeValue::Integer(number) => no_unit(number.as_str()),
            DeValue::Float(number) => no_unit(number.as_str()),
            _ => self.wrong_type(&format!("a {what} in quotes"), &format!("\"{example}\"")),
        }
        None
    }
}

impl Kind {
    /// A value that fits, as the file would write it.
    pub(crate) fn example(&self) -> String {
        match self {
            Kind::Flag => "true".to_owned(),
            Kind::Whole { min, .. } => min.max(&1).to_string(),
            Kind::Time { .. } => "\"500ms\"".to_owned(),
            Kind::Size { .. } => "\"64KiB\"".to_owned(),
            Kind::Share { .. } => "\"50 %\"".to_owned(),
            Kind::Text(syntax) => format!("\"{}\"", syntax.example),
            Kind::Word(words) => format!("\"{}\"", words.first().unwrap_or(&"")),
            Kind::List(kind) => format!("[{}]", kind.example()),
            Kind::Table(section) => {
                let required: Vec<_> = section
                    .keys
                    .iter()
                    .filter(|key| matches!(key.absent, Absent::Required))
                    .map(|key| format!("{} = {}", key.name, key.kind.example()))
                    .collect();
                if required.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", required.join(", ")) }
            }
            Kind::Named(kind) => format!("{{ name = {} }}", kind.example()),
            Kind::Either(kinds) => kinds.first().map_or_else(String::new, Kind::example),
            Kind::Later => String::new(),
        }
    }
}

fn default(key: &Key) -> &'static str {
    match key.absent {
        Absent::Value(value) => value,
        Absent::Required | Absent::Words(_) => unreachable!("`{}` has a default in the shape", key.name),
    }
}

fn unknown_key(
    section: &Section,
    name: &Spanned<std::borrow::Cow<'_, str>>,
    _value: &Spanned<DeValue<'_>>,
    notes: &Notes,
) {
    let word = name.get_ref().as_ref();
    let known = section.keys.iter().filter(|key| !matches!(key.kind, Kind::Later)).map(|key| key.name);
    notes.add(
        Mistake::new(format!("{} has no key `{word}`", section.what), name.span(), "unknown key")
            .help(suggestion(word, "known keys", known)),
    );
}

fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(true) => "true",
        DeValue::Boolean(false) => "false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn lower(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
