//! What a worker knows of the pools: an immutable picture, made by [`crate::pools`], replaced whole, read without locks.

use std::net::SocketAddr;
use std::time::Instant;

/// All pools, in the order of [`nines_system::System::pools`]; it goes with the `System` that it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub pools: Vec<PoolView>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolView {
    /// In the order of [`nines_system::Pool::members`].
    pub members: Vec<MemberView>,
    pub serving: Serving,
}

/// Why the members that are eligible are just those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// The healthy members serve.
    Healthy,
    /// Too few are healthy: every member that the operator has not taken out serves.
    Everyone,
    /// Too few are healthy and the pool would rather refuse, or no member is left.
    Nobody,
}

/// A member for as long as the daemon runs: the same pool and member keep their key across reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberKey(pub u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberView {
    pub key: MemberKey,
    /// `None` until its host's name has resolved once.
    pub address: Option<SocketAddr>,
    /// Whether new work may go there. Never true without an address.
    pub eligible: bool,
    /// Its weight times 100, less while it starts slowly; at least 1.
    pub share: u32,
    pub backup: bool,
    /// The member is draining, or no longer serves what the pool is for: idle connections are closed at once, the others at
    /// this time.
    pub close_at: Option<Instant>,
}
