//! Things that have names, and references to them.

use toml::de::DeValue;

use super::texts;
use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, Span, all_nearest, suggestion};

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

    /// Whether the file has them at all.
    pub(crate) fn are_written(&self) -> bool {
        self.section.is_some()
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
        // That a file has no hosts at all is a mistake of its own, and noted.
        let told = self.list.is_empty() && self.what == "host";
        if found.is_none() && !told {
            let what = self.what;
            let all = self.list.iter().map(|(name, _)| *name);
            let mistake =
                Mistake::new(format!("there is no {what} `{name}`"), span, "not defined").of_the_whole();
            let near = all_nearest(name, all.clone());
            let place = self.list.iter().find(|(name, _)| near.as_slice() == [*name]);
            let mistake = match (place, &self.section) {
                (Some((near, span)), _) => mistake.and(span.clone(), format!("`{near}` is defined here")),
                (None, Some(section)) => mistake.and(section.clone(), format!("{what}s are defined here")),
                (None, None) => mistake,
            };
            notes.add(mistake.help(match self.list.is_empty() {
                true => format!("define it: [{}s.{name}]", what.replace(' ', "_")),
                false => suggestion(name, &format!("{what}s"), all),
            }));
        }
        found
    }

    /// What a list names, each once and at least one; `of` is whose list it is: `` `sw1` ``.
    pub(crate) fn refer_to_each(&self, of: &str, list: Item<'_>) -> Option<Vec<usize>> {
        let mut all: Vec<(usize, Span)> = Vec::new();
        let mut whole = true;
        for item in list.items()? {
            let Some(id) = self.refer(&item) else {
                whole = false;
                continue;
            };
            match all.iter().find(|(other, _)| *other == id) {
                Some((_, first)) => list.notes.add(
                    Mistake::new(format!("{of} has a {} twice", self.what), item.span(), "again")
                        .and(first.clone(), "first")
                        .help("take one out"),
                ),
                None => all.push((id, item.span())),
            }
        }
        if all.is_empty() && whole {
            list.note(
                format!("{of} has no {}", self.what),
                "empty",
                format!("name at least one: {} = {}", list.name, list.kind.example()),
            );
            whole = false;
        }
        whole.then(|| all.into_iter().map(|(id, _)| id).collect())
    }

    pub(crate) fn refer(&self, item: &Item<'_>) -> Option<usize> {
        self.find(item.text()?, item.span(), item.notes)
    }
}

impl<'a, T> Named<'a, T> {
    /// Reads the table of named things under this key.
    pub(crate) fn read(
        what: &'static str,
        key: &'static str,
        fields: &Fields<'a>,
        mut one: impl FnMut(&'a str, Span, Item<'a>) -> Option<T>,
    ) -> Self {
        let mut names = Vec::new();
        let mut list = Vec::new();
        let item = fields.get(key);
        match item.map(|item| (item, item.value.get_ref())) {
            Some((item, DeValue::Table(table))) => {
                let kind = item.kind.named().unwrap_or(item.kind);
                for (name, value) in table {
                    let span = name.span();
                    let name = name.get_ref().as_ref();
                    texts::check_name(name, span.clone(), fields.notes());
                    names.push((name, span.clone()));
                    list.push(one(name, span, Item { name, kind, value, ..item }));
                }
            }
            Some((item, _)) => item.wrong_type(),
            None => {}
        }
        Self { names: Names::of(what, fields.key_place(key), names), list }
    }

    pub(crate) fn new(names: Names<'a>, list: Vec<Option<T>>) -> Self {
        Self { names, list }
    }

    /// Things that the file does not name come after those that it does.
    pub(crate) fn extend(&mut self, further: Vec<T>) {
        self.list.extend(further.into_iter().map(Some));
    }

    pub(crate) fn get(&self, id: usize) -> Option<&T> {
        self.list.get(id)?.as_ref()
    }

    /// Every thing, if each could be read; and the names.
    pub(crate) fn all(self) -> (Option<Vec<T>>, Names<'a>) {
        (self.list.into_iter().collect(), self.names)
    }
}
