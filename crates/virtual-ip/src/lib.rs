//! Everything of virtual addresses that touches the wire and the kernel: VRRP packets, addresses on interfaces, who
//! is told where an address now is, and what becomes of connections when it moves.
//!
//! What to do, and when, is decided in [`nines_control::vrrp`].

pub mod address;
pub mod auth;
mod checksum;
pub mod clock;
mod control_message;
pub mod error;
mod frame;
pub mod interface;
pub mod neighbour;
pub mod packet;
mod packet_socket;
mod ready;
pub mod socket;
