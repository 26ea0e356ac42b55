//! How many connections the kernel lets this process hold.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::part::Part;

/// Besides connections: listeners, logs, runtimes.
const OTHERS: u64 = 256;

/// A database's gate has two for each connection; more clients than this are rare, and PostgreSQL takes 100 if it isn't told.
const DATABASE: u64 = 1000;

/// What the file's listeners may need: each client's connection may have one to a member.
pub(crate) fn needed(part: &Part) -> u64 {
    let databases = part.system.databases_on(part.host).count() as u64;
    2 * part.client_connections() + databases * DATABASE + OTHERS
}

/// Raises the limit of open files as far as it goes without privileges, and says so where that is less than is [`needed`].
pub(crate) fn raise(part: &Part) {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let needed = needed(part);
    if let Some(allowed) = getrlimit(Resource::Nofile).current.filter(|&allowed| allowed < needed) {
        tracing::warn!(
            allowed,
            needed,
            "the listeners may need more open files than are allowed; raise the limit (ulimit -n, LimitNOFILE=)"
        );
    }
}
