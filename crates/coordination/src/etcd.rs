//! Registers in an etcd cluster. Each change is one transaction, which etcd makes only if the register, the claim and the newest
//! register that we have seen are all as we know them; so nothing is written into a cluster that is not the one that it was.

mod envelope;
mod mark;
mod member;
mod members;
mod watch;
mod wire;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::claim::Known;
use crate::error::Error;
use crate::nonce::Nonces;
use crate::settings::Etcd as Settings;
use crate::tracker::Told;
use crate::watch::Mailbox;
use crate::{Entry, Outcome, Revision, lock};

use self::envelope::Held;
use self::members::{Answered, Effect, Members};
use self::wire::{
    Compare, EQUAL, GREATER, KeyValue, MOD, PutRequest, RANGE, RangeRequest, RangeResponse, Request,
    RequestOp, Response, TXN, TxnRequest, TxnResponse, VALUE, Wanted,
};

/// Before all of our keys, so that a role of etcd can be given `nines/`, or `nines/PREFIX/`, and no more.
const ROOT: &str = "nines/";
/// Changes of a register's deleted state that one call follows.
const FOLLOWED: usize = 8;

#[derive(Debug, Clone)]
pub(crate) struct Etcd(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    members: Members,
    nonces: Nonces,
    guard: OnceLock<Guard>,
}

/// The claim: a key, and what etcd must have there.
#[derive(Debug)]
struct Guard {
    key: Vec<u8>,
    value: Vec<u8>,
}

/// What a transaction that was not made has found.
struct Found {
    held: Option<Held>,
    heard_before: bool,
}

enum Tried {
    Done(Revision),
    NotAsExpected(Found),
}

impl Etcd {
    pub(crate) fn open(settings: &Settings, known: Option<&Known>) -> Result<Self, Error> {
        let members = Members::new(settings, known)?;
        Ok(Self(Arc::new(Inner { members, nonces: Nonces::new()?, guard: OnceLock::new() })))
    }

    pub(crate) fn mark(&self) -> (String, u64) {
        let mark = lock(&self.0.members.mark);
        (mark.store(), mark.revision())
    }

    pub(crate) async fn get(&self, path: &str, deadline: Instant) -> Result<Option<Entry>, Error> {
        let held = self.read(path, deadline).await?.map(envelope::open).transpose()?;
        Ok(held.and_then(Held::entry))
    }

    pub(crate) async fn guard(&self, path: &str, deadline: Instant) -> Result<(), Error> {
        let kv = self
            .read(path, deadline)
            .await?
            .ok_or_else(|| Error::Regressed { why: format!("the register {path} has gone") })?;
        // Set once, by whoever opens the store.
        let _ = self.0.guard.set(Guard { key: kv.key, value: kv.value });
        Ok(())
    }

