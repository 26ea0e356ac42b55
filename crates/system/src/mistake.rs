//! Mistakes in a system file: what, where (every place that has a part in it), and what to do about it.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Nobody reads more of them at one time.
const SHOWN: usize = 100;

/// A range of bytes in the text of the file.
pub type Span = Range<usize>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, in one line.
    pub title: String,
    /// The places that have a part in it; the first is where it is.
    pub marks: Vec<Mark>,
    /// What to do about it.
    pub help: Vec<String>,
    /// It is one only if nothing else of the file got lost: a syntax error elsewhere may be the cause.
    of_the_whole: bool,
}

/// Words of the file, and what they have to do with a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub span: Span,
    pub label: String,
}

impl Mistake {
    pub(crate) fn new(title: impl Into<String>, span: Span, label: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            marks: vec![Mark { span, label: label.into() }],
            help: Vec::new(),
            of_the_whole: false,
        }
    }

    /// Something is missed, which a syntax error may have hidden.
    pub(crate) fn of_the_whole(mut self) -> Self {
        self.of_the_whole = true;
        self
    }

    pub(crate) fn is_of_the_whole(&self) -> bool {
        self.of_the_whole
    }

    /// A further place that has a part in it.
    pub(crate) fn and(mut self, span: Span, label: impl Into<String>) -> Self {
        self.marks.push(Mark { span, label: label.into() });
        self
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }
}

/// Where the reader notes mistakes while it goes on reading.
#[derive(Debug, Default)]
pub(crate) struct Notes(RefCell<Vec<Mistake>>);

impl Notes {
    pub(crate) fn add(&self, mistake: Mistake) {
        self.0.borrow_mut().push(mistake);
    }

    pub(crate) fn into_inner(self) -> Vec<Mistake> {
        self.0.into_inner()
    }
}

/// Everything that is wrong with a file, in the order of the file; never empty when [`crate::parse`] returns it.
#[derive(Debug, Clone)]
pub struct Mistakes {
    path: String,
    text: String,
    list: Vec<Mistake>,
    level: Level<'static>,
}

impl Mistakes {
    pub(crate) fn errors(path: &str, text: &str, list: Vec<Mistake>) -> Self {
        Self::of(path, text, list, Level::ERROR)
    }

    pub(crate) fn warnings(path: &str, text: &str, list: Vec<Mistake>) -> Self {
        Self::of(path, text, list, Level::WARNING)
    }

    fn of(path: &str, text: &str, mut list: Vec<Mistake>, level: Level<'static>) -> Self {
        for mark in list.iter_mut().flat_map(|mistake| &mut mistake.marks) {
            mark.span = within(text, &mark.span);
        }
        list.sort_by_key(|mistake| mistake.marks.first().map_or(0, |mark| mark.span.start));
        Self { path: path.to_owned(), text: text.to_owned(), list, level }
    }

    /// How messages call the file.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.list.iter()
    }

    /// Line and column (in characters) of a mistake's first mark, both from 1.
    pub fn position(&self, mistake: &Mistake) -> (usize, usize) {
        let start = mistake.marks.first().map_or(0, |mark| mark.span.start);
        let before = self.text.get(..start).unwrap_or(&self.text);
        let line = before.rsplit('\n').next().unwrap_or(before);
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }

    /// As a compiler shows them, the first hundred, each with the lines that it is about. Ends with a newline
    /// unless empty.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut out = String::new();
        for mistake in self.list.iter().take(SHOWN) {
            if !out.is_empty() {
                out.push('\n');
            }
            let marks = mistake.marks.iter().enumerate().map(|(i, mark)| {
                let kind = if i == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                kind.span(mark.span.clone()).label(mark.label.as_str())
            });
            let snippet = Snippet::source(self.text.as_str()).path(self.path.as_str()).annotations(marks);
            let report = self
                .level
                .clone()
                .primary_title(mistake.title.as_str())
                .element(snippet)
                .elements(mistake.help.iter().map(|help| Level::HELP.message(help.as_str())));
            out.push_str(&renderer.render(&[report]));
            out.push('\n');
        }
        if self.list.len() > SHOWN {
            out.push_str(&format!("\nand {} more\n", self.list.len() - SHOWN));
        }
        out
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Mistakes {}

/// The span, moved to where characters begin and end inside the text.
fn within(text: &str, span: &Span) -> Span {
    let border = |from: usize| (from..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    let start = border(span.start);
    start..border(span.end.max(start))
}

/// The candidate that was probably meant, by its looks.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    all_nearest(word, candidates).into_iter().next()
}

/// The same, with those that are as near.
pub(crate) fn all_nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    fn plain(word: &str) -> String {
        word.to_lowercase().replace(['-', '_', ' '], "")
    }
    let word = plain(word);
    let length = word.chars().count();
    // One slip in three letters, and never all of them.
    let bound = (length / 3).max(1).min(length.saturating_sub(1));
    let mut near: Vec<_> = candidates
        .into_iter()
        .map(|candidate| {
            let other = plain(candidate);
            let within = length >= 4 && other.len() >= 4 && (word.contains(&other) || other.contains(&word));
            let distance = strsim::osa_distance(&word, &other);
            (if within { distance.min(bound) } else { distance }, candidate)
        })
        .filter(|&(distance, _)| distance <= bound)
        .collect();
    let least = near.iter().map(|&(distance, _)| distance).min();
    near.retain(|&(distance, _)| Some(distance) == least);
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// ``did you mean `web`?``, or else what there is.
pub(crate) fn suggestion<'a>(
    word: &str,
    what: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    let near = all_nearest(word, candidates.clone());
    if !near.is_empty() {
        return format!("did you mean {}?", one_of(&near));
    }
    let all: Vec<_> = candidates.into_iter().map(|name| format!("`{name}`")).collect();
    if all.is_empty() { format!("there are no {what}") } else { format!("{what}: {}", all.join(", ")) }
}

/// `` `a`, `b` or `c` ``.
fn one_of(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            let most: Vec<_> = most.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", most.join(", "))
        }
    }
}
