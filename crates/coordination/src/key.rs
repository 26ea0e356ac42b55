//! Names of registers, and of the part of a store that one system has to itself.

use std::fmt;

/// Longer than any name that the program makes of names in a system file.
const LONGEST: usize = 512;
/// The register that says whose a prefix is; nobody else's to change.
pub(crate) const CLAIM: &str = "system";

/// What a register is called: `databases/orders/lease`. Parts of `a-z`, `0-9`, `-`, `_` and `.`, joined by `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// The part of a store that one system claims for itself: a single part of a [`Key`], so that none lies in another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix(String);

/// Why a text is no key or no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name for a register: {why}")]
pub struct KeyError {
    text: String,
    why: &'static str,
}

impl Key {
    /// # Errors
    /// The text is empty, too long, the name that says whose the prefix is, or has a part that is empty or has other characters.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        if text == CLAIM {
            return Err(KeyError { text, why: "it says whose the registers are" });
        }
        match fault(&text) {
            Some(why) => Err(KeyError { text, why }),
            None => Ok(Self(text)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Prefix {
    /// # Errors
    /// The text is no single part of a key.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        let why = if text.contains('/') { Some("it has more than one part") } else { fault(&text) };
        match why {
            Some(why) => Err(KeyError { text, why }),
            None => Ok(Self(text)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > LONGEST {
        return Some("it is longer than 512 bytes");
    }
    let mut parts = text.split('/');
    if parts.any(|part| part.is_empty() || part == "." || part == "..") {
        return Some("a part of it is empty, `.` or `..`");
    }
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_./".contains(&byte);
    (!text.bytes().all(fine)).then_some("it has characters other than a-z, 0-9, `-`, `_`, `.` and `/`")
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_of_small_letters_and_have_no_empty_part() {
        for good in ["lease", "databases/orders/pledge/db-1.zone_b", "system/x", &"k".repeat(LONGEST)] {
            assert_eq!(Key::new(good).map(|key| key.as_str().to_owned()), Ok(good.to_owned()));
        }
        let long = "k".repeat(LONGEST + 1);
        for bad in ["", "/", "a//b", "/a", "a/", "A", "a b", "a\0", "ä", "a/../b", ".", "system", &long] {
            assert!(Key::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn no_prefix_lies_in_another() {
        assert!(Prefix::new("shop").is_ok());
        for bad in ["", "shop/a", "shop/", "Shop"] {
            assert!(Prefix::new(bad).is_err(), "{bad:?}");
        }
    }
}