    pub(crate) async fn change(
        &self,
        path: &str,
        expected: Option<Revision>,
        value: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<Outcome, Error> {
        let key = key(path);
        let nonce = self.0.nonces.next();
        let sealed = envelope::seal(&nonce, value);
        // A register that does not exist was never written, or is one that was deleted.
        let mut at = expected.unwrap_or(Revision(0));
        let mut heard = false;
        for _ in 0..FOLLOWED {
            let tried =
                self.try_change(&key, at, sealed.clone(), deadline).await.map_err(|error| match error {
                    Error::Unknown { why, .. } => Error::Unknown { what: path.to_owned(), why },
                    error if heard => Error::Unknown { what: path.to_owned(), why: error.to_string() },
                    error => error,
                })?;
            let found = match tried {
                Tried::Done(revision) => return Ok(Outcome::Won(revision)),
                Tried::NotAsExpected(found) => found,
            };
            heard |= found.heard_before;
            match found.held {
                Some(held) if held.nonce == nonce => return Ok(Outcome::Won(held.revision)),
                Some(held) if expected.is_none() && held.value.is_none() && held.revision > at => {
                    at = held.revision;
                }
                held if heard => {
                    let now = held.map_or(0, |held| held.revision.0);
                    let why =
                        format!("a first try was not answered, and the register is at revision {now} now");
                    return Err(Error::Unknown { what: path.to_owned(), why });
                }
                held => return Ok(Outcome::Lost { current: held.and_then(Held::entry) }),
            }
        }
        let why = "it is created and deleted faster than it can be followed".to_owned();
        Err(if heard { Error::Unknown { what: path.to_owned(), why } } else { Error::Unreachable { why } })
    }

    /// One transaction: the register, the claim and the anchor are as we know them, or tell what they are.
    async fn try_change(
        &self,
        key: &[u8],
        at: Revision,
        sealed: Vec<u8>,
        deadline: Instant,
    ) -> Result<Tried, Error> {
        let anchor = lock(&self.0.members.mark).anchor();
        let guard = self.0.guard.get();
        let mut compare = vec![revision_is(EQUAL, key, at.0)];
        if let Some(anchor) = &anchor {
            compare.push(revision_is(GREATER, &anchor.key, anchor.revision.saturating_sub(1)));
        }
        if let Some(guard) = guard {
            let wanted = Some(Wanted::Value(guard.value.clone()));
            compare.push(Compare { result: EQUAL, target: VALUE, key: guard.key.clone(), wanted });
        }
        let put = PutRequest { key: key.to_vec(), value: sealed };
        let look = [Some(key), anchor.as_ref().map(|anchor| &*anchor.key), guard.map(|guard| &*guard.key)];
        let failure = look.map(|it| RequestOp { request: Some(Request::Range(one(it.unwrap_or(key)))) });
        let success = vec![RequestOp { request: Some(Request::Put(put)) }];
        let question = TxnRequest { compare, success, failure: failure.into() };

        let asked = self.0.members.ask(TXN, &question, Effect::Change, deadline).await?;
        let Answered { answer, heard_before } = asked;
        let TxnResponse { header, succeeded, responses } = answer;
        if succeeded {
            let revision = header.and_then(|header| u64::try_from(header.revision).ok()).map(Revision);
            let revision = revision.ok_or_else(|| malformed("the revision of a change"))?;
            lock(&self.0.members.mark).saw(key, revision);
            return Ok(Tried::Done(revision));
        }
        let mut found = responses.into_iter().map(|op| match op.response {
            Some(Response::Range(range)) => Ok(range.kvs.into_iter().next()),
            _ => Err(malformed("a transaction")),
        });
        let mut next = || found.next().unwrap_or_else(|| Err(malformed("a transaction")));
        let (register, newest, claim) = (next()?, next()?, next()?);
        if let Some(anchor) = anchor {
            let now = newest.map_or(0, |kv| revision(&kv).0);
            if now < anchor.revision {
                let name = String::from_utf8_lossy(&anchor.key).into_owned();
                let was = anchor.revision;
                let why = format!("the register {name} was at revision {was}, and is at {now}");
                return Err(lock(&self.0.members.mark).give_up(why));
            }
        }
        if let Some(guard) = guard
            && claim.is_none_or(|kv| kv.value != guard.value)
        {
            let name = String::from_utf8_lossy(&guard.key).into_owned();
            let why = format!("the register {name} is not what it was");
            return Err(lock(&self.0.members.mark).give_up(why));
        }
        if let Some(kv) = &register {
            lock(&self.0.members.mark).saw(key, revision(kv));
        }
        let held = register.map(envelope::open).transpose()?;
        Ok(Tried::NotAsExpected(Found { held, heard_before }))
    }

    async fn read(&self, path: &str, deadline: Instant) -> Result<Option<KeyValue>, Error> {
        let question = one(&key(path));
        let answer = self.range(&question, deadline).await?;
        let kv = answer.kvs.into_iter().next();
        if let Some(kv) = &kv {
            lock(&self.0.members.mark).saw(&kv.key, revision(kv));
        }
        Ok(kv)
    }

    async fn range(&self, question: &RangeRequest, deadline: Instant) -> Result<RangeResponse, Error> {
        let asked = self.0.members.ask(RANGE, question, Effect::None, deadline).await;
        asked.map(|asked: Answered<RangeResponse>| asked.answer)
    }

    pub(crate) async fn watch(&self, under: String, mailbox: &Mailbox) {
        watch::run(self, &under, mailbox).await;
    }

    /// The path of a key that etcd has told of, and what is there; nothing for what is not ours.
    fn told(&self, kv: KeyValue) -> Option<Told> {
        let path = std::str::from_utf8(&kv.key).ok()?.strip_prefix(ROOT)?.to_owned();
        lock(&self.0.members.mark).saw(&kv.key, revision(&kv));
        match envelope::open(kv) {
            Ok(held) => Some((path, held.revision.0, held.value)),
            Err(error) => {
                tracing::warn!(%error, "left out");
                None
            }
        }
    }
}

fn key(path: &str) -> Vec<u8> {
    format!("{ROOT}{path}").into_bytes()
}

fn one(key: &[u8]) -> RangeRequest {
    RangeRequest { key: key.to_vec(), range_end: Vec::new(), min_mod_revision: 0 }
}

/// All keys that begin with `under`: up to the first that doesn't any more. `under` ends with a slash, so its last byte has a next one.
fn all(under: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut end = under.to_vec();
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    (under.to_vec(), end)
}

fn revision_is(result: i32, key: &[u8], revision: u64) -> Compare {
    // etcd counts in i64, and no revision was made up here.
    let wanted = Some(Wanted::ModRevision(i64::try_from(revision).unwrap_or(i64::MAX)));
    Compare { result, target: MOD, key: key.to_vec(), wanted }
}

fn revision(kv: &KeyValue) -> Revision {
    Revision(u64::try_from(kv.mod_revision).unwrap_or(0))
}

fn malformed(what: &str) -> Error {
    Error::Unknown {
        what: what.to_owned(),
        why: "etcd's answer is not of the form that it should have".to_owned(),
    }
}
