//! Roles, and the databases inside an instance that belong to them.

use super::super::secrets;
use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, Span};
use crate::model::{DatabaseUser, PostgreSql};
use crate::shape;

/// What PostgreSQL cuts names off at.
const NAME: usize = 63;
/// Databases that every instance has.
const THERE: [&str; 3] = ["postgres", "template0", "template1"];

pub(super) fn users(fields: &Fields<'_>) -> Option<Vec<DatabaseUser>> {
    let Some(list) = fields.get("users") else { return Some(Vec::new()) };
    let mut names: Vec<(String, Span)> = Vec::new();
    let mut owned: Vec<(String, Span)> = Vec::new();
    let mut users = Vec::new();
    let mut whole = true;
    for item in list.items()? {
        match user(item, &mut names, &mut owned) {
            Some(user) => users.push(user),
            None => whole = false,
        }
    }
    whole.then_some(users)
}

fn user(
    item: Item<'_>,
    names: &mut Vec<(String, Span)>,
    owned: &mut Vec<(String, Span)>,
) -> Option<DatabaseUser> {
    let fields = item.fields(&shape::DATABASE_USER)?;
    let name = fields.require("name").and_then(|item| {
        let name = role(&item)?;
        once(names, name, &item, &format!("user `{name}` is there twice"), "take one out");
        Some(name.to_owned())
    });
    let password = fields.require("password").and_then(secrets::secret);
    let owns = owns(&fields, owned);
    Some(DatabaseUser { name: name?, password: password?, owns: owns? })
}

fn owns(fields: &Fields<'_>, owned: &mut Vec<(String, Span)>) -> Option<Vec<String>> {
    let Some(list) = fields.get("owns") else { return Some(Vec::new()) };
    let mut owns = Vec::new();
    let mut whole = true;
    for item in list.items()? {
        let name = identifier(&item, "a database");
        let Some(name) = name.filter(|name| is_free(name, &item)) else {
            whole = false;
            continue;
        };
        once(
            owned,
            name,
            &item,
            &format!("database `{name}` has two owners"),
            "let one own it, and grant the other what it needs",
        );
        owns.push(name.to_owned());
    }
    whole.then_some(owns)
}

/// Notes a name that was there before.
fn once(all: &mut Vec<(String, Span)>, name: &str, item: &Item<'_>, title: &str, help: &str) {
    if let Some((_, first)) = all.iter().find(|(other, _)| other == name) {
        item.notes.add(Mistake::new(title, item.span(), "again").and(first.clone(), "first").help(help));
    } else {
        all.push((name.to_owned(), item.span()));
    }
}

fn is_free(name: &str, item: &Item<'_>) -> bool {
    let there = THERE.contains(&name);
    if there {
        item.note(
            format!("database `{name}` is there from the beginning"),
            "nobody's to own",
            "write another name",
        );
    }
    !there
}

fn role<'a>(item: &Item<'a>) -> Option<&'a str> {
    let name = identifier(item, "a role")?;
    let why = if name == PostgreSql::SUPERUSER {
        "nines itself comes in as this one, and nobody else"
    } else if name == "nines" || name.starts_with("nines_") {
        "nines' own roles are called so"
    } else if name.starts_with("pg_") || ["public", "none"].contains(&name) {
        "PostgreSQL keeps this name to itself"
    } else {
        return Some(name);
    };
    item.note(format!("no role of yours can be called `{name}`"), why, "write another name");
    None
}

fn identifier<'a>(item: &Item<'a>, what: &str) -> Option<&'a str> {
    let text = item.text()?;
    if text.is_empty() || text.len() > NAME || text.contains(char::is_control) {
        let shown: String = text.chars().filter(|c| !c.is_control()).take(NAME).collect();
        item.note(
            format!("`{shown}` can't be the name of {what}"),
            if text.is_empty() { "empty" } else { "not a name of PostgreSQL's" },
            format!("write 1 to {NAME} bytes in one line"),
        );
        return None;
    }
    Some(text)
}
