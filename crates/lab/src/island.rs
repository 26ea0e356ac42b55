//! Hosts that hear each other and nobody else, as a zone whose way to the world is cut: over their bridges, and through the router
//! where they are on several.
//!
//! What they send is marked where it comes in, and what all others send is marked otherwise; the mark stays with a packet on its way
//! through the router, and where it would leave by a port of the other side it is dropped. What the router says itself has no
//! mark and reaches everybody, so that it finds the hosts that it is to lead to each other; but it believes none of them
//! that a virtual address is there, since it has one place for each, and clients are to find it on the other side.

use std::io;
use std::net::IpAddr;

use crate::nft::kernel::{
    ACCEPT, DROP, IN_INTERFACE, LOCAL_IN, MARK, OUT_INTERFACE, POSTROUTING, PREROUTING, PROTOCOL,
};
use crate::nft::{Batch, Tables, equals, is, load, look_at, mark, refused, verdict};

/// There is one at a time.
const TABLE: &str = "nines-lab-island";
/// What the island's hosts send, and what all others do.
const OURS: u32 = 1;
const THEIRS: u32 = 2;

/// What a frame carries, by its type.
const ARP: [u8; 2] = 0x0806_u16.to_be_bytes();
const IPV6: [u8; 2] = 0x86dd_u16.to_be_bytes();
/// Where the sender's address is, and in an advertisement of a neighbour the one that it speaks of.
const ARP_SENDER: u32 = 14;
const IPV6_SENDER: u32 = 8;
const IPV6_NEIGHBOUR: u32 = 48;

/// From now on these ports are an island, and no others. `virtual_addresses`: all that move.
pub(crate) fn cut(tables: &Tables, ports: &[u32], virtual_addresses: &[IpAddr]) -> io::Result<()> {
    join(tables)?;
    let mut batch = Batch::new();
    batch.table(TABLE);
    batch.chain(TABLE, "sends", PREROUTING);
    batch.chain(TABLE, "router", LOCAL_IN);
    batch.chain(TABLE, "hears", POSTROUTING);
    for &port in ports {
        let of_port = |interface| [look_at(interface), equals(port)].concat();
        batch.rule(TABLE, "sends", &[of_port(IN_INTERFACE), mark(OURS), verdict(ACCEPT)]);
        batch.rule(TABLE, "hears", &[of_port(OUT_INTERFACE), look_at(MARK), equals(THEIRS), verdict(DROP)]);
        batch.rule(TABLE, "hears", &[of_port(OUT_INTERFACE), verdict(ACCEPT)]);
    }
    batch.rule(TABLE, "sends", &[mark(THEIRS)]);
    batch.rule(TABLE, "hears", &[look_at(MARK), equals(OURS), verdict(DROP)]);
    for address in virtual_addresses {
        let mut disbelieve = |kind: [u8; 2], at: u32, bytes: &[u8]| {
            let length = if bytes.len() == 4 { 4 } else { 16 };
            let said = [look_at(PROTOCOL), is(&kind), load(at, length), is(bytes), verdict(DROP)];
            batch.rule(TABLE, "router", &[&[look_at(MARK), equals(OURS)][..], &said].concat());
        };
        match address {
            IpAddr::V4(v4) => disbelieve(ARP, ARP_SENDER, &v4.octets()),
            IpAddr::V6(v6) => {
                disbelieve(IPV6, IPV6_SENDER, &v6.octets());
                disbelieve(IPV6, IPV6_NEIGHBOUR, &v6.octets());
            }
        }
    }
    tables.tell(batch)
}

/// The island is one no more. No error if there was none.
pub(crate) fn join(tables: &Tables) -> io::Result<()> {
    tables.remove(TABLE)
}

/// Why hosts can't be cut off together here, each from all others but not from each other, if they can't; as
/// [`crate::lossless`].
pub fn indivisible() -> Option<String> {
    refused(|tables| {
        let addresses = [IpAddr::from([192, 0, 2, 1]), IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])];
        cut(tables, &[1], &addresses)?;
        join(tables)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_with_a_hundred_and_fifty_hosts_is_parted_as_one_with_a_single_host_is() {
        let of_many = refused(|tables| {
            let ports: Vec<u32> = (1..=150).collect();
            cut(tables, &ports, &[])?;
            join(tables)
        });
        assert_eq!(of_many, indivisible());
    }
}
