//! How a register is written in etcd: a line with the change's own name, then the value. With the name, who had to ask twice knows
//! whether it was its own first try that was heard. A deleted register stays, with another line and no value: a try to create it
//! that was delayed on its way can't bring it back.

use crate::Entry;
use crate::Revision;
use crate::error::Error;

use super::wire::KeyValue;

const SET: &str = "nines 1 set ";
const DELETED: &str = "nines 1 deleted ";

/// A register as etcd has it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) revision: Revision,
    pub(super) nonce: String,
    /// `None`: deleted.
    pub(super) value: Option<Vec<u8>>,
}

pub(super) fn seal(nonce: &str, value: Option<&[u8]>) -> Vec<u8> {
    let kind = if value.is_some() { SET } else { DELETED };
    let mut sealed = format!("{kind}{nonce}\n").into_bytes();
    sealed.extend_from_slice(value.unwrap_or_default());
    sealed
}

pub(super) fn open(kv: KeyValue) -> Result<Held, Error> {
    let foreign = || Error::Foreign {
        what: String::from_utf8_lossy(&kv.key).into_owned(),
        why: "something other than nines wrote it".to_owned(),
    };
    let end = kv.value.iter().position(|byte| *byte == b'\n').ok_or_else(foreign)?;
    let line = std::str::from_utf8(&kv.value[..end]).map_err(|_| foreign())?;
    let revision = Revision(u64::try_from(kv.mod_revision).map_err(|_| foreign())?);
    if let Some(nonce) = line.strip_prefix(SET) {
        let nonce = nonce.to_owned();
        let mut value = kv.value;
        value.drain(..=end);
        return Ok(Held { revision, nonce, value: Some(value) });
    }
    match line.strip_prefix(DELETED) {
        Some(nonce) if end + 1 == kv.value.len() => {
            Ok(Held { revision, nonce: nonce.to_owned(), value: None })
        }
        _ => Err(foreign()),
    }
}

impl Held {
    pub(super) fn entry(self) -> Option<Entry> {
        let revision = self.revision;
        self.value.map(|value| Entry { value, revision })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kv(value: Vec<u8>) -> KeyValue {
        KeyValue { key: b"k".to_vec(), mod_revision: 3, value }
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_opened(value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50))) {
            let held = open(kv(seal("w.1", value.as_deref()))).unwrap();
            prop_assert_eq!(held.nonce.as_str(), "w.1");
            prop_assert_eq!(held.value, value);
        }

        #[test]
        fn what_somebody_else_wrote_is_no_panic(value in proptest::collection::vec(any::<u8>(), 0..50)) {
            prop_assert!(open(kv(value)).is_err());
        }
    }

    #[test]
    fn a_deleted_register_with_a_value_is_not_ours() {
        for other in ["nines 1 deleted x\nvalue", "nines 2 set x\nvalue", "nines 1 set x", "hello\n"] {
            assert!(open(kv(other.into())).is_err(), "{other}");
        }
    }
}
