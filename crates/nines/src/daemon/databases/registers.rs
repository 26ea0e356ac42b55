//! The registers of one database: what `control::failover` calls them, and what they are in the store.

use std::collections::BTreeMap;
use std::time::Instant;

use nines_control::failover::{Id, Input, Outcome, Register, Value};
use nines_coordination::{Change, Entry, Error, Key, KeyError, Registers, Revision};

/// The registers of one database, and at which revisions they were last seen: the store wants its own kind of revision back.
pub(super) struct Shelf {
    registers: Registers,
    database: String,
    newest: BTreeMap<Register, Revision>,
}

/// What came of a compare-and-set.
pub(super) struct Answer {
    pub(super) id: Id,
    register: Register,
    result: Result<nines_coordination::Outcome, Error>,
}

impl Answer {
    pub(super) fn won(&self) -> bool {
        matches!(self.result, Ok(nines_coordination::Outcome::Won(_)))
    }

    /// Who asks again at once is answered the same: it failed, or what is there now is nothing that this program can read.
    pub(super) fn tells_nothing(&self) -> bool {
        match &self.result {
            Ok(nines_coordination::Outcome::Won(_)) => false,
            Ok(nines_coordination::Outcome::Lost { current }) => {
                current.as_ref().is_none_or(|entry| parse(&self.register, entry).is_err())
            }
            Err(_) => true,
        }
    }
}

impl Shelf {
    pub(super) fn new(registers: Registers, database: &str) -> Self {
        Self { registers, database: database.to_owned(), newest: BTreeMap::new() }
    }

    pub(super) fn registers(&self) -> &Registers {
        &self.registers
    }

    /// Under which all of them are.
    pub(super) fn root(database: &str) -> Result<Key, KeyError> {
        Key::new(format!("databases/{database}"))
    }

    fn key(&self, register: &Register) -> Result<Key, KeyError> {
        Key::new(format!("databases/{}/{register}", self.database))
    }

    fn register(&self, key: &Key) -> Option<Register> {
        let name =
            key.as_str().strip_prefix("databases/")?.strip_prefix(&self.database)?.strip_prefix('/')?;
        Register::of_key(name)
    }

    /// What a change tells, as it was read; `Err` says what cannot be read.
    pub(super) fn read(&mut self, change: Change) -> Option<Result<(Register, u64, Value), String>> {
        let register = self.register(&change.key)?;
        let Some(entry) = change.entry else {
            // nines never does. It is not made anew: who deleted it may have had other registers in mind, too.
            let was_there = self.newest.contains_key(&register);
            return was_there.then(|| {
                Err(format!("{}: somebody has deleted it; nines cannot change it any more", change.key))
            });
        };
        Some(self.value(register, &entry).map_err(|why| format!("{}: {why}", change.key)))
    }

    fn value(&mut self, register: Register, entry: &Entry) -> Result<(Register, u64, Value), String> {
        let value = parse(&register, entry)?;
        let revision = entry.revision.get();
        self.note(register.clone(), entry.revision);
        Ok((register, revision, value))
    }

    fn note(&mut self, register: Register, revision: Revision) {
        let newest = self.newest.entry(register).or_insert(revision);
        *newest = revision.max(*newest);
    }

    /// Asks for a change; the answer is to be given to [`Shelf::answered`].
    pub(super) fn set(
        &self,
        id: Id,
        register: Register,
        expected: u64,
        value: &Value,
        deadline: Instant,
    ) -> impl Future<Output = Answer> + Send + use<> {
        let registers = self.registers.clone();
        let key = self.key(&register);
        let known = self.newest.get(&register).copied().filter(|newest| newest.get() == expected);
        let bytes = serde_json::to_vec(value);
        async move {
            let result = match (key, bytes) {
                (Ok(key), Ok(bytes)) if expected == 0 || known.is_some() => {
                    registers.compare_and_set(&key, known, &bytes, deadline).await
                }
                // A newer one was seen already.
                (Ok(_), Ok(_)) => Ok(nines_coordination::Outcome::Lost { current: None }),
                (Err(error), _) => Err(Error::Refused { why: error.to_string() }),
                (_, Err(error)) => Err(Error::Refused { why: error.to_string() }),
            };
            Answer { id, register, result }
        }
    }

    /// What the machine is told of an answer, and what a person is.
    pub(super) fn answered(&mut self, answer: Answer) -> (Vec<Input>, Option<Error>) {
        let Answer { id, register, result } = answer;
        match result {
            Ok(nines_coordination::Outcome::Won(revision)) => {
                self.note(register, revision);
                (vec![Input::Set { id, outcome: Outcome::Done(revision.get()) }], None)
            }
            Ok(nines_coordination::Outcome::Lost { current }) => {
                let refused = Input::Set { id, outcome: Outcome::Refused };
                let held = current.and_then(|entry| self.value(register, &entry).ok());
                let news =
                    held.map(|(register, revision, value)| Input::Changed { register, revision, value });
                (news.into_iter().chain([refused]).collect(), None)
            }
            Err(error @ Error::Unknown { .. }) => {
                (vec![Input::Set { id, outcome: Outcome::Unknown }], Some(error))
            }
            // Nothing was changed.
            Err(error) => (vec![Input::Set { id, outcome: Outcome::Refused }], Some(error)),
        }
    }
}

fn parse(register: &Register, entry: &Entry) -> Result<Value, String> {
    let value: Value = serde_json::from_slice(&entry.value).map_err(|error| error.to_string())?;
    if value.fits(register) { Ok(value) } else { Err("it holds something else".to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nines_coordination::settings::Settings;
    use nines_coordination::{Claim, Prefix};

    use super::*;

    #[tokio::test]
    async fn a_register_that_is_deleted_or_unreadable_is_spoken_of_and_tells_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings::Embedded { path: directory.path().join("store") };
        let claim =
            Claim { prefix: Prefix::new("nines".to_owned()).unwrap(), system: "t".to_owned(), known: None };
        let soon = || Instant::now() + Duration::from_secs(20);
        let registers = Registers::open(&settings, &claim, soon()).await.unwrap();
        let mut shelf = Shelf::new(registers.clone(), "orders");
        let (register, key) = (Register::Wish, Key::new("databases/orders/wish".to_owned()).unwrap());

        let entry = |bytes: &[u8], revision| Some(Entry { value: bytes.to_vec(), revision });
        let foreign = registers.compare_and_set(&key, None, b"{}", soon()).await.unwrap();
        let nines_coordination::Outcome::Won(revision) = foreign else { panic!("{foreign:?}") };
        let told = shelf.read(Change { key: key.clone(), entry: entry(b"{}", revision) });
        assert!(told.unwrap().is_err());
        let gone = Change { key: key.clone(), entry: None };
        assert_eq!(shelf.read(gone.clone()), None, "nothing is known to have been there");

        let answer = |current| Answer {
            id: 1,
            register: register.clone(),
            result: Ok(nines_coordination::Outcome::Lost { current }),
        };
        assert!(answer(entry(b"{}", revision)).tells_nothing());
        assert!(answer(None).tells_nothing());
        let wish = serde_json::to_vec(&Value::Wish(nines_control::failover::Wish::default())).unwrap();
        assert!(!answer(entry(&wish, revision)).tells_nothing(), "there is news: it is told at once");

        assert!(shelf.read(Change { key, entry: entry(&wish, revision) }).unwrap().is_ok());
        assert!(shelf.read(gone).unwrap().unwrap_err().contains("deleted"));
    }
}
