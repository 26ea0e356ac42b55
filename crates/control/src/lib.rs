//! Every decision, as pure state machines: who is healthy, who gets the next request, when to try again.
//!
//! No I/O, no clock, no randomness: time and random numbers come in as arguments, what is wanted done comes out.
//! The daemon and the simulator run this same code.

pub mod balance;
pub mod event;
pub mod failover;
pub mod gate;
mod health;
pub mod pools;
pub mod random;
pub mod retry;
mod schedule;
pub mod statistics;
pub mod status;
pub mod traffic;
pub mod view;
pub mod vrrp;
