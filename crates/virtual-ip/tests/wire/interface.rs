//! Interfaces, and what happens to them.

use std::net::IpAddr;
use std::time::Duration;

use nines_virtual_ip::address;
use nines_virtual_ip::interface::{self, Change};

use crate::world::{ETH0, World, wait_until};

pub(crate) fn found() {
    let world = World::new(1);
    let host = &world.hosts[0];
    let interfaces = host.block_on(async || interface::list(&interface::connect().unwrap()).await.unwrap());
    let eth0 = interface::by_name(&interfaces, "eth0").unwrap();
    assert_eq!((eth0.index, eth0.mac), (ETH0, Some(host.mac())));
    assert!(eth0.is_running());
    assert_eq!(eth0.primary_v4(), Some(host.v4()));
    assert_eq!(eth0.link_local_v6(), Some(host.link_local()));
    for address in ["10.0.0.100", "fd00::100"] {
        assert_eq!(interface::by_subnet(&interfaces, address.parse().unwrap()).unwrap(), eth0);
    }
    assert_eq!(interface::by_address(&interfaces, host.v6().into()).unwrap(), eth0);
    let none = interface::by_name(&interfaces, "eth1").unwrap_err();
    assert_eq!(none.to_string(), "there is no interface eth1: see `ip link`");
    let lo = interface::by_name(&interfaces, "lo").unwrap();
    assert_eq!((lo.loopback, lo.mac), (true, None));

    world.set_cable(0, false);
    wait_until("the carrier is lost", || !host.eth0().carrier);
    assert!(host.eth0().up);
}

pub(crate) fn watched() {
    let world = World::new(1);
    let host = &world.hosts[0];
    let address: IpAddr = [10, 0, 0, 100].into();
    host.block_on(async || {
        let handle = interface::connect().unwrap();
        let mut watch = interface::watch().unwrap();
        let mut comes = async |expected: Change| {
            let wait = async { while watch.next().await.unwrap() != expected {} };
            tokio::time::timeout(Duration::from_secs(10), wait)
                .await
                .unwrap_or_else(|_| panic!("no {expected:?}"));
        };
        address::hold(&handle, ETH0, address, Duration::from_secs(60)).await.unwrap();
        comes(Change::Has { index: ETH0, address }).await;
        address::release(&handle, ETH0, address).await.unwrap();
        comes(Change::Lost { index: ETH0, address }).await;
        world.set_cable(0, false);
        comes(Change::Link { index: ETH0 }).await;
        // By the kernel's own hand.
        address::hold(&handle, ETH0, address, Duration::from_secs(1)).await.unwrap();
        comes(Change::Lost { index: ETH0, address }).await;
    });
}
