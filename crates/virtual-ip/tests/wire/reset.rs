//! The end of connections whose address goes elsewhere.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use nines_virtual_ip::reset::{Connection, connections, list, reset};

use crate::neighbour::{V4, V6, hold};
use crate::world::{Host, World, wait_until};

/// A connection from one host to an address of the other: both ends.
pub(crate) fn connect(client: &Host, to: SocketAddr, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let stream = client.run(|| TcpStream::connect_timeout(&to, Duration::from_secs(10)).unwrap());
    let (accepted, _) = listener.accept().unwrap();
    for end in [&stream, &accepted] {
        end.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    }
    (stream, accepted)
}

/// A word goes each way.
pub(crate) fn works(a: &TcpStream, b: &TcpStream) {
    for (mut from, mut to) in [(a, b), (b, a)] {
        from.write_all(b"here").unwrap();
        let mut word = [0; 4];
        to.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"here");
    }
}

fn is_reset(mut stream: &TcpStream) -> bool {
    matches!(stream.read(&mut [0; 8]), Err(error) if error.kind() == ErrorKind::ConnectionReset)
}

pub(crate) fn all_kinds() {
    let world = World::new(2);
    let [client, host] = &world.hosts[..] else { unreachable!() };
    let (own_v4, own_v6): (IpAddr, IpAddr) = (host.v4().into(), host.v6().into());
    [V4, V6].into_iter().for_each(|address| hold(host, address));
    // As the data plane listens: on everything, for both families; and for one family alone.
    let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 80);
    let dual = host.run(|| TcpListener::bind(any).unwrap());
    let single = host.run(|| TcpListener::bind("0.0.0.0:81").unwrap());

    let doomed: Vec<_> = [(V4, 80, &dual), (V6, 80, &dual), (V4, 81, &single)]
        .into_iter()
        .map(|(address, port, listener)| connect(client, SocketAddr::new(address, port), listener))
        .collect();
    let others: Vec<_> = [(own_v4, 80, &dual), (own_v6, 80, &dual), (own_v4, 81, &single)]
        .into_iter()
        .map(|(address, port, listener)| connect(client, SocketAddr::new(address, port), listener))
        .collect();

    host.run(|| {
        assert_eq!((connections(V4).unwrap(), connections(V6).unwrap()), (2, 1));
        let of = |(stream, _): &(TcpStream, TcpStream)| Connection {
            local: stream.peer_addr().unwrap(),
            remote: stream.local_addr().unwrap(),
        };
        assert_eq!(list(V6, 10).unwrap(), [of(&doomed[1])]);
        let of_v4 = list(V4, 10).unwrap();
        assert!(of_v4.contains(&of(&doomed[0])) && of_v4.contains(&of(&doomed[2])), "{of_v4:?}");
        assert_eq!(list(V4, 1).unwrap().len(), 1);
        assert_eq!((reset(V4).unwrap(), reset(V6).unwrap()), (2, 1));
        assert_eq!((connections(V4).unwrap(), connections(V6).unwrap()), (0, 0));
        assert_eq!((reset(V4).unwrap(), reset(V6).unwrap()), (0, 0));
    });
    for (client_end, _) in &doomed {
        assert!(is_reset(client_end));
    }
    for (a, b) in &others {
        works(a, b);
    }
    // Who listened still does.
    let (a, b) = connect(client, SocketAddr::new(V4, 80), &dual);
    works(&a, &b);
    let (a, b) = connect(client, SocketAddr::new(V4, 81), &single);
    works(&a, &b);
}

pub(crate) fn closing() {
    let world = World::new(2);
    let [client, host] = &world.hosts[..] else { unreachable!() };
    hold(host, V4);
    let listener = host.run(|| TcpListener::bind("[::]:80").unwrap());
    let (client_end, host_end) = connect(client, SocketAddr::new(V4, 80), &listener);
    assert_eq!(host.run(|| connections(V4).unwrap()), 1);
    // All is said and confirmed; only the client's goodbye is missing.
    drop(host_end);
    wait_until("the connection is not counted", || host.run(|| connections(V4).unwrap()) == 0);
    drop(client_end);
}

pub(crate) fn many() {
    let world = World::new(2);
    let [client, host] = &world.hosts[..] else { unreachable!() };
    hold(host, V4);
    // More than go into one datagram of the kernel's.
    let listener = host.run(|| TcpListener::bind("[::]:80").unwrap());
    let to = SocketAddr::new(V4, 80);
    let both: Vec<_> = (0..300).map(|_| connect(client, to, &listener)).collect();
    host.run(|| {
        assert_eq!(connections(V4).unwrap(), both.len());
        assert_eq!(reset(V4).unwrap(), both.len());
    });
}
