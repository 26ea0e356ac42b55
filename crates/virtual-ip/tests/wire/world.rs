//! Hosts on one link: network namespaces on a bridge.

use std::fs::{self, File};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nines_virtual_ip::interface::{self, Interface, Mac};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkMessage};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// The index of every host's `eth0`.
pub(crate) const ETH0: u32 = 2;
const LOOPBACK: u32 = 1;
const BRIDGE: u32 = 100;

/// Goes into a network namespace of its own, if need be as root of a user namespace.
pub(crate) fn enter() -> io::Result<()> {
    if unshare(UnshareFlags::NEWNET).is_ok() {
        return Ok(());
    }
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

#[allow(unsafe_code)]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: UnshareFlags::FILES is not among the flags, so no file descriptor changes its meaning.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// `10.0.0.1` and `fd00::1` and up, all on one bridge.
pub(crate) struct World {
    pub(crate) hosts: Vec<Host>,
    bridge: Host,
}

pub(crate) struct Host {
    namespace: File,
    number: u8,
}

impl World {
    pub(crate) fn new(hosts: u8) -> Self {
        let make = |number| {
            let made = std::thread::spawn(move || {
                unshare(UnshareFlags::NEWNET).unwrap();
                File::open("/proc/thread-self/ns/net").unwrap()
            });
            Host { namespace: made.join().unwrap(), number }
        };
        let bridge = make(0);
        let hosts: Vec<Host> = (1..=hosts).map(make).collect();
        let namespaces: Vec<(u8, i32)> =
            hosts.iter().map(|host| (host.number, host.namespace.as_raw_fd())).collect();
        bridge.block_on(async move || {
            let handle = interface::connect().unwrap();
            let message = LinkBridge::new("bridge").index(BRIDGE).mcast_snooping(false).up().build();
            handle.link().add(message).execute().await.unwrap();
            for (number, namespace) in namespaces {
                plug_in(&handle, number, namespace).await;
            }
        });
        for host in &hosts {
            host.furnish();
        }
        Self { hosts, bridge }
    }

    /// Pulls a host's cable, or puts it back.
    pub(crate) fn set_cable(&self, host: usize, there: bool) {
        let port = u32::from(self.hosts[host].number) + 1000;
        self.bridge.block_on(async move || {
            let handle = interface::connect().unwrap();
            let link = LinkUnspec::new_with_index(port);
            let message = if there { link.up() } else { link.down() }.build();
            handle.link().set(message).execute().await.unwrap();
        });
    }
}

async fn plug_in(handle: &Handle, number: u8, namespace: i32) {
    let port = u32::from(number) + 1000;
    let peer: LinkMessage = LinkMessageBuilder::<LinkUnspec>::default()
        .name("eth0")
        .index(ETH0)
        .address(mac(number).0.to_vec())
        .setns_by_fd(namespace)
        .build();
    let message = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .name(format!("h{number}"))
        .index(port)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    handle.link().add(message).execute().await.unwrap();
    let message = LinkUnspec::new_with_index(port).controller(BRIDGE).up().build();
    handle.link().set(message).execute().await.unwrap();
}

fn mac(number: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, number])
}

impl Host {
    pub(crate) fn v4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, self.number)
    }

    pub(crate) fn v6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, self.number.into())
    }

    /// Made of the MAC address.
    pub(crate) fn link_local(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x00ff, 0xfe00, self.number.into())
    }

    pub(crate) fn mac(&self) -> Mac {
        mac(self.number)
    }

    /// Does something on this host, in a thread of its own.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let network = self.namespace.as_fd();
        let done = std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(network, Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            thread.join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The same in a runtime.
    pub(crate) fn block_on<T: Send, F: Future<Output = T>>(&self, work: impl FnOnce() -> F + Send) -> T {
        self.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work())
        })
    }

    pub(crate) fn eth0(&self) -> Interface {
        self.block_on(async || {
            let interfaces = interface::list(&interface::connect().unwrap()).await.unwrap();
            interface::by_name(&interfaces, "eth0").unwrap().clone()
        })
    }

    fn furnish(&self) {
        let addresses: [(IpAddr, u8); 2] = [(self.v4().into(), 24), (self.v6().into(), 64)];
        self.block_on(async move || {
            // So that link-local addresses are there at once. Where it may not be written, they are waited for.
            let _ = fs::write("/proc/sys/net/ipv6/conf/eth0/accept_dad", "0");
            let handle = interface::connect().unwrap();
            for index in [LOOPBACK, ETH0] {
                let message = LinkUnspec::new_with_index(index).up().build();
                handle.link().set(message).execute().await.unwrap();
            }
            for (address, prefix) in addresses {
                let mut request = handle.address().add(ETH0, address, prefix);
                let message = request.message_mut();
                if message.header.family == AddressFamily::Inet6 {
                    message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
                }
                request.execute().await.unwrap();
            }
        });
        wait_until("the interface is ready", || {
            let eth0 = self.eth0();
            eth0.is_running() && eth0.link_local_v6().is_some()
        });
    }
}

/// Waits for a condition, for ten seconds at most.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "it does not happen that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
