//! Who has an address, told and asked.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nines_virtual_ip::address;
use nines_virtual_ip::interface::{self, Mac};
use nines_virtual_ip::neighbour::{Answer, Neighbours};
use nines_virtual_ip::socket::Family;

use crate::world::{ETH0, Host, World};

pub(crate) const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 100));
pub(crate) const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100));

pub(crate) fn open(host: &Host, address: IpAddr) -> Neighbours {
    let eth0 = host.eth0();
    host.run(|| Neighbours::open(&eth0, Family::of(address)).unwrap())
}

/// When it returns, the host takes in what is sent to the address, and answers for it: with IPv6 that is a little later.
pub(crate) fn hold(host: &Host, address: IpAddr) {
    host.block_on(async move || {
        let handle = interface::connect().unwrap();
        address::hold(&handle, ETH0, address, Duration::from_secs(60)).await.unwrap();
        let begun = Instant::now();
        while !address::is_in_force(&handle, address).await.unwrap() {
            assert!(begun.elapsed() < LONG, "{address} is not in force");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

/// Whether what `client` sends to `address` arrives at the socket within the time.
fn arrives(client: &Host, address: SocketAddr, at: &UdpSocket, limit: Duration) -> bool {
    at.set_read_timeout(Some(limit)).unwrap();
    client.run(|| {
        let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        UdpSocket::bind(SocketAddr::new(any, 0)).unwrap().send_to(b"?", address).unwrap();
    });
    at.recv(&mut [0; 8]).is_ok()
}

pub(crate) fn announced() {
    let world = World::new(3);
    let [client, old, new] = &world.hosts[..] else { unreachable!() };
    for address in [V4, V6] {
        hold(old, address);
        let at = SocketAddr::new(address, 9000);
        let listen = || UdpSocket::bind(at).unwrap();
        let on_old = old.run(listen);
        assert!(arrives(client, at, &on_old, LONG));
        hold(new, address);
        let on_new = new.run(listen);
        assert!(!arrives(client, at, &on_new, SHORT), "the client knows the old host yet");
        open(new, address).announce(address).unwrap();
        assert!(arrives(client, at, &on_new, LONG));
    }
}

/// The next answer, or none within the time.
fn answered(host: &Host, neighbours: Neighbours, limit: Duration) -> Option<Answer> {
    host.block_on(async || {
        let neighbours = neighbours.watched().unwrap();
        let wait = async {
            loop {
                let mut ready = neighbours.readable().await.unwrap();
                match neighbours.get_ref().receive() {
                    Ok(answer) => break answer,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::Interrupted),
                }
            }
        };
        tokio::time::timeout(limit, wait).await.ok()
    })
}

const LONG: Duration = Duration::from_secs(10);
/// Far longer than an answer takes.
const SHORT: Duration = Duration::from_millis(300);

pub(crate) fn probed() {
    let world = World::new(3);
    let [asking, holder, _] = &world.hosts[..] else { unreachable!() };
    for address in [V4, V6] {
        let ask = |limit| {
            let neighbours = open(asking, address);
            neighbours.probe(address, None).unwrap();
            answered(asking, neighbours, limit)
        };
        assert_eq!(ask(SHORT), None);
        hold(holder, address);
        assert_eq!(ask(LONG), Some(Answer { address, mac: holder.mac() }));
        // Who has it too still learns of the other.
        hold(asking, address);
        assert_eq!(ask(LONG), Some(Answer { address, mac: holder.mac() }));
    }
}

pub(crate) fn probed_one() {
    let world = World::new(3);
    let [asking, holder, other] = &world.hosts[..] else { unreachable!() };
    for address in [V4, V6] {
        hold(holder, address);
        let ask = |mac: Mac, limit| {
            let neighbours = open(asking, address);
            neighbours.probe(address, Some(mac)).unwrap();
            answered(asking, neighbours, limit)
        };
        // The kernel answers for an IPv6 address only a little after it is there: it may not have heard the first question.
        let end = Instant::now() + LONG;
        let asked = std::iter::repeat_with(|| ask(holder.mac(), SHORT));
        let heard = asked.take_while(|_| Instant::now() < end).flatten().next();
        assert_eq!(heard, Some(Answer { address, mac: holder.mac() }));
        assert_eq!(ask(other.mac(), SHORT), None);
    }
}
