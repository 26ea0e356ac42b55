//! What stands on a page besides plots: badges, tables, facts, folds.

use maud::{Markup, html};

/// How something is meant. Colour is never the only sign: a badge has a word, a cell its figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    /// Worth a look.
    Unsure,
    Bad,
    /// Of less weight than what is around it.
    Quiet,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Unsure => "unsure",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
        }
    }
}

/// A word in a coloured box: a verdict.
pub fn badge(tone: Tone, text: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (text) } }
}

/// A part of the page with a heading, and an address within it (`#id`).
pub fn section(id: &str, heading: &str, content: &Markup) -> Markup {
    html! { section id=(id) { h2 { (heading) } (content) } }
}

/// A box of its own, to be looked at on its own; in `tone`, with an address within the page.
pub fn card(id: &str, tone: Tone, content: &Markup) -> Markup {
    html! { article id=(id) class={ "card " (tone.class()) } { (content) } }
}

/// Closed until somebody opens it.
pub fn fold(summary: &str, content: &Markup) -> Markup {
    html! { details { summary { (summary) } div.inside { (content) } } }
}

/// Facts that stand side by side at most.
const ABREAST: usize = 6;

/// Names and what they are, side by side where there is room; in rows of about one length, so that none stands alone.
pub fn facts(facts: &[(&str, Markup)]) -> Markup {
    let rows = facts.len().div_ceil(ABREAST).max(1);
    let class = (rows > 1).then(|| format!("by-{}", facts.len().div_ceil(rows).max(4)));
    html! { dl class={ "facts " (class.unwrap_or_default()) } { @for (name, what) in facts { div { dt { (name) } dd { (what) } } } } }
}

/// Scrolls inside itself where the screen is narrower than `content`. `name`: said of it to those who don't see it.
pub fn scroll(name: &str, content: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(name) tabindex="0" { (content) } }
}

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    heading: String,
    number: bool,
    meaning: Option<String>,
}

impl Column {
    pub fn text(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), number: false, meaning: None }
    }

    /// Aligned to the right.
    pub fn number(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), number: true, meaning: None }
    }

    /// Shown when the pointer rests on the heading.
    pub fn meaning(mut self, meaning: impl Into<String>) -> Self {
        self.meaning = Some(meaning.into());
        self
    }
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    content: Markup,
    tone: Tone,
    words: bool,
}

impl Cell {
    pub fn new(content: Markup) -> Self {
        Self { content, tone: Tone::Plain, words: false }
    }

    /// A sentence: broken into lines, as others are not.
    pub fn words(content: Markup) -> Self {
        Self { content, tone: Tone::Plain, words: true }
    }

    pub fn text(text: impl AsRef<str>) -> Self {
        Self::new(html! { (text.as_ref()) })
    }

    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

/// A table that scrolls inside itself. The first cell of each row is the row's name and stays in sight.
pub fn table(caption: &str, columns: &[Column], rows: Vec<Vec<Cell>>) -> Markup {
    let class = |column: Option<&Column>, cell: &Cell| {
        let number = if column.is_some_and(|column| column.number) { "number " } else { "" };
        format!("{number}{}{}", if cell.words { "words " } else { "" }, cell.tone.class())
    };
    let table = html! {
        table {
            caption { (caption) }
            thead { tr {
                @for column in columns {
                    th scope="col" class=[column.number.then_some("number")] title=[column.meaning.as_deref()] {
                        (column.heading)
                    }
                }
            } }
            tbody { @for row in rows { tr {
                @for (index, cell) in row.into_iter().enumerate() {
                    @if index == 0 {
                        th scope="row" class=(class(columns.first(), &cell)) { (cell.content) }
                    } @else {
                        td class=(class(columns.get(index), &cell)) { (cell.content) }
                    }
                }
            } } }
        }
    };
    scroll(caption, &table)
}

/// An address within the page, of whatever text: letters, digits and dashes. Different texts may share one.
pub fn slug(text: &str) -> String {
    let dashed =
        text.chars().map(|char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '-' });
    let mut slug = String::new();
    for char in dashed {
        if char != '-' || !slug.ends_with('-') {
            slug.push(char);
        }
    }
    slug.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_can_stand_in_an_address() {
        assert_eq!(slug("orders/primary: Cut off!"), "orders-primary-cut-off");
        assert_eq!(slug("<\"é\">"), "");
    }

    #[test]
    fn of_many_facts_none_stands_alone_in_a_row() {
        let of = |count: usize| facts(&vec![("a", html! { "b" }); count]).into_string();
        assert!(of(6).starts_with("<dl class=\"facts \">"), "{}", of(6));
        for (count, abreast) in [(7, 4), (8, 4), (9, 5), (11, 6)] {
            assert!(of(count).starts_with(&format!("<dl class=\"facts by-{abreast}\">")), "{}", of(count));
        }
    }

    #[test]
    fn a_table_says_what_its_rows_and_columns_are() {
        let columns = [Column::text("what"), Column::number("how many")];
        let made =
            table("Things", &columns, vec![vec![Cell::text("a < b"), Cell::text("3").tone(Tone::Bad)]]);
        let made = made.into_string();
        for part in [
            "<caption>Things</caption>",
            "<th scope=\"row\" class=\"plain\">a &lt; b</th>",
            "<td class=\"number bad\">3</td>",
        ] {
            assert!(made.contains(part), "{part} in {made}");
        }
    }
}
