//! A planned change of the host that has an address, as the connections of the old one see it.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nines_virtual_ip::straggler::Stragglers;

use crate::neighbour::{V4, V6, hold, open};
use crate::reset::{connect, works};
use crate::world::{Host, World, wait_until};

const PORT: u16 = 80;

fn listen(host: &Host) -> TcpListener {
    host.run(|| TcpListener::bind(("::", PORT)).unwrap())
}

fn start(on: &Host, to: &Host, addresses: &[IpAddr], time: Duration) -> Stragglers {
    let eth0 = on.eth0();
    on.run(|| Stragglers::start(&eth0, addresses, to.mac(), Instant::now() + time).unwrap())
}

const LONG: Duration = Duration::from_secs(60);

/// Sends much, and checks at the other end that all of it and nothing else arrives.
fn pour(mut from: &TcpStream, mut to: &TcpStream) {
    const BLOCK: usize = 64 * 1024;
    const BLOCKS: usize = 160;
    let byte = |at: usize| u8::try_from(at % 251).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for block in 0..BLOCKS {
                let bytes: Vec<u8> = (0..BLOCK).map(|at| byte(block * BLOCK + at)).collect();
                from.write_all(&bytes).unwrap();
            }
        });
        let mut bytes = vec![0; BLOCK];
        for block in 0..BLOCKS {
            to.read_exact(&mut bytes).unwrap();
            assert!(
                bytes.iter().enumerate().all(|(at, it)| *it == byte(block * BLOCK + at)),
                "block {block}"
            );
        }
    });
}

/// The new host does not have the address, so that its kernel answers nothing: in the real thing its listeners see to it.
pub(crate) fn survives() {
    let world = World::new(3);
    let [client, old, new] = &world.hosts[..] else { unreachable!() };
    [V4, V6].into_iter().for_each(|address| hold(old, address));
    let listener = listen(old);
    let established = [V4, V6].map(|address| connect(client, SocketAddr::new(address, PORT), &listener));
    let stragglers = start(new, old, &[V4, V6], LONG);
    for (address, (at_client, at_old)) in [V4, V6].into_iter().zip(&established) {
        let before = stragglers.sent();
        open(new, address).announce(address).unwrap();
        works(at_client, at_old);
        wait_until("the way is over the new host", || stragglers.sent() > before);
        pour(at_client, at_old);
        pour(at_old, at_client);
        at_client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!({ at_old }.read(&mut [0; 8]).unwrap(), 0);
    }
    // A few of so many may be lost when the machine is busy, and TCP makes up for them.
    assert!(stragglers.lost() * 10 < stragglers.sent(), "{stragglers:?}");
    assert!(!stragglers.is_over());
    stragglers.stop();
}

pub(crate) fn new_connections() {
    let world = World::new(3);
    let [client, old, new] = &world.hosts[..] else { unreachable!() };
    for address in [V4, V6] {
        let at = SocketAddr::new(address, PORT);
        hold(old, address);
        let on_old = listen(old);
        // So that the client knows a host to be told of another.
        let _before = connect(client, at, &on_old);
        hold(new, address);
        let on_new = listen(new);
        open(new, address).announce(address).unwrap();
        // It had this address before, and this connection is of that time.
        let (a, b) = connect(client, at, &on_new);
        let stragglers = start(new, old, &[address], LONG);
        works(&a, &b);
        pour(&a, &b);
        let (a, b) = connect(client, at, &on_new);
        works(&a, &b);
        pour(&a, &b);
        drop((a, b));
        assert_eq!((stragglers.sent(), stragglers.lost()), (0, 0));
    }
}

pub(crate) fn ends() {
    let world = World::new(3);
    let [client, old, new] = &world.hosts[..] else { unreachable!() };
    hold(old, V4);
    let listener = listen(old);
    let (a, b) = connect(client, SocketAddr::new(V4, PORT), &listener);
    let stragglers = start(new, old, &[V4], Duration::from_secs(3));
    open(new, V4).announce(V4).unwrap();
    works(&a, &b);
    wait_until("the time is up", || stragglers.is_over());
    let sent = stragglers.sent();
    assert!(sent > 0, "the way is over the new host");
    { &a }.write_all(b"lost").unwrap();
    b.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!({ &b }.read(&mut [0; 8]).is_err());
    assert_eq!(stragglers.sent(), sent);
}

/// Both hosts believe the other to be the one that knows.
pub(crate) fn no_circle() {
    let world = World::new(3);
    let [client, one, other] = &world.hosts[..] else { unreachable!() };
    hold(one, V4);
    let listener = listen(one);
    let (a, b) = connect(client, SocketAddr::new(V4, PORT), &listener);
    // Neither has the connection in its list, as neither has the address.
    let eth0 = one.eth0();
    one.block_on(async move || {
        let handle = nines_virtual_ip::interface::connect().unwrap();
        nines_virtual_ip::address::release(&handle, eth0.index, V4).await.unwrap();
    });
    drop(b);
    one.run(|| nines_virtual_ip::reset::reset(V4).unwrap());
    let both = [start(one, other, &[V4], LONG), start(other, one, &[V4], LONG)];
    { &a }.write_all(b"?").unwrap();
    wait_until("one sends on", || both.iter().any(|it| it.sent() > 0));
    // The client says it again and again; each time is one packet, and not one for each hop that it has.
    std::thread::sleep(Duration::from_millis(500));
    let sent: u64 = both.iter().map(Stragglers::sent).sum();
    assert!(sent < 20, "{sent} packets");
}
