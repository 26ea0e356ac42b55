//! Virtual addresses on an interface, which end by themselves.
//!
//! An address is put there with a lifetime of a few seconds and renewed for as long as this process runs; when it is
//! killed or frozen, the kernel takes the address away. It comes alone (/32, /128), with a preferred lifetime of 0, so
//! that nothing that this host sends by itself comes from it; without a route, and without waiting for duplicates: whose
//! it is has been decided elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};
use rtnetlink::packet_route::route::{RouteMessage, RouteType};
use rtnetlink::{Handle, RouteMessageBuilder};

use crate::error::{Error, netlink};

/// Adds the address, or renews it. The kernel counts in whole seconds, so the lifetime is rounded up.
///
/// # Errors
/// Without `CAP_NET_ADMIN`, or when the interface is gone.
pub async fn hold(handle: &Handle, interface: u32, address: IpAddr, lifetime: Duration) -> Result<(), Error> {
    let mut request = handle.address().add(interface, address, prefix(address)).replace();
    let message = request.message_mut();
    let mut life = CacheInfo::default();
    life.ifa_valid = whole_seconds(lifetime);
    message.attributes.push(AddressAttribute::CacheInfo(life));
    let mut flags = AddressFlags::Noprefixroute;
    if message.header.family == AddressFamily::Inet6 {
        flags |= AddressFlags::Nodad;
    }
    message.attributes.push(AddressAttribute::Flags(flags));
    request.execute().await.map_err(netlink(format!("put {address} on interface {interface}")))
}

/// Whether packets to the address are taken in here. An IPv6 address is there a little before that: its route follows, from a
/// work queue of the kernel's, and until then what arrives is dropped.
///
/// # Errors
/// When the kernel does not tell.
pub async fn is_in_force(handle: &Handle, address: IpAddr) -> Result<bool, Error> {
    let way = match address {
        IpAddr::V4(v4) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(v4, 32).build(),
        IpAddr::V6(v6) => RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(v6, 128).build(),
    };
    let ways: Result<Vec<RouteMessage>, _> = handle.route().get(way).execute().try_collect().await;
    match ways {
        Ok(ways) => Ok(ways.iter().any(|way| way.header.kind == RouteType::Local)),
        // No way there at all.
        Err(rtnetlink::Error::NetlinkError(message))
            if message.to_io().raw_os_error() == Some(libc::ENETUNREACH) =>
        {
            Ok(false)
        }
        Err(error) => Err(netlink(format!("look for the way to {address}"))(error)),
    }
}

/// Takes the address away. That it is not there is fine.
///
/// # Errors
/// Without `CAP_NET_ADMIN`.
pub async fn release(handle: &Handle, interface: u32, address: IpAddr) -> Result<(), Error> {
    // Told by the address itself: one request, and no list of what else is there.
    let mut message = AddressMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.index = interface;
    message.header.prefix_len = prefix(address);
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    match handle.address().del(message).execute().await {
        Err(rtnetlink::Error::NetlinkError(message)) if is_absence(&message.to_io()) => Ok(()),
        done => done.map_err(netlink(format!("take {address} from interface {interface}"))),
    }
}

/// Whether the interface has the address, with whatever prefix and lifetime.
///
/// # Errors
/// When the kernel does not tell.
pub async fn is_held(handle: &Handle, interface: u32, address: IpAddr) -> Result<bool, Error> {
    let request = handle.address().get().set_link_index_filter(interface).set_address_filter(address);
    let found: Vec<AddressMessage> = request
        .execute()
        .try_collect()
        .await
        .map_err(netlink(format!("look for {address} on interface {interface}")))?;
    Ok(!found.is_empty())
}

/// No such address, or no such interface any more.
fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV))
}

fn prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// At least one: to the kernel 0 is no lifetime. The greatest number would be for ever.
fn whole_seconds(lifetime: Duration) -> u32 {
    let seconds = lifetime.as_secs().saturating_add(u64::from(lifetime.subsec_nanos() > 0));
    u32::try_from(seconds).unwrap_or(u32::MAX).clamp(1, u32::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_rounded_up_and_never_nothing_or_for_ever() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(2001)), 3);
        assert_eq!(whole_seconds(Duration::from_secs(3)), 3);
        assert_eq!(whole_seconds(Duration::MAX), u32::MAX - 1);
    }
}
