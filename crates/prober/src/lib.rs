//! A service as it is seen from outside: asked at a steady pace, each time by a new client, by name.
//!
//! The prober is honest about itself. What it could not ask, since it stood still, had no port left or no network, is not down: it is
//! unknown. And it never waits for a slow answer before it asks again, so that a stall is counted in full.

mod ask;
mod http;
mod local;
mod outcome;
mod pace;
mod postgres;
mod tally;
mod target;
mod tls;

pub use ask::{Asker, Rules};
pub use outcome::{Asked, Failure, Outcome, Way};
pub use pace::{Heard, Pace, probe};
pub use tally::{Outage, Settled, Tally, Told};
pub use target::{Encryption, Scheme, Session, Target};
pub use tls::{Roots, RootsError};
