//! One table of the file, read by its [`Section`]: unknown keys are found at once, and each getter returns what the
//! file says, or else the default, or else notes the mistake and goes on.

use std::time::Duration;

use toml::de::DeTable;

use crate::item::Item;
use crate::kind::{Absent, Key, Kind, Section};
use crate::mistake::{Mistake, Notes, Span, nearest, suggestion};
use crate::units;

pub(crate) struct Fields<'a> {
    section: &'static Section,
    table: Option<&'a DeTable<'a>>,
    /// Where a missing key would be missed.
    span: Span,
    /// Keys that the unknown ones were probably meant to be.
    meant: Vec<&'static str>,
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
        let mut meant = Vec::new();
        for name in table.keys() {
            let word = name.get_ref().as_ref();
            match section.keys.iter().find(|key| key.name == word) {
                Some(Key { kind: Kind::Later, about, .. }) => notes.add(
                    Mistake::new(
                        format!("`{word}` is not in this version yet"),
                        name.span(),
                        "comes in a later version",
                    )
                    .help(format!("take it out for now; it will say: {}", in_a_sentence(about))),
                ),
                Some(_) => {}
                None => meant.extend(unknown_key(section, word, name.span(), notes)),
            }
        }
        Self { section, table: Some(table), span, meant, notes }
    }

    /// A table that the file leaves out: all defaults.
    pub(crate) fn absent(section: &'static Section, notes: &'a Notes) -> Self {
        Self { section, table: None, span: 0..0, meant: Vec::new(), notes }
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
        Some(Item { name: name.get_ref().as_ref(), kind: &key.kind, value, notes: self.notes })
    }

    /// Where the value stands, if it does.
    pub(crate) fn place(&self, name: &str) -> Option<Span> {
        self.get(name).map(|item| item.span())
    }

    /// Where the key stands, if it does.
    pub(crate) fn key_place(&self, name: &str) -> Option<Span> {
        self.table?.get_key_value(name).map(|(key, _)| key.span())
    }

    /// Whether the key is not there, and no other was probably meant to be it.
    pub(crate) fn is_missed(&self, name: &str) -> bool {
        self.get(name).is_none() && !self.meant.contains(&name)
    }

    /// The value of a required key; its absence is noted.
    pub(crate) fn require(&self, name: &str) -> Option<Item<'a>> {
        let item = self.get(name);
        if self.is_missed(name) {
            let key = self.section.key(name);
            let title = format!("{} has no `{name}`", self.section.what);
            self.notes.add(
                Mistake::new(title, self.span(), format!("`{name}` is missing"))
                    .of_the_whole()
                    .help(format!("add {name} = {}: {}", key.kind.example(), in_a_sentence(key.about))),
            );
        }
        item
    }

    /// The table under this key, or all of its defaults.
    pub(crate) fn table(&self, name: &str) -> Fields<'a> {
        let section = self.section.key(name).kind.table().expect("a table in the shape");
        let given = self.get(name).and_then(|item| item.fields(section));
        given.unwrap_or_else(|| Fields::absent(section, self.notes))
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        let default = matches!(self.section.key(name).absent, Absent::Value("true"));
        self.get(name).and_then(|item| item.flag()).unwrap_or(default)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.text()
    }

    pub(crate) fn word(&self, name: &str) -> &'static str {
        self.maybe_word(name).unwrap_or_else(|| self.default(name))
    }

    /// What the file itself says.
    pub(crate) fn maybe_word(&self, name: &str) -> Option<&'static str> {
        let Kind::Word(words) = self.section.key(name).kind else { unreachable!("`{name}` is a word") };
        self.get(name)?.word(words)
    }

    pub(crate) fn whole<T: TryFrom<u64>>(&self, name: &str) -> T {
        let default = || self.default(name).parse::<u64>().ok().and_then(|number| T::try_from(number).ok());
        self.maybe_whole(name).or_else(default).expect("the shape's defaults fit the model")
    }

    /// What the file itself says.
    pub(crate) fn maybe_whole<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        let Kind::Whole { min, max } = self.section.key(name).kind else {
            unreachable!("`{name}` is a number")
        };
        self.get(name)?.whole(min, max).and_then(|number| T::try_from(number).ok())
    }

    pub(crate) fn time(&self, name: &str) -> Duration {
        self.maybe_time(name).unwrap_or_else(|| self.default_time(name))
    }

    pub(crate) fn default_time(&self, name: &str) -> Duration {
        units::duration(self.default(name)).expect("the shape's defaults are right")
    }

    /// What the file itself says.
    pub(crate) fn maybe_time(&self, name: &str) -> Option<Duration> {
        let Kind::Time { min, max } = self.section.key(name).kind else { unreachable!("`{name}` is a time") };
        self.get(name)?.time(min, max)
    }

    /// Bytes.
    pub(crate) fn size<T: TryFrom<u64>>(&self, name: &str) -> T {
        let Kind::Size { min, max } = self.section.key(name).kind else { unreachable!("`{name}` is a size") };
        self.get(name)
            .and_then(|item| item.size(min, max))
            .or_else(|| units::bytes(self.default(name)).ok())
            .and_then(|size| T::try_from(size).ok())
            .expect("the shape's defaults fit the model")
    }

    /// A fraction.
    pub(crate) fn share(&self, name: &str) -> f64 {
        let Kind::Share { min, max, exclusive } = self.section.key(name).kind else {
            unreachable!("`{name}` is a share")
        };
        self.get(name)
            .and_then(|item| item.share(min, max, exclusive))
            .or_else(|| units::share(self.default(name)).ok())
            .expect("the shape's defaults are right")
    }

    /// What the file itself says.
    pub(crate) fn maybe_share(&self, name: &str) -> Option<f64> {
        let Kind::Share { min, max, exclusive } = self.section.key(name).kind else {
            unreachable!("`{name}` is a share")
        };
        self.get(name)?.share(min, max, exclusive)
    }

    fn default(&self, name: &str) -> &'static str {
        match self.section.key(name).absent {
            Absent::Value(value) => value,
            Absent::Required | Absent::Words(_) => unreachable!("`{name}` has a default in the shape"),
        }
    }
}

/// Notes it, and returns the key that was probably meant.
fn unknown_key(section: &Section, word: &str, span: Span, notes: &Notes) -> Option<&'static str> {
    let known = || section.keys.iter().filter(|key| !matches!(key.kind, Kind::Later));
    let synonym = known().find(|key| key.also.contains(&word)).map(|key| key.name);
    let meant = synonym.or_else(|| nearest(word, known().map(|key| key.name)));
    let inside =
        |key: &&Key| key.kind.table().is_some_and(|table| table.keys.iter().any(|key| key.name == word));
    let help = match (synonym, known().find(inside)) {
        (Some(key), _) => format!("did you mean `{key}`?"),
        (None, Some(key)) => format!("it belongs one level deeper: {} = {{ {word} = … }}", key.name),
        (None, None) => suggestion(word, "known keys", known().map(|key| key.name)),
    };
    notes.add(Mistake::new(format!("{} has no key `{word}`", section.what), span, "unknown key").help(help));
    meant
}

/// An explanation as the second half of a sentence.
fn in_a_sentence(about: &str) -> String {
    let (word, rest) = about.trim_end_matches('.').split_once(' ').unwrap_or((about, ""));
    let name = word.chars().skip(1).any(char::is_uppercase);
    let word = if name { word.to_owned() } else { word.to_lowercase() };
    format!("{word} {rest}")
}
