//! What a table of the file may hold: keys, and the forms of their values.

use std::time::Duration;

/// A table of the file and the keys that it may hold.
#[derive(Debug)]
pub(crate) struct Section {
    /// How a message calls it: `a pool`.
    pub(crate) what: &'static str,
    pub(crate) about: &'static str,
    pub(crate) keys: &'static [Key],
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) about: &'static str,
    pub(crate) absent: Absent,
    /// What others call it: helps whoever writes that.
    pub(crate) also: &'static [&'static str],
}

/// What holds when a key is not there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Absent {
    /// A mistake.
    Required,
    /// This value, as the file would write it.
    Value(&'static str),
    /// Something that no value of the key says.
    Words(&'static str),
}

/// What a value looks like.
#[derive(Debug)]
pub(crate) enum Kind {
    Flag,
    Whole {
        min: u64,
        max: u64,
    },
    /// A duration with its unit.
    Time {
        min: Duration,
        max: Duration,
    },
    /// A number of bytes with its unit.
    Size {
        min: u64,
        max: u64,
    },
    /// A percentage, as a fraction; `exclusive`: the ends themselves are out.
    Share {
        min: f64,
        max: f64,
        exclusive: bool,
    },
    Text(&'static Syntax),
    /// One of these words.
    Word(&'static [&'static str]),
    List(&'static Kind),
    Table(&'static Section),
    /// A table whose keys are names that the operator chooses.
    Named(&'static Kind),
    /// A text, a number, true or false; or a table of such, whose names are joined by a dot.
    Setting,
    /// Any of these forms.
    Either(&'static [Kind]),
    /// Has its place, but does nothing yet.
    Later,
}

/// A text of some form that is more than a word.
#[derive(Debug)]
pub(crate) struct Syntax {
    /// `a host and a port`.
    pub(crate) what: &'static str,
    /// `app1:8080`.
    pub(crate) example: &'static str,
}

impl Section {
    /// # Panics
    /// When the shape has no such key: the reader may only ask for what the shape describes.
    pub(crate) fn key(&self, name: &str) -> &'static Key {
        self.keys.iter().find(|key| key.name == name).expect("the reader asks for keys of the shape only")
    }
}

impl Section {
    /// What it needs, as the file would write it; where it needs nothing, its first key.
    fn example(&self) -> String {
        let required = self.keys.iter().filter(|key| matches!(key.absent, Absent::Required));
        let pairs: Vec<_> = required
            .chain(self.keys.first().filter(|key| !matches!(key.absent, Absent::Required)))
            .map(|key| format!("{} = {}", key.name, key.kind.example()))
            .collect();
        format!("{{ {} }}", pairs.join(", "))
    }
}

impl Key {
    pub(crate) const fn required(mut self) -> Self {
        self.absent = Absent::Required;
        self
    }

    pub(crate) const fn or(mut self, value: &'static str) -> Self {
        self.absent = Absent::Value(value);
        self
    }

    pub(crate) const fn also(mut self, names: &'static [&'static str]) -> Self {
        self.also = names;
        self
    }

    pub(crate) const fn otherwise(mut self, words: &'static str) -> Self {
        self.absent = Absent::Words(words);
        self
    }
}

impl Kind {
    /// What a value must be, for a message: `a list`, `a text in quotes or a table`.
    pub(crate) fn wanted(&self) -> String {
        match self {
            Kind::Flag => "true or false".to_owned(),
            Kind::Whole { .. } => "a whole number".to_owned(),
            Kind::Time { .. } => "a duration in quotes".to_owned(),
            Kind::Size { .. } => "a size in quotes".to_owned(),
            Kind::Share { .. } => "a percentage in quotes".to_owned(),
            Kind::Text(_) | Kind::Word(_) => "a text in quotes".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Table(_) | Kind::Named(_) => "a table".to_owned(),
            Kind::Setting => "a text, a number, true or false".to_owned(),
            Kind::Either(kinds) => kinds.iter().map(Kind::wanted).collect::<Vec<_>>().join(" or "),
            Kind::Later => "left out".to_owned(),
        }
    }

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
            Kind::Table(section) => section.example(),
            // The short form, where there is one.
            Kind::Named(Kind::Either(kinds)) => {
                format!("{{ name = {} }}", kinds.last().map_or_else(String::new, Kind::example))
            }
            Kind::Named(kind) => format!("{{ name = {} }}", kind.example()),
            Kind::Setting => "\"256MB\"".to_owned(),
            Kind::Either(kinds) => kinds.first().map_or_else(String::new, Kind::example),
            Kind::Later => String::new(),
        }
    }

    /// The kind of the values in the list that this is or may be.
    pub(crate) fn element(&self) -> Option<&'static Kind> {
        match self {
            Kind::List(kind) => Some(kind),
            Kind::Either(kinds) => kinds.iter().find_map(Kind::element),
            _ => None,
        }
    }

    /// The kind of what the names in the table that this is or may be stand for.
    pub(crate) fn named(&self) -> Option<&'static Kind> {
        match self {
            Kind::Named(kind) => Some(kind),
            Kind::Either(kinds) => kinds.iter().find_map(Kind::named),
            _ => None,
        }
    }

    /// The table that this is or may be.
    pub(crate) fn table(&self) -> Option<&'static Section> {
        match self {
            Kind::Table(section) => Some(section),
            Kind::Either(kinds) => kinds.iter().find_map(Kind::table),
            _ => None,
        }
    }
}
