//! Lines of `pg_hba.conf`: enough of them is read to see that they can match, and that they let nobody in by mistake.

use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, suggestion};

const KINDS: [&str; 6] = ["local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"];
const METHODS: [&str; 14] = [
    "trust",
    "reject",
    "scram-sha-256",
    "md5",
    "password",
    "gss",
    "sspi",
    "ident",
    "peer",
    "ldap",
    "radius",
    "cert",
    "pam",
    "oauth",
];

/// `host`: whether clients may come over TCP, from 127.0.0.1.
pub(super) fn lines(fields: &Fields<'_>, host: bool, warnings: &mut Vec<Mistake>) -> Option<Vec<String>> {
    let Some(list) = fields.get("access") else { return Some(Vec::new()) };
    let mut lines = Vec::new();
    let mut whole = true;
    for item in list.items()? {
        match line(&item, host, warnings) {
            Some(line) => lines.push(line),
            None => whole = false,
        }
    }
    whole.then_some(lines)
}

fn line(item: &Item<'_>, host: bool, warnings: &mut Vec<Mistake>) -> Option<String> {
    let text = item.text()?;
    let note = |title: &str, label: &str, help: String| {
        item.note(title, label, help);
        None
    };
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return note(
            "a line of `access` is one line",
            "has an end of a line in it",
            "make a list of lines".to_owned(),
        );
    }
    let words = words(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some((&kind, rest)) = words.split_first() else {
        return note("a line of `access` is empty", "empty", "take it out".to_owned());
    };
    if !KINDS.contains(&kind) {
        let known: &[&str] = if host { &KINDS } else { &KINDS[..1] };
        let help = suggestion(kind, "what a line can begin with", known.iter().copied());
        return note("that is not a line of `pg_hba.conf`", "begins with an unknown word", help);
    }
    if kind != "local" && !host {
        return note(
            &format!("a line that begins with `{kind}` never matches"),
            "to PostgreSQL, clients come over a socket of its host",
            "begin it with `local`, and leave the address out".to_owned(),
        );
    }
    // Database and user, and an address with or without a mask.
    let method = match kind {
        "local" => rest.get(2),
        _ if rest.get(3).is_some_and(|word| word.parse::<std::net::IpAddr>().is_ok()) => rest.get(4),
        _ => rest.get(3),
    };
    let Some(&method) = method else {
        let example = if kind == "local" {
            "local all report scram-sha-256"
        } else {
            "hostssl all all 127.0.0.1/32 cert"
        };
        return note(
            "a line of `access` has too few words",
            "not whole",
            format!("for example \"{example}\""),
        );
    };
    match method {
        "peer" | "ident" if kind == "local" => note(
            &format!("`{method}` would let every client in as nines itself"),
            "to PostgreSQL, nines is who comes over the socket",
            "write `scram-sha-256`".to_owned(),
        ),
        method if !METHODS.contains(&method) => note(
            &format!("there is no method `{method}`"),
            "not a method",
            suggestion(method, "methods", METHODS),
        ),
        "trust" => {
            warnings.push(
                Mistake::new(
                    "everybody who reaches the gate gets in without a password",
                    item.span(),
                    "`trust`",
                )
                .help("write `scram-sha-256`"),
            );
            Some(text.to_owned())
        }
        _ => Some(text.to_owned()),
    }
}

/// The words of a line, as PostgreSQL splits it: at blanks, but not inside quotes or after a comma; up to a `#`.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut quoted, mut open) = (false, false);
    for c in text.chars() {
        match c {
            '#' if !quoted => break,
            ' ' | '\t' if !quoted => open = words.last().is_some_and(|word| word.ends_with(',')),
            _ => {
                quoted ^= c == '"';
                match words.last_mut() {
                    Some(word) if open => word.push(c),
                    _ => words.push(c.to_string()),
                }
                open = true;
            }
        }
    }
    words
}
