//! Addresses that end by themselves.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nines_virtual_ip::{address, interface};

use crate::world::{ETH0, World};

const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 100));
const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100));

pub(crate) fn lifetime() {
    let world = World::new(1);
    world.hosts[0].block_on(async || {
        let handle = interface::connect().unwrap();
        let lifetime = Duration::from_secs(2);
        for address in [V4, V6] {
            assert!(!address::is_held(&handle, ETH0, address).await.unwrap());
            address::hold(&handle, ETH0, address, lifetime).await.unwrap();
        }
        // Renewed for longer than two lifetimes, they are always there.
        let start = Instant::now();
        let mut renewed = start;
        while start.elapsed() < Duration::from_millis(5500) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            for address in [V4, V6] {
                assert!(
                    address::is_held(&handle, ETH0, address).await.unwrap(),
                    "{address} after {:?}",
                    start.elapsed()
                );
                address::hold(&handle, ETH0, address, lifetime).await.unwrap();
                renewed = Instant::now();
            }
        }
        // Then they go, the kernel's clock being a second coarse.
        for address in [V4, V6] {
            while address::is_held(&handle, ETH0, address).await.unwrap() {
                assert!(renewed.elapsed() < Duration::from_secs(5), "{address} stays");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let gone = renewed.elapsed();
            assert!(gone > Duration::from_millis(1000), "{address} went after {gone:?}");
            println!("{address} went {gone:?} after its last renewal");
        }
    });
}

pub(crate) fn alone() {
    let world = World::new(1);
    world.hosts[0].block_on(async || {
        // As the kernel has it by itself; where it may not be written, it is so still.
        let _ = std::fs::write("/proc/sys/net/ipv6/conf/eth0/accept_dad", "1");
        let handle = interface::connect().unwrap();
        for address in [V4, V6] {
            address::hold(&handle, ETH0, address, Duration::from_secs(60)).await.unwrap();
            // At once, without the pause in which duplicates are looked for.
            UdpSocket::bind(SocketAddr::new(address, 0)).unwrap();
        }
        let interfaces = interface::list(&handle).await.unwrap();
        let eth0 = interface::by_name(&interfaces, "eth0").unwrap();
        for (address, prefix) in [(V4, 32), (V6, 128)] {
            let held = eth0.addresses.iter().find(|own| own.address == address).unwrap();
            assert_eq!((held.prefix, held.usable), (prefix, false));
            for _ in 0..2 {
                address::release(&handle, ETH0, address).await.unwrap();
                assert!(!address::is_held(&handle, ETH0, address).await.unwrap());
            }
        }
        assert!(address::hold(&handle, 999, V4, Duration::from_secs(1)).await.is_err());
        address::release(&handle, 999, V4).await.unwrap();
    });
}

pub(crate) fn no_source() {
    let world = World::new(2);
    let peer = &world.hosts[1];
    let (peer_v4, peer_v6): (IpAddr, IpAddr) = (peer.v4().into(), peer.v6().into());
    let host = &world.hosts[0];
    let own: [IpAddr; 2] = [host.v4().into(), host.v6().into()];
    host.block_on(async move || {
        let handle = interface::connect().unwrap();
        for address in [V4, V6] {
            address::hold(&handle, ETH0, address, Duration::from_secs(60)).await.unwrap();
        }
        for (peer, own) in [peer_v4, peer_v6].into_iter().zip(own) {
            let any: IpAddr = if peer.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
            let socket = UdpSocket::bind(SocketAddr::new(any, 0)).unwrap();
            socket.connect(SocketAddr::new(peer, 9)).unwrap();
            assert_eq!(socket.local_addr().unwrap().ip(), own);
        }
    });
}

pub(crate) fn in_force() {
    let world = World::new(1);
    world.hosts[0].block_on(async || {
        let handle = interface::connect().unwrap();
        for address in [V4, V6] {
            assert!(!address::is_in_force(&handle, address).await.unwrap(), "{address}");
            address::hold(&handle, ETH0, address, Duration::from_secs(60)).await.unwrap();
            let begun = Instant::now();
            while !address::is_in_force(&handle, address).await.unwrap() {
                assert!(begun.elapsed() < Duration::from_secs(5), "{address}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            address::release(&handle, ETH0, address).await.unwrap();
            assert!(!address::is_in_force(&handle, address).await.unwrap(), "{address}");
        }
    });
}
