//! How much room text takes. A browser knows; whoever lays out a drawing before must guess, and rather too much.

/// The width of a text, in the unit of `size`, the font's size. Measured by a wide font of screens (DejaVu Sans), so that it is seldom
/// less than what the reader's font takes.
pub fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

fn advance(char: char) -> f64 {
    match char {
        'i' | 'j' | 'l' | '\'' | '|' | '.' | ',' | ':' | ';' | ' ' | '!' => 0.345,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '-' | '\\' | 'I' | 'J' | '·' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' | '—' => 1.02,
        'A'..='Z' | '+' | '=' | '<' | '>' | '~' | '−' | '→' => 0.84,
        char if char.is_ascii() => 0.64,
        '–' => 0.5,
        // Latin, Greek, Cyrillic; then what may be as wide as high.
        '\u{80}'..='\u{52f}' => 0.8,
        _ => 1.05,
    }
}

/// As much of a text as fits, with `…` for the rest.
pub fn fit(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut left = room - width("…", size);
    let fits = |char: &char| {
        left -= advance(*char) * size;
        left >= 0.0
    };
    let mut cut: String = text.chars().take_while(fits).collect();
    cut.truncate(cut.trim_end().len());
    cut + "…"
}

/// A text in lines of at most `room`, broken at spaces; what is left after `lines` of them is cut.
pub fn wrap(text: &str, size: f64, room: f64, lines: usize) -> Vec<String> {
    let mut done: Vec<String> = Vec::new();
    let mut words = text.split_whitespace().peekable();
    while words.peek().is_some() && done.len() < lines {
        let last = done.len() + 1 == lines;
        let mut line = String::new();
        while let Some(word) = words.peek() {
            let longer = if line.is_empty() { (*word).to_owned() } else { format!("{line} {word}") };
            if !line.is_empty() && width(&longer, size) > room && !last {
                break;
            }
            line = longer;
            words.next();
        }
        done.push(fit(&line, size, room));
    }
    done
}

/// Tenths, and no `.0`: what coordinates need.
pub(crate) fn number(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    // Not `-0`.
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_where_it_must_be() {
        assert_eq!(fit("short", 10.0, 100.0), "short");
        let cut = fit("a name that is far too long", 10.0, 80.0);
        assert!(cut.ends_with('…') && cut.len() > 8, "{cut}");
        assert!(width(&cut, 10.0) <= 80.0);
    }

    #[test]
    fn text_is_wrapped_at_spaces_and_cut_after_the_last_line() {
        let lines = wrap("orders database, etcd member, and much more than fits here", 10.0, 90.0, 2);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], "orders database,");
        assert!(lines[1].ends_with('…'), "{lines:?}");
        assert_eq!(wrap("", 10.0, 90.0, 2), Vec::<String>::new());
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!([number(12.0), number(0.26), number(-0.01)], ["12", "0.3", "0"]);
    }
}
