//! All registers of an embedded store as one text: JSON, a register to a line, and a checksum. Each change makes a new document with
//! the next number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Entry, Revision};

const FORMAT: u32 = 1;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Document {
    /// What tells this store from others; empty before the first change.
    pub(super) store: String,
    /// 0 before the first change.
    pub(super) number: u64,
    pub(super) registers: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Text {
    format: u32,
    store: String,
    number: u64,
    registers: BTreeMap<String, Register>,
}

#[derive(Serialize, Deserialize)]
struct Register {
    revision: u64,
    value: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Value {
    Text(String),
    Hex(String),
}

impl Document {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let register = |entry: &Entry| Register {
            revision: entry.revision.0,
            value: match String::from_utf8(entry.value.clone()) {
                Ok(text) => Value::Text(text),
                Err(_) => Value::Hex(hex(&entry.value)),
            },
        };
        let registers = self.registers.iter().map(|(path, entry)| (path.clone(), register(entry))).collect();
        let text = Text { format: FORMAT, store: self.store.clone(), number: self.number, registers };
        let mut bytes = serde_json::to_vec_pretty(&text)?;
        bytes.push(b'\n');
        let sum = format!("{}\n", hex(&Sha256::digest(&bytes)));
        bytes.extend_from_slice(sum.as_bytes());
        Ok(bytes)
    }

    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let whole = bytes.strip_suffix(b"\n").ok_or("it is cut off")?;
        let end = whole.iter().rposition(|byte| *byte == b'\n').ok_or("it has no checksum")? + 1;
        if whole[end..] != *hex(&Sha256::digest(&whole[..end])).as_bytes() {
            return Err("its checksum is wrong".to_owned());
        }
        let text: Text = serde_json::from_slice(&whole[..end]).map_err(|error| error.to_string())?;
        if text.format != FORMAT {
            return Err(format!("it has the format {}, and this program knows {FORMAT}", text.format));
        }
        let mut registers = BTreeMap::new();
        for (path, register) in text.registers {
            let value = match register.value {
                Value::Text(text) => text.into_bytes(),
                Value::Hex(text) => unhex(&text).ok_or("a value is not hexadecimal")?,
            };
            registers.insert(path, Entry { value, revision: Revision(register.revision) });
        }
        Ok(Self { store: text.store, number: text.number, registers })
    }

    /// Bytes in all values.
    pub(super) fn size(&self) -> usize {
        self.registers.values().map(|entry| entry.value.len()).sum()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| (*byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn document() -> impl Strategy<Value = Document> {
        let value = proptest::collection::vec(any::<u8>(), 0..20);
        let entry =
            (value, any::<u64>()).prop_map(|(value, revision)| Entry { value, revision: Revision(revision) });
        let registers = proptest::collection::btree_map("[a-z/]{1,9}", entry, 0..5);
        (any::<u64>(), registers).prop_map(|(number, registers)| Document {
            store: "s".into(),
            number,
            registers,
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(document in document()) {
            prop_assert_eq!(Document::parse(&document.to_bytes().unwrap()), Ok(document));
        }

        #[test]
        fn a_damaged_document_is_refused(document in document(), at in any::<prop::sample::Index>(), bit in 0..8u32) {
            let mut bytes = document.to_bytes().unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1u8 << bit;
            prop_assert!(Document::parse(&bytes).is_err());
        }

        #[test]
        fn a_document_that_is_cut_off_is_refused(document in document(), at in any::<prop::sample::Index>()) {
            let bytes = document.to_bytes().unwrap();
            prop_assert!(Document::parse(&bytes[..at.index(bytes.len())]).is_err());
        }
    }
}
