//! Ethernet frames that say or ask where an address is: ARP (RFC 826, RFC 5227) and ICMPv6 neighbour discovery
//! (RFC 4861). No I/O in here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum::Checksum;
use crate::interface::Mac;

pub(crate) const ETHERNET: usize = 14;
pub(crate) const TYPE_IPV4: u16 = 0x0800;
pub(crate) const TYPE_ARP: u16 = 0x0806;
pub(crate) const TYPE_IPV6: u16 = 0x86dd;

pub(crate) const ARP_REQUEST: u16 = 1;
pub(crate) const ARP_REPLY: u16 = 2;
const IPV6: usize = 40;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const SOLICITATION: u8 = 135;
pub(crate) const ADVERTISEMENT: u8 = 136;
/// Whoever knew another card for this address shall forget it. Not solicited, and not from a router.
const OVERRIDE: u8 = 0x20;
const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Who has an address, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub address: IpAddr,
    pub mac: Mac,
}

/// `address` is at `mac`, to everybody on the link: a gratuitous ARP request, or an unsolicited neighbour advertisement.
pub(crate) fn announcement(mac: Mac, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => arp(Mac::BROADCAST, &Arp { operation: ARP_REQUEST, mac, sender: v4, target: v4 }),
        IpAddr::V6(v6) => {
            let mut body = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
            body.extend_from_slice(&v6.octets());
            body.extend_from_slice(&[TARGET_LINK_LAYER_ADDRESS, 1]);
            body.extend_from_slice(&mac.0);
            icmpv6(multicast_mac(ALL_NODES), mac, v6, ALL_NODES, body)
        }
    }
}

/// Asks who has `address`, so that no neighbour learns anything about it: ARP in the name of nobody (RFC 5227 §2.1.1),
/// IPv6 in that of `link_local`, since an answer to nobody would go to everybody (RFC 4861 §7.2.4). To everybody whom it may
/// concern, or to one card `only`.
pub(crate) fn probe(mac: Mac, link_local: Option<Ipv6Addr>, address: IpAddr, only: Option<Mac>) -> Vec<u8> {
    match address {
        IpAddr::V4(target) => {
            let arp_probe = Arp { operation: ARP_REQUEST, mac, sender: Ipv4Addr::UNSPECIFIED, target };
            arp(only.unwrap_or(Mac::BROADCAST), &arp_probe)
        }
        IpAddr::V6(target) => {
            let mut body = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
            body.extend_from_slice(&target.octets());
            if link_local.is_some() {
                body.extend_from_slice(&[SOURCE_LINK_LAYER_ADDRESS, 1]);
                body.extend_from_slice(&mac.0);
            }
            let group = solicited_node(target);
            let source = link_local.unwrap_or(Ipv6Addr::UNSPECIFIED);
            icmpv6(only.unwrap_or(multicast_mac(group)), mac, source, group, body)
        }
    }
}

/// What a frame says about who has an address: an answer, or an announcement.
pub(crate) fn answer(frame: &[u8]) -> Option<Answer> {
    let (header, body) = frame.split_at_checked(ETHERNET)?;
    match u16::from_be_bytes([header[12], header[13]]) {
        TYPE_ARP => arp_answer(body),
        TYPE_IPV6 => advertised(Mac(*header.get(6..)?.first_chunk()?), body),
        _ => None,
    }
}

/// What a frame makes its readers ask or believe about addresses: the one that it asks for, and the one in whose name it
/// asks, which they learn from it. `None` if it asks nothing, or only announces.
pub(crate) fn question(frame: &[u8]) -> Option<[IpAddr; 2]> {
    let (header, body) = frame.split_at_checked(ETHERNET)?;
    match u16::from_be_bytes([header[12], header[13]]) {
        TYPE_ARP => {
            let body = body.first_chunk::<28>()?;
            let sender = Ipv4Addr::from(*body[14..].first_chunk::<4>()?);
            let target = Ipv4Addr::from(*body[24..].first_chunk::<4>()?);
            let asks = body[..8] == [0, 1, 8, 0, 6, 4, 0, 1] && sender != target;
            asks.then_some([target.into(), sender.into()])
        }
        TYPE_IPV6 => {
            let (header, message) = body.split_at_checked(IPV6)?;
            let asks = header[0] >> 4 == 6 && header[6] == ICMPV6 && header[7] == 255;
            let sender = Ipv6Addr::from(*header[8..].first_chunk::<16>()?);
            let target = Ipv6Addr::from(*message.get(8..24)?.first_chunk::<16>()?);
            (asks && message[0] == SOLICITATION).then_some([target.into(), sender.into()])
        }
        _ => None,
    }
}

