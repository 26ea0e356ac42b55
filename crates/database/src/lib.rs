//! A database on this host: the hands that do to PostgreSQL what `nines_control::failover` decides, and the gate that lets clients
//! through only while it may.

pub mod gate;
pub mod hands;
