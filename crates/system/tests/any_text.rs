//! Whatever text comes in, an answer comes out: a system, or mistakes that can be shown.

use proptest::prelude::*;

const EXAMPLES: [&str; 4] = [
    include_str!("../../../examples/minimal.toml"),
    include_str!("../../../examples/shop.toml"),
    include_str!("../../../examples/pair.toml"),
    include_str!("../../../examples/everything.toml"),
];

/// Pieces that a slip of the hand or a merge could leave in a file.
const PIECES: [&str; 32] = [
    "",
    "\"",
    "'",
    "\"\"\"",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    ",",
    "=",
    ".",
    "#",
    "\n",
    "\r",
    "\r\n",
    "\0",
    "\t",
    "é",
    "\u{feff}",
    "\u{2028}",
    "👩‍👩‍👧",
    "0",
    "-1",
    "99999999999999999999",
    "1e999",
    "nan",
    "true",
    "\"1s\"",
    "[pools.web]\n",
    "1979-05-27T07:32:00Z",
];

/// An example after some edits: each puts a piece, or a part of the file itself, in the place of a stretch.
fn edited() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0_usize..40, prop::sample::select(&PIECES[..]), any::<bool>());
    (prop::sample::select(&EXAMPLES[..]), prop::collection::vec(edit, 1..6)).prop_map(|(example, edits)| {
        edits.into_iter().fold(example.to_owned(), |text, (at, length, piece, double)| {
            let border =
                |at: usize| (at..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
            let start = border(at.index(text.len() + 1));
            let end = border(start + length);
            let kept = if double { end } else { start };
            format!("{}{piece}{}", &text[..kept], &text[if double { start } else { end }..])
        })
    })
}

fn answers(text: &str) {
    match nines_system::parse_with_warnings("any.toml", text) {
        Ok((system, warnings)) => {
            warnings.render(false);
            let again = nines_system::parse("explained.toml", &nines_system::explain_with_secrets(&system));
            assert_eq!(again.expect("an explanation is a good file"), system);
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            let lines = text.split('\n').count();
            for (at, mistake) in mistakes.iter().enumerate() {
                let (line, column) = mistakes.position(mistake);
                assert!((1..=lines).contains(&line) && column >= 1, "{line}:{column} of {lines} lines");
                assert!(!mistake.title.is_empty() && !mistake.help.is_empty(), "{mistake:?}");
                assert!(mistakes.iter().take(at).all(|other| other != mistake), "told twice: {mistake:?}");
            }
            assert!(mistakes.render(false).contains("any.toml:"));
            mistakes.render(true);
        }
    }
}

proptest! {
    #[test]
    fn any_text_has_an_answer(text in any::<String>()) {
        answers(&text);
    }

    #[test]
    fn an_edited_example_has_an_answer(text in edited()) {
        answers(&text);
    }
}

#[test]
fn deep_nesting_has_an_answer() {
    answers(&format!("name = {}", "[".repeat(10_000)));
    answers(&format!("{}name = 1", "a.".repeat(10_000)));
    answers(&format!("x = {}", "{ a = ".repeat(10_000)));
}

#[test]
fn of_a_long_list_of_mistakes_the_first_hundred_are_shown() {
    let text: String = (0..2_000).map(|i| format!("colour{i} = 1\n")).collect();
    answers(&text);
    let shown = nines_system::parse("any.toml", &text).unwrap_err().render(false);
    // A name and hosts are missing too.
    assert!(shown.ends_with("\nand 1902 more\n"), "{}", &shown[shown.len() - 200..]);
}