struct Arp {
    operation: u16,
    mac: Mac,
    sender: Ipv4Addr,
    target: Ipv4Addr,
}

fn arp(to: Mac, arp: &Arp) -> Vec<u8> {
    let mut frame = ethernet(to, arp.mac, TYPE_ARP);
    // Ethernet, IPv4, and the lengths of their addresses.
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4]);
    frame.extend_from_slice(&arp.operation.to_be_bytes());
    frame.extend_from_slice(&arp.mac.0);
    frame.extend_from_slice(&arp.sender.octets());
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&arp.target.octets());
    frame
}

fn arp_answer(body: &[u8]) -> Option<Answer> {
    let body = body.first_chunk::<28>()?;
    if body[..6] != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let sender = Ipv4Addr::from(*body[14..].first_chunk::<4>()?);
    let target = Ipv4Addr::from(*body[24..].first_chunk::<4>()?);
    let announces = match u16::from_be_bytes([body[6], body[7]]) {
        ARP_REPLY => true,
        ARP_REQUEST => sender == target,
        _ => false,
    };
    let mac = Mac(*body[8..].first_chunk::<6>()?);
    (announces && !sender.is_unspecified()).then_some(Answer { address: sender.into(), mac })
}

/// RFC 4861 §7.1.2, as far as it concerns us.
fn advertised(from: Mac, packet: &[u8]) -> Option<Answer> {
    let (header, rest) = packet.split_at_checked(IPV6)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let body = rest.get(..length)?;
    // A hop limit of less than 255 would mean that it is not from this link.
    if header[0] >> 4 != 6 || header[6] != ICMPV6 || header[7] != 255 {
        return None;
    }
    let address = |at: usize| header[at..].first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets));
    let mut sum = Checksum::default();
    sum.add_pseudo_header_v6(address(8)?, address(24)?, ICMPV6, length);
    sum.add(body);
    let (message, mut options) = body.split_at_checked(24)?;
    if message[0] != ADVERTISEMENT || message[1] != 0 || sum.finish() != 0 {
        return None;
    }
    let target = Ipv6Addr::from(*message[8..].first_chunk::<16>()?);
    let mut mac = from;
    while let [kind, eighths, ..] = *options {
        let length = usize::from(eighths) * 8;
        let option = options.get(..length).filter(|_| length > 0)?;
        if kind == TARGET_LINK_LAYER_ADDRESS {
            mac = Mac(*option[2..].first_chunk::<6>()?);
        }
        options = &options[length..];
    }
    (!target.is_multicast()).then_some(Answer { address: target.into(), mac })
}

fn icmpv6(to: Mac, from: Mac, source: Ipv6Addr, destination: Ipv6Addr, mut body: Vec<u8>) -> Vec<u8> {
    let mut sum = Checksum::default();
    sum.add_pseudo_header_v6(source, destination, ICMPV6, body.len());
    sum.add(&body);
    body[2..4].copy_from_slice(&sum.finish().to_be_bytes());

    let mut frame = ethernet(to, from, TYPE_IPV6);
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    frame.extend_from_slice(&[0x60, 0, 0, 0]);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[ICMPV6, 255]);
    frame.extend_from_slice(&source.octets());
    frame.extend_from_slice(&destination.octets());
    frame.append(&mut body);
    frame
}

fn ethernet(to: Mac, from: Mac, kind: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ETHERNET + IPV6 + 32);
    frame.extend_from_slice(&to.0);
    frame.extend_from_slice(&from.0);
    frame.extend_from_slice(&kind.to_be_bytes());
    frame
}

