//! Things that have names, and references to them.

use toml::de::DeValue;

use super::texts;
use crate::fields::{Fields, Item};
use crate::mistake::{Mistake, Span, nearest, suggestion};

/// The names under one key of the file, whether or not what they name could be read.
pub(crate) struct Names<'a> {
    /// `host`.
    what: &'static str,
    /// The `hosts` of `[hosts]`.
    section: Option<Span>,
    list: Vec<(&'a str, Span)>,
}

/// Named things in the order of the file; a position in it is an id.
pub(crate) struct Named<'a, T> {
    pub(crate) names: Names<'a>,
    /// `None` where a mistake left nothing to read.
    list: Vec<Option<T>>,
}

impl<'a> Names<'a> {
    pub(crate) fn of(what: &'static str, section: Option<Span>, list: Vec<(&'a str, Span)>) -> Self {
        Self { what, section, list }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn span(&self, id: usize) -> Span {
        self.list.get(id).map_or(0..0, |(_, span)| span.clone())
    }

    pub(crate) fn name(&self, id: usize) -> &'a str {
        self.list.get(id).map_or("", |(name, _)| name)
    }

    /// The thing that a text refers to; a name that nothing has is noted, with the place where it could be.
    pub(crate) fn find(&self, name: &str, span: Span, notes: &crate::mistake::Notes) -> Option<usize> {
        let found = self.list.iter().position(|(other, _)| *other == name);
        if found.is_none() {
            let what = self.what;
            let all = self.list.iter().map(|(name, _)| *name);
            let mistake = Mistake::new(format!("there is no {what} `{name}`"), span, "not defined");
            let near =
                nearest(name, all.clone()).and_then(|near| self.list.iter().find(|(name, _)| *name == near));
            let mistake = match (near, &self.section) {
                (Some((near, span)), _) => mistake.and(span.clone(), format!("`{near}` is defined here")),
                (None, Some(section)) => {
                    mistake.and(section.clone(), format!("the {what}s are defined here"))
                }
                (None, None) => mistake,
            };
            notes.add(mistake.help(suggestion(name, &format!("{what}s"), all)));
        }
        found
    }

    pub(crate) fn refer(&self, item: &Item<'_>) -> Option<usize> {
        self.find(item.text()?, item.span(), item.notes)
    }
}

impl<'a, T> Named<'a, T> {
    /// Reads a table of named things.
    pub(crate) fn read(
        what: &'static str,
        key: &'static str,
        fields: &Fields<'a>,
        item: Option<Item<'a>>,
        mut one: impl FnMut(&'a str, Span, Item<'a>) -> Option<T>,
    ) -> Self {
        let mut names = Vec::new();
        let mut list = Vec::new();
        match item.map(|item| (item, item.value.get_ref())) {
            Some((_, DeValue::Table(table))) => {
                for (name, value) in table {
                    let span = name.span();
                    let name = name.get_ref().as_ref();
                    texts::check_name(name, span.clone(), fields.notes());
                    names.push((name, span.clone()));
                    list.push(one(name, span, Item { name, value, notes: fields.notes() }));
                }
            }
            Some((item, _)) => item.wrong_type("a table of names", &format!("[{key}]")),
            None => {}
        }
        Self { names: Names::of(what, fields.key_place(key), names), list }
    }

    pub(crate) fn new(names: Names<'a>, list: Vec<Option<T>>) -> Self {
        Self { names, list }
    }

    pub(crate) fn get(&self, id: usize) -> Option<&T> {
        self.list.get(id)?.as_ref()
    }

    /// Every thing, if each could be read.
    pub(crate) fn all(self) -> Option<Vec<T>> {
        self.list.into_iter().collect()
    }
}
