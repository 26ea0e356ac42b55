//! Links that lose packets: nftables drops a share of what passes a host's bridge port, either way.
//!
//! Whatever a host sends or is sent is lost alike: ARP, what comes from the router, and what its neighbours say. Each host's
//! rules are in a table of their own. Where the kernel lacks nftables, or its random numbers, that is told before anything is
//! broken.

use std::io;

use crate::nft::kernel::{DROP, IN_INTERFACE, OUT_INTERFACE, POSTROUTING, PREROUTING};
use crate::nft::{Batch, Tables, draw, equals, look_at, refused, verdict};

/// From now on one packet in so many is lost on its way through this port, in each direction by itself.
pub(crate) fn lose(tables: &Tables, port: u32, one_in: u32) -> io::Result<()> {
    let table = table(port);
    let mut batch = Batch::new();
    batch.table(&table);
    for (chain, hook, interface) in
        [("sends", PREROUTING, IN_INTERFACE), ("hears", POSTROUTING, OUT_INTERFACE)]
    {
        batch.chain(&table, chain, hook);
        let lost = [look_at(interface), equals(port), draw(one_in.max(1)), equals(0), verdict(DROP)];
        batch.rule(&table, chain, &lost);
    }
    tables.tell(batch)
}

/// Nothing is lost there any more. No error if nothing was.
pub(crate) fn stop(tables: &Tables, port: u32) -> io::Result<()> {
    tables.remove(&table(port))
}

/// Whether links can lose packets in a lab here, and if not, why, in a few words. What can't be found out (no lab at all is
/// allowed, say) is for the lab to tell.
///
/// Must be called before the program starts threads: it forks.
pub fn lossless() -> Option<String> {
    // A port need not exist for rules about it.
    refused(|tables| lose(tables, 1, 2).and_then(|()| stop(tables, 1)))
}

fn table(port: u32) -> String {
    format!("nines-lab-{port}")
}
