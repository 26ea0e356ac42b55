//! How advertisements prove where they come from.

use super::super::secrets::is_hidden;
use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, Span};
use crate::model::{VrrpAuthentication, VrrpKey, VrrpVersion};
use crate::shape;

/// The bytes that version 2 has for a password.
const PASSWORD: usize = 8;
/// More are not needed to exchange one for another.
const KEYS: usize = 8;
/// As keepalived has it: fewer are too easily guessed, more are not used.
const KEY: std::ops::RangeInclusive<usize> = 32..=64;

pub(super) fn authentication(
    fields: &Fields<'_>,
    version: Option<VrrpVersion>,
) -> Option<VrrpAuthentication> {
    match (fields.get("password"), fields.get("keys")) {
        (Some(password), Some(keys)) => {
            fields.notes().add(
                Mistake::new(
                    "a virtual IP has either `password` or `keys`",
                    password.span(),
                    "can be read by all",
                )
                .and(keys.span(), "a better proof")
                .help("take one out: `keys` are safe, `password` is for old peers"),
            );
            None
        }
        (Some(password), None) => password_of(fields, &password, version).map(VrrpAuthentication::Password),
        (None, Some(list)) => keys(list).map(VrrpAuthentication::Keys),
        (None, None) => Some(VrrpAuthentication::None),
    }
}

fn password_of(fields: &Fields<'_>, item: &Item<'_>, version: Option<VrrpVersion>) -> Option<String> {
    let text = item.text()?;
    if is_hidden(item) {
        return None;
    }
    if let (Some(VrrpVersion::V3), Some(key)) = (version, fields.key_place("password")) {
        let mistake = Mistake::new("`password` is for version 2 only", key, "version 3 has no place for it");
        let mistake = match fields.place("version") {
            Some(place) => mistake.and(place, "the version"),
            None => mistake.help("`version` is 3 where the file says nothing"),
        };
        fields.notes().add(mistake.help("write `keys` in its place, or version = 2 if the peers are old"));
    }
    if !plain(text) || text.len() > PASSWORD {
        let label = format!("not 1 to {PASSWORD} plain characters");
        item.note(
            "that can't be a password",
            label,
            format!("write 1 to {PASSWORD} ASCII characters without blanks; it is no secret on the wire"),
        );
        return None;
    }
    Some(text.to_owned())
}

fn keys(list: Item<'_>) -> Option<Vec<VrrpKey>> {
    let mut keys: Vec<(VrrpKey, Span)> = Vec::new();
    let (mut whole, mut count) = (true, 0);
    for item in list.items()? {
        count += 1;
        let Some((key, place)) = key(item) else {
            whole = false;
            continue;
        };
        if let Some((_, first)) = keys.iter().find(|(other, _)| other.id == key.id) {
            item.notes.add(
                Mistake::new(format!("two keys have the id {}", key.id), place.clone(), "again")
                    .and(first.clone(), "first")
                    .help("give the new key an `id` of its own, on every peer the same"),
            );
        }
        keys.push((key, place));
    }
    if count == 0 {
        list.note("there is no key", "empty", "write at least one, or leave `keys` out");
        return None;
    }
    if count > KEYS {
        let label = format!("{count} keys");
        list.note(
            format!("there are more than {KEYS} keys"),
            label,
            "take out those that no peer signs with any more",
        );
    }
    whole.then(|| keys.into_iter().map(|(key, _)| key).collect())
}

/// A key, and where its id stands.
fn key(item: Item<'_>) -> Option<(VrrpKey, Span)> {
    let fields = item.fields(&shape::VRRP_KEY)?;
    let id = fields.require("id").and_then(|item| Some((fields.maybe_whole::<u8>("id")?, item.span())));
    let secret = fields.require("key").and_then(|item| secret(&item));
    let (id, place) = id?;
    Some((VrrpKey { id, key: secret? }, place))
}

fn secret(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    if is_hidden(item) {
        return None;
    }
    let elsewhere = ["hex:", "file:"].into_iter().find(|prefix| text.starts_with(prefix));
    if let Some(prefix) = elsewhere {
        item.note(
            format!("a key can't begin with `{prefix}`"),
            "keepalived would read this in another way",
            "write the characters of the key themselves, 32 to 64 of them",
        );
        return None;
    }
    if !plain(text) || !KEY.contains(&text.len()) {
        let (least, most) = (KEY.start(), KEY.end());
        item.note(
            "that can't be a key",
            format!("{} bytes", text.len()),
            format!(
                "write {least} to {most} ASCII characters without blanks; `openssl rand -hex 32` makes such a key"
            ),
        );
        return None;
    }
    Some(text.to_owned())
}

/// What every peer's file can say.
fn plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}
