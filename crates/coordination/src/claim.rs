//! Whose a prefix is. The first process of a system writes the system's name and an id into a register; whoever comes later and is
//! of another system is refused.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::key::{CLAIM, Prefix};
use crate::nonce::random_id;
use crate::{Backend, Entry, Outcome};

/// Which registers, and who asks for them.
#[derive(Debug, Clone)]
pub struct Claim {
    pub prefix: Prefix,
    /// The system's name, as in its file.
    pub system: String,
    /// What [`Registers::known`](crate::Registers::known) said when this host last ran; `None` on its first start.
    pub known: Option<Known>,
}

/// What tells one system from another of the same name; made when its prefix is first claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemId(String);

/// What a host remembers of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub system: SystemId,
    /// The id of the etcd cluster, or of the directory.
    pub store: String,
    /// The newest revision seen.
    pub revision: u64,
}

/// What the register holds, as JSON.
#[derive(Serialize, Deserialize)]
struct Owner {
    name: String,
    id: SystemId,
}

pub(crate) async fn claim(backend: &Backend, claim: &Claim, deadline: Instant) -> Result<SystemId, Error> {
    let path = format!("{}/{CLAIM}", claim.prefix);
    loop {
        let owner = match backend.get(&path, deadline).await? {
            Some(entry) => read(&path, &entry)?,
            None if claim.known.is_some() => {
                return Err(Error::Regressed {
                    why: format!("it has no register {path}, which this host has seen in it"),
                });
            }
            None => {
                let owner = Owner { name: claim.system.clone(), id: SystemId(random_id()?) };
                let text = serde_json::to_vec(&owner)
                    .map_err(|error| Error::Refused { why: format!("the claim: {error}") })?;
                match backend.change(&path, None, Some(&text), deadline).await {
                    Ok(Outcome::Won(_)) => owner,
                    // Somebody was faster, or perhaps we were: it says so itself.
                    Ok(Outcome::Lost { .. }) | Err(Error::Unknown { .. }) => continue,
                    Err(error) => return Err(error),
                }
            }
        };
        let claimed = |by: String| Error::Claimed { prefix: claim.prefix.to_string(), by };
        if owner.name != claim.system {
            return Err(claimed(format!("{:?}, and this one is {:?}", owner.name, claim.system)));
        }
        if let Some(known) = claim.known.as_ref().filter(|known| known.system != owner.id) {
            return Err(claimed(format!(
                "{:?} with the id {}, and this host is of the one with the id {}",
                owner.name, owner.id.0, known.system.0
            )));
        }
        backend.guard(&path, deadline).await?;
        return Ok(owner.id);
    }
}

/// The system that has the prefix, by its name.
pub(crate) async fn owner(
    backend: &Backend,
    prefix: &Prefix,
    deadline: Instant,
) -> Result<Option<String>, Error> {
    let path = format!("{prefix}/{CLAIM}");
    let entry = backend.get(&path, deadline).await?;
    Ok(entry.map(|entry| read(&path, &entry)).transpose()?.map(|owner| owner.name))
}

fn read(path: &str, entry: &Entry) -> Result<Owner, Error> {
    serde_json::from_slice(&entry.value)
        .map_err(|error| Error::Foreign { what: path.to_owned(), why: error.to_string() })
}
