//! What one router says to the others.

use std::net::IpAddr;
use std::time::Duration;

use nines_system::VrrpVersion;

/// An advertisement as it is meant; the room that speaks on the wire turns it into bytes (RFC 9568 §5, RFC 3768 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    pub version: VrrpVersion,
    /// The virtual router's number (VRID), 1 to 255.
    pub router_id: u8,
    /// 0: its sender gives the addresses up.
    pub priority: u8,
    /// From one to the next. Whole seconds in version 2, hundredths of a second in version 3.
    pub interval: Duration,
    pub addresses: Vec<IpAddr>,
}