/// RFC 2464 §7.
fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

/// RFC 4291 §2.7.1.
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 2]);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_probe_is_a_question_and_an_announcement_is_none() {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        for address in ["10.0.1.100", "2001:db8::100"].map(|text| text.parse::<IpAddr>().unwrap()) {
            let probe = probe(mac, Some("fe80::1".parse().unwrap()), address, None);
            assert_eq!(question(&probe).map(|[target, _]| target), Some(address));
            assert_eq!(question(&announcement(mac, address)), None);
            for length in 0..probe.len() {
                let _ = question(&probe[..length]);
            }
        }
    }

    #[test]
    fn a_gratuitous_arp_is_a_request_to_all_whose_sender_is_its_target() {
        let frame = announcement(OURS, ip("192.0.2.100"));
        let expected = [
            &[0xff; 6][..],
            &OURS.0,
            &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1],
            &OURS.0,
            &[192, 0, 2, 100],
            &[0; 6],
            &[192, 0, 2, 100],
        ];
        assert_eq!(frame, expected.concat());
    }

    #[test]
    fn an_unsolicited_advertisement_overrides_and_has_its_card() {
        let frame = announcement(OURS, ip("2001:db8::100"));
        assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 1]);
        // Length, next header, hop limit, and from the address itself.
        assert_eq!(frame[18..22], [0, 32, 58, 255]);
        assert_eq!(frame[22..38], "2001:db8::100".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(frame[38..54], ALL_NODES.octets());
        assert_eq!((frame[54], frame[58]), (136, 0x20));
        assert_eq!(frame[78..], [&[2, 1][..], &OURS.0].concat());
    }

    #[test]
    fn a_probe_comes_from_nobody_and_may_go_to_one_card() {
        let frame = probe(OURS, None, ip("192.0.2.100"), None);
        assert_eq!((&frame[..6], &frame[28..32]), (&[0xff; 6][..], &[0; 4][..]));
        assert_eq!(probe(OURS, None, ip("192.0.2.100"), Some(THEIRS))[..6], THEIRS.0);
        let frame = probe(OURS, None, ip("2001:db8::12:3456"), None);
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
        assert_eq!(frame[22..38], [0; 16]);
        assert_eq!(frame[38..54], "ff02::1:ff12:3456".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(probe(OURS, None, ip("2001:db8::1"), Some(THEIRS))[..6], THEIRS.0);
        assert_eq!(answer(&probe(OURS, None, ip("192.0.2.100"), None)), None);
        assert_eq!(answer(&frame), None);
    }

    #[test]
    fn who_answers_or_announces_has_the_address() {
        for address in [ip("192.0.2.100"), ip("2001:db8::100")] {
            let expected = Some(Answer { address, mac: THEIRS });
            assert_eq!(answer(&announcement(THEIRS, address)), expected);
        }
        let reply =
            Arp { operation: ARP_REPLY, mac: THEIRS, sender: [192, 0, 2, 7].into(), target: [0; 4].into() };
        assert_eq!(answer(&arp(OURS, &reply)), Some(Answer { address: ip("192.0.2.7"), mac: THEIRS }));
        let question = Arp { operation: ARP_REQUEST, target: [192, 0, 2, 8].into(), ..reply };
        assert_eq!(answer(&arp(OURS, &question)), None);
    }

    #[test]
    fn an_advertisement_from_another_link_or_with_a_wrong_sum_says_nothing() {
        let good = announcement(THEIRS, ip("2001:db8::100"));
        for (at, to) in [(21, 254), (56, good[56] ^ 1), (20, 17), (54, 135)] {
            let mut frame = good.clone();
            frame[at] = to;
            assert_eq!(answer(&frame), None, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_arrives_can_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), cut in 0..100_usize) {
            let _ = answer(&bytes);
            for address in [ip("192.0.2.100"), ip("2001:db8::100")] {
                let mut frame = announcement(OURS, address);
                frame.truncate(cut);
                frame.extend_from_slice(&bytes);
                let _ = answer(&frame);
            }
        }
    }
}
