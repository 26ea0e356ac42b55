//! The arithmetic of nines: how available a system can be, what takes its availability away, and how sure that is.
//!
//! A pure room: no I/O, no clock, no randomness but what a seed gives. The same structure of a system is worked out in three
//! ways that check one another: exactly ([`structure`], [`markov`]), and by simulated years ([`simulation`]).

pub mod assumptions;
pub mod audit;
pub mod bounds;
pub mod distribution;
pub mod forecast;
mod hash;
pub mod markov;
pub mod measurement;
pub mod model;
pub mod nines;
pub mod random;
pub mod service;
pub mod simulation;
pub mod structure;
pub mod what_if;
