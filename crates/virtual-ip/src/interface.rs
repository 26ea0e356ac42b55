//! The interfaces of this host: which one a virtual address belongs to, and what it is like now.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use futures_util::TryStreamExt;
use rtnetlink::Handle;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use tokio::io::unix::AsyncFd;

use crate::error::{Error, failed, netlink};
use crate::ready;

/// The address of a network card.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    pub const BROADCAST: Self = Self([0xff; 6]);
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An interface as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub index: u32,
    /// `None`: it has no Ethernet address, so nothing can be announced on it.
    pub mac: Option<Mac>,
    /// It is meant to work.
    pub up: bool,
    /// There is something at the other end.
    pub carrier: bool,
    pub loopback: bool,
    /// In the kernel's order; the first of a family is its primary one.
    pub addresses: Vec<Address>,
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    pub address: IpAddr,
    pub prefix: u8,
    /// Whether packets may come from it: not a virtual one (which has no preferred lifetime), and found to be unique.
    pub usable: bool,
}

impl Interface {
    pub fn is_running(&self) -> bool {
        self.up && self.carrier
    }

    /// Where advertisements over IPv4 come from.
    pub fn primary_v4(&self) -> Option<Ipv4Addr> {
        self.usable().find_map(|address| match address {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        })
    }

    /// Where advertisements over IPv6 come from.
    pub fn link_local_v6(&self) -> Option<Ipv6Addr> {
        self.usable().find_map(|address| match address {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(v6),
            IpAddr::V6(_) | IpAddr::V4(_) => None,
        })
    }

    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.address == address)
    }

    fn usable(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().filter(|own| own.usable).map(|own| own.address)
    }
}

impl Address {
    /// The length of its prefix, if `other` is in the same network and is not just this address.
    fn shares_network(&self, other: IpAddr) -> Option<u8> {
        let (own, other, width) = match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (u32::from(own).into(), u32::from(other).into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => (u128::from(own), u128::from(other), 128),
            _ => return None,
        };
        let beyond = u32::from(width - self.prefix.min(width));
        let same = (own ^ other).checked_shr(beyond).unwrap_or(0) == 0;
        (beyond > 0 && same).then_some(self.prefix)
    }
}

/// Opens a connection to the kernel's network configuration; its work is done on the runtime that this is called in.
///
/// # Errors
/// When there are no more file descriptors.
pub fn connect() -> Result<Handle, Error> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(failed("open a netlink socket for addresses"))?;
    tokio::spawn(connection);
    Ok(handle)
}

/// All interfaces with their addresses.
///
/// # Errors
/// When the kernel does not tell.
pub async fn list(handle: &Handle) -> Result<Vec<Interface>, Error> {
    let links: Vec<LinkMessage> =
        handle.link().get().execute().try_collect().await.map_err(netlink("list interfaces"))?;
    let addresses: Vec<AddressMessage> =
        handle.address().get().execute().try_collect().await.map_err(netlink("list addresses"))?;
    let mut interfaces: Vec<Interface> = links.iter().filter_map(read_link).collect();
    for message in &addresses {
        let interface = interfaces.iter_mut().find(|interface| interface.index == message.header.index);
        if let Some((interface, address)) = interface.zip(read_address(message)) {
            interface.addresses.push(address);
        }
    }
    Ok(interfaces)
}

/// # Errors
/// [`Error::NoSuchInterface`].
pub fn by_name<'a>(interfaces: &'a [Interface], name: &str) -> Result<&'a Interface, Error> {
    let found = interfaces.iter().find(|interface| interface.name == name);
    found.ok_or_else(|| Error::NoSuchInterface(name.to_owned()))
}

/// The interface with an address in the same network; of several, that with the smallest network.
///
/// # Errors
/// [`Error::NoInterfaceFor`] when there is none, or two are equally right.
pub fn by_subnet(interfaces: &[Interface], address: IpAddr) -> Result<&Interface, Error> {
    let networks = interfaces.iter().filter(|interface| !interface.loopback).filter_map(|interface| {
        let own = interface.addresses.iter().filter(|own| own.usable);
        own.filter_map(|own| own.shares_network(address)).max().map(|prefix| (prefix, interface))
    });
    let mut networks: Vec<(u8, &Interface)> = networks.collect();
    networks.sort_by_key(|(prefix, _)| std::cmp::Reverse(*prefix));
    match networks.as_slice() {
        [(_, only)] => Ok(only),
        [(first, it), (second, _), ..] if first > second => Ok(it),
        _ => Err(Error::NoInterfaceFor(address)),
    }
}

/// The interface that has the address.
///
/// # Errors
/// [`Error::NoInterfaceFor`].
pub fn by_address(interfaces: &[Interface], address: IpAddr) -> Result<&Interface, Error> {
    let found = interfaces.iter().find(|interface| interface.has(address));
    found.ok_or(Error::NoInterfaceFor(address))
}

fn read_link(message: &LinkMessage) -> Option<Interface> {
    let mut name = None;
    let mut mac = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(it) => name = Some(it.clone()),
            LinkAttribute::Address(bytes) => mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac),
            _ => {}
        }
    }
    let flags = message.header.flags;
    let loopback = flags.contains(LinkFlags::Loopback);
    Some(Interface {
        name: name?,
        index: message.header.index,
        mac: mac.filter(|_| !loopback),
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        loopback,
        addresses: Vec::new(),
    })
}

fn read_address(message: &AddressMessage) -> Option<Address> {
    let mut address = None;
    let mut local = None;
    let mut flags = AddressFlags::empty();
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(it) => address = Some(*it),
            AddressAttribute::Local(it) => local = Some(*it),
            AddressAttribute::Flags(it) => flags = *it,
            _ => {}
        }
    }
    let unusable = AddressFlags::Deprecated | AddressFlags::Tentative | AddressFlags::Dadfailed;
    // On a point-to-point link the address is the other end's.
    Some(Address {
        address: local.or(address)?,
        prefix: message.header.prefix_len,
        usable: !flags.intersects(unusable),
    })
}

