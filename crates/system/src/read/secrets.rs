//! Secrets, and paths of files and directories on the hosts.

use std::path::PathBuf;

use toml::de::DeValue;

use crate::fields::Fields;
use crate::item::Item;
use crate::model::Secret;
use crate::shape;

/// What an explanation shows where a secret stands.
pub(crate) const HIDDEN: &str = "(hidden)";

/// The longest secret; the longest path.
const SECRET: usize = 1000;
const PATH: usize = 4000;

/// `"text"` or `{ file = "/…" }`.
pub(super) fn secret(item: Item<'_>) -> Option<Secret> {
    match item.value.get_ref() {
        DeValue::Table(_) => {
            let file = item.fields(&shape::SECRET_FILE)?.require("file")?;
            path(&file).map(Secret::File)
        }
        DeValue::String(_) => {
            let text = item.text()?;
            if is_hidden(&item) {
                return None;
            }
            if text.is_empty() || text.len() > SECRET || text.contains(char::is_control) {
                item.note(
                    format!("that can't be a `{}`", item.name),
                    if text.is_empty() { "empty" } else { "too long, or with characters that nobody sees" },
                    format!("write 1 to {SECRET} bytes in one line, or {{ file = \"/…\" }}"),
                );
                return None;
            }
            Some(Secret::Text(text.to_owned()))
        }
        _ => {
            item.wrong_type();
            None
        }
    }
}

/// Notes a secret that an explanation has hidden: the file was made of one.
pub(super) fn is_hidden(item: &Item<'_>) -> bool {
    let hidden = item.value.get_ref().as_str() == Some(HIDDEN);
    if hidden {
        item.note(
            format!("`{}` is not in this file", item.name),
            "hidden by `nines check --explain`",
            "write what the file that was explained says",
        );
    }
    hidden
}

/// The key of another's table: a file's or a directory's absolute path.
pub(super) fn required_path(fields: &Fields<'_>, name: &str) -> Option<PathBuf> {
    fields.require(name).and_then(|item| path(&item))
}

pub(super) fn path(item: &Item<'_>) -> Option<PathBuf> {
    let text = item.text()?;
    let dotted = text.split('/').any(|part| part == "." || part == "..");
    let (label, help) = if !text.starts_with('/') {
        ("not absolute", format!("write a path that begins with `/`, such as {}", item.kind.example()))
    } else if text.trim_end_matches('/').is_empty() {
        ("the root of everything", format!("write, for example, {}", item.kind.example()))
    } else if dotted {
        ("goes up and down", "write the path without `.` and `..`".to_owned())
    } else if text.len() > PATH || text.contains(char::is_control) {
        ("not a path", format!("write at most {PATH} bytes in one line"))
    } else {
        return Some(text.trim_end_matches('/').into());
    };
    item.note(format!("`{}` is not a path that can be used", item.name), label, help);
    None
}
