//! TCP segments in Ethernet frames, as far as it takes to send them on to another host. No I/O in here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::frame::{ETHERNET, TYPE_IPV4, TYPE_IPV6};
use crate::interface::Mac;
use crate::reset::Connection;

pub(crate) const TCP: u8 = 6;
const IPV6: usize = 40;
const TTL_V4: usize = ETHERNET + 8;
const SUM_V4: usize = ETHERNET + 10;
const HOP_LIMIT_V6: usize = ETHERNET + 7;
const FIN_SYN_RST_ACK: u8 = 0x17;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// A received segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) connection: Connection,
    /// The first one of a new connection.
    pub(crate) opens: bool,
    /// The last one of a connection.
    pub(crate) aborts: bool,
}

impl Segment {
    /// `None`: not TCP, or not the beginning of a segment.
    pub(crate) fn parse(frame: &[u8]) -> Option<Self> {
        let (header, packet) = frame.split_at_checked(ETHERNET)?;
        let (remote, local, tcp) = match u16::from_be_bytes([header[12], header[13]]) {
            TYPE_IPV4 => ipv4(packet)?,
            TYPE_IPV6 => ipv6(packet)?,
            _ => return None,
        };
        let tcp = tcp.first_chunk::<20>()?;
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let flags = tcp[13] & FIN_SYN_RST_ACK;
        let connection =
            Connection { remote: SocketAddr::new(remote, port(0)), local: SocketAddr::new(local, port(2)) };
        Some(Self { connection, opens: flags == SYN, aborts: flags & RST != 0 })
    }
}

/// Makes the frame one from this card to that one, with one hop less to go: whatever the hosts of a link believe of each
/// other, nothing goes round for ever. Returns whether it may be sent.
pub(crate) fn readdress(frame: &mut [u8], from: Mac, to: Mac) -> bool {
    let Some(header) = frame.first_chunk::<ETHERNET>() else { return false };
    let (came_from, kind) = (Mac([6, 7, 8, 9, 10, 11].map(|at| header[at])), [header[12], header[13]]);
    // Back to where it comes from is where it is not wanted either.
    if came_from == to {
        return false;
    }
    let hops = if u16::from_be_bytes(kind) == TYPE_IPV4 { TTL_V4 } else { HOP_LIMIT_V6 };
    let Some(left) = frame.get(hops).filter(|left| **left > 1) else { return false };
    frame[hops] = left - 1;
    if hops == TTL_V4 {
        let Some(sum) = frame.get_mut(SUM_V4..SUM_V4 + 2) else { return false };
        // RFC 1624: the word with the TTL in its upper half has become 0x0100 less.
        let more = u32::from(u16::from_be_bytes([sum[0], sum[1]])) + 0x0100;
        let folded = u16::try_from((more & 0xffff) + (more >> 16)).unwrap_or_default();
        sum.copy_from_slice(&folded.to_be_bytes());
    }
    frame[..6].copy_from_slice(&to.0);
    frame[6..12].copy_from_slice(&from.0);
    true
}

fn ipv4(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let header = packet.first_chunk::<20>()?;
    let length = usize::from(header[0] & 0x0f) * 4;
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
    if header[0] >> 4 != 4 || length < header.len() || header[9] != TCP || fragment != 0 {
        return None;
    }
    let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    Some((address(12).into(), address(16).into(), packet.get(length..)?))
}

/// Without extension headers, which TCP's packets don't have in practice.
fn ipv6(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let (header, rest) = packet.split_at_checked(IPV6)?;
    if header[0] >> 4 != 6 || header[6] != TCP {
        return None;
    }
    let address = |at: usize| header[at..].first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets));
    Some((address(8)?.into(), address(24)?.into(), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::checksum::Checksum;

    const CLIENT: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OURS: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const OLD: Mac = Mac([2, 0, 0, 0, 0, 3]);

    fn frame(v6: bool, ttl: u8, flags: u8) -> Vec<u8> {
        let mut frame = [OURS.0, CLIENT.0].concat();
        let mut tcp = vec![0x9c, 0x40, 0, 80];
        tcp.extend_from_slice(&[0; 8]);
        tcp.extend_from_slice(&[0x50, flags, 0, 0, 0, 0, 0, 0]);
        if v6 {
            frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, TCP, ttl]);
            frame.extend_from_slice(&"fd00::1".parse::<Ipv6Addr>().unwrap().octets());
            frame.extend_from_slice(&"fd00::100".parse::<Ipv6Addr>().unwrap().octets());
        } else {
            let mut header = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, ttl, TCP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 100];
            let mut sum = Checksum::default();
            sum.add(&header);
            header[10..12].copy_from_slice(&sum.finish().to_be_bytes());
            frame.extend_from_slice(&[0x08, 0x00]);
            frame.append(&mut header);
        }
        frame.append(&mut tcp);
        frame
    }

    #[test]
    fn a_segment_tells_its_connection_and_whether_it_opens_it() {
        for (v6, local, remote) in
            [(false, "10.0.0.100:80", "10.0.0.1:40000"), (true, "[fd00::100]:80", "[fd00::1]:40000")]
        {
            let connection = Connection { local: local.parse().unwrap(), remote: remote.parse().unwrap() };
            for (flags, opens, aborts) in [
                (0x02, true, false),
                (0xc2, true, false),
                (0x12, false, false),
                (0x10, false, false),
                (0x14, false, true),
            ] {
                let expected = Segment { connection, opens, aborts };
                assert_eq!(Segment::parse(&frame(v6, 64, flags)), Some(expected), "flags {flags:x}");
            }
        }
    }

    #[test]
    fn what_is_no_beginning_of_a_segment_is_none() {
        let mut fragment = frame(false, 64, 0x10);
        fragment[21] = 1;
        let mut udp = frame(true, 64, 0x10);
        udp[20] = 17;
        let mut arp = frame(false, 64, 0x10);
        arp[13] = 6;
        for bytes in [fragment, udp, arp] {
            assert_eq!(Segment::parse(&bytes), None);
        }
    }

    #[test]
    fn a_frame_sent_on_has_one_hop_less_and_a_right_sum() {
        for ttl in [2, 64, 255] {
            let mut bytes = frame(false, ttl, 0x10);
            assert!(readdress(&mut bytes, OURS, OLD));
            assert_eq!(bytes[..12], [OLD.0, OURS.0].concat());
            let mut sum = Checksum::default();
            sum.add(&bytes[14..34]);
            assert_eq!((bytes[22], sum.finish()), (ttl - 1, 0));
            let mut bytes = frame(true, ttl, 0x10);
            assert!(readdress(&mut bytes, OURS, OLD));
            assert_eq!(bytes[21], ttl - 1);
        }
    }

    #[test]
    fn nothing_goes_back_or_on_for_ever() {
        for v6 in [false, true] {
            assert!(!readdress(&mut frame(v6, 64, 0x10), OURS, CLIENT));
            assert!(!readdress(&mut frame(v6, 1, 0x10), OURS, OLD));
            assert!(!readdress(&mut frame(v6, 0, 0x10), OURS, OLD));
        }
    }

    proptest! {
        #[test]
        fn nothing_that_arrives_can_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), v6: bool, cut in 0..80_usize) {
            let mut begun = frame(v6, 64, 0x10);
            begun.truncate(cut);
            begun.extend_from_slice(&bytes);
            let _ = Segment::parse(&begun);
            readdress(&mut begun, OURS, OLD);
            let _ = Segment::parse(&bytes);
            readdress(&mut bytes, OURS, OLD);
        }
    }
}