/// Something that happened to an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It came, went, or changed its state.
    Link { index: u32 },
    /// It has this address, newly or still: a renewal is told as well.
    Has { index: u32, address: IpAddr },
    /// It no longer has this address: taken away by somebody, or its lifetime ended.
    Lost { index: u32, address: IpAddr },
    /// More happened than could be told: look at everything again.
    Missed,
}

/// Tells of changes as they happen.
///
/// A socket of its own rather than rtnetlink's, whose queue has no bound.
#[derive(Debug)]
pub struct Watch {
    socket: AsyncFd<OwnedFd>,
    /// Of one datagram.
    pending: VecDeque<Change>,
    buffer: Vec<u8>,
}

/// What the kernel puts into one datagram, at most.
const DATAGRAM: usize = 32 * 1024;

/// Starts to watch every interface of this host.
///
/// # Errors
/// When there are no more file descriptors.
pub fn watch() -> Result<Watch, Error> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Protocol 0 is NETLINK_ROUTE.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)
        .map_err(failed("watch interfaces"))?;
    let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups.cast_unsigned()))
        .map_err(failed("watch interfaces"))?;
    let socket = ready::register(socket).map_err(failed("watch interfaces"))?;
    Ok(Watch { socket, pending: VecDeque::new(), buffer: vec![0; DATAGRAM] })
}

impl Watch {
    /// The next change. Can be dropped and called again without losing one.
    ///
    /// # Errors
    /// When the socket is broken.
    pub async fn next(&mut self) -> io::Result<Change> {
        loop {
            if let Some(change) = self.pending.pop_front() {
                return Ok(change);
            }
            let mut ready = self.socket.readable().await?;
            let buffer = &mut self.buffer;
            let received = ready.try_io(|socket| {
                rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::TRUNC)
                    .map(|(_, length)| length)
                    .map_err(io::Error::from)
            });
            match received {
                Err(_would_block) => {}
                Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Change::Missed),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Ok(Ok(length)) if length > self.buffer.len() => return Ok(Change::Missed),
                Ok(Ok(length)) => read_changes(&self.buffer[..length], &mut self.pending),
            }
        }
    }
}

fn read_changes(mut datagram: &[u8], changes: &mut VecDeque<Change>) {
    while let Some(length) = datagram.first_chunk::<4>().map(|length| u32::from_ne_bytes(*length)) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(message) = datagram.get(..length).filter(|_| length >= 16) else { return };
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) {
            Ok(message) => changes.extend(read_change(message.payload)),
            Err(_) => changes.push_back(Change::Missed),
        }
        // Each begins at a multiple of four.
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn read_change(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Change> {
    let NetlinkPayload::InnerMessage(message) = payload else { return None };
    match message {
        RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) => {
            Some(Change::Link { index: link.header.index })
        }
        RouteNetlinkMessage::NewAddress(message) => {
            let Address { address, .. } = read_address(&message)?;
            Some(Change::Has { index: message.header.index, address })
        }
        RouteNetlinkMessage::DelAddress(message) => {
            let Address { address, .. } = read_address(&message)?;
            Some(Change::Lost { index: message.header.index, address })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, addresses: &[(&str, u8)]) -> Interface {
        let address =
            |&(text, prefix): &(&str, u8)| Address { address: text.parse().unwrap(), prefix, usable: true };
        Interface {
            name: name.into(),
            index: 2,
            mac: None,
            up: true,
            carrier: true,
            loopback: name == "lo",
            addresses: addresses.iter().map(address).collect(),
        }
    }

    #[test]
    fn an_address_belongs_where_its_network_is() {
        let interfaces = [
            interface("lo", &[("127.0.0.1", 8), ("::1", 128)]),
            interface("eth0", &[("10.0.0.5", 8), ("10.2.0.9", 32), ("fe80::1", 64)]),
            interface("eth1", &[("10.1.0.5", 16), ("2001:db8::5", 64), ("fe80::2", 64)]),
            interface("eth2", &[("10.1.0.6", 16)]),
        ];
        let found =
            |address: &str| by_subnet(&interfaces, address.parse().unwrap()).ok().map(|it| it.name.as_str());
        assert_eq!(found("10.2.0.9"), Some("eth0"));
        assert_eq!(found("2001:db8::100"), Some("eth1"));
        // In two networks alike, in none, on the loopback only.
        for address in ["10.1.0.100", "fe80::100", "192.0.2.1", "2001:db9::1", "127.0.0.2"] {
            assert_eq!(found(address), None, "{address}");
        }
        assert_eq!(by_subnet(&interfaces[..3], "10.1.0.100".parse().unwrap()).unwrap().name, "eth1");
    }

    #[test]
    fn a_virtual_address_is_nobodys_source() {
        let mut it =
            interface("eth0", &[("10.0.0.100", 32), ("10.0.0.5", 24), ("fe80::100", 128), ("fe80::5", 64)]);
        it.addresses[0].usable = false;
        it.addresses[2].usable = false;
        assert_eq!(it.primary_v4(), Some([10, 0, 0, 5].into()));
        assert_eq!(it.link_local_v6(), Some("fe80::5".parse().unwrap()));
    }

    #[test]
    fn what_is_no_message_tells_nothing_and_ends() {
        for datagram in [&[][..], &[1], &[0; 16], &[255; 64], &[16, 0, 0, 0, 1]] {
            let mut changes = VecDeque::new();
            read_changes(datagram, &mut changes);
            assert!(changes.is_empty());
        }
    }
}
