//! The PROXY protocol, versions 1 and 2: the addresses of a connection that arrives through another proxy.
//!
//! Source: <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>. Strict: a header that is merely nearly
//! right is refused, since what it says decides whom a member believes to talk with.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nines_system::ProxyVersion;

const V1_START: &[u8] = b"PROXY ";
/// CR LF included.
const V1_MAX: usize = 107;
const V2_START: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part: the signature, version and command, family, length.
const V2_FIXED: usize = 16;
/// More than this, with all additions, is refused.
const V2_MAX: usize = 4096;

/// Whom a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The connection's own addresses hold: the proxy itself speaks (a health check), or does not know the addresses.
    Local,
    Proxied {
        source: SocketAddr,
        destination: SocketAddr,
    },
}

/// Not a PROXY protocol header: the connection has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a PROXY protocol header: {0}")]
pub struct Malformed(pub &'static str);

/// Reads the header at the start of `bytes`: its length and what it says; `None`: it goes on, come back with more.
///
/// # Errors
/// [`Malformed`] as soon as it is certain.
pub fn parse(bytes: &[u8]) -> Result<Option<(usize, Header)>, Malformed> {
    match bytes.first() {
        None => Ok(None),
        Some(b'P') => parse_v1(bytes),
        Some(b'\r') => parse_v2(bytes),
        Some(_) => Err(Malformed("it begins with something else")),
    }
}

/// Whether the start of `bytes` is that of `expected`, as far as both go.
fn begins(bytes: &[u8], expected: &[u8]) -> bool {
    bytes.iter().zip(expected).all(|(byte, wanted)| byte == wanted)
}

fn parse_v1(bytes: &[u8]) -> Result<Option<(usize, Header)>, Malformed> {
    if !begins(bytes, V1_START) {
        return Err(Malformed("it begins with something else"));
    }
    let window = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        return if window.len() < V1_MAX { Ok(None) } else { Err(Malformed("a line that is too long")) };
    };
    let line = window[..end].strip_suffix(b"\r").and_then(|line| line.get(V1_START.len()..));
    let line =
        line.and_then(|line| std::str::from_utf8(line).ok()).ok_or(Malformed("a line that is not text"))?;
    if line.contains('\r') {
        return Err(Malformed("a bare CR"));
    }
    Ok(Some((end + 1, v1_addresses(line)?)))
}

/// What follows `PROXY `: `TCP4 192.0.2.1 192.0.2.2 56324 443`.
fn v1_addresses(line: &str) -> Result<Header, Malformed> {
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let family = word();
    if family == "UNKNOWN" {
        return Ok(Header::Local); // the rest, whatever it is, is to be ignored
    }
    let (source, destination, source_port, destination_port) = (word(), word(), word(), word());
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse().ok().map(IpAddr::V4),
            "TCP6" => text.parse().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let port = |text: &str| -> Option<u16> {
        let digits =
            text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse().ok().filter(|_| digits)
    };
    let endpoint = |ip, number| Some(SocketAddr::new(address(ip)?, port(number)?));
    match (endpoint(source, source_port), endpoint(destination, destination_port), words.next()) {
        (Some(source), Some(destination), None) => Ok(Header::Proxied { source, destination }),
        _ => Err(Malformed("addresses or ports that are none")),
    }
}

fn parse_v2(bytes: &[u8]) -> Result<Option<(usize, Header)>, Malformed> {
    if !begins(bytes, V2_START) {
        return Err(Malformed("it begins with something else"));
    }
    let [version_and_command, family, len_high, len_low] = match bytes.get(V2_START.len()..V2_FIXED) {
        Some(&[version_and_command, family, high, low]) => [version_and_command, family, high, low],
        _ => return Ok(None),
    };
    let len = V2_FIXED + usize::from(u16::from_be_bytes([len_high, len_low]));
    if len > V2_MAX {
        return Err(Malformed("it is too long"));
    }
    let local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed("an unknown version or command")),
    };
    let Some(block) = bytes.get(V2_FIXED..len) else { return Ok(None) };
    // What follows the addresses (TLVs) is skipped.
    let header = match family {
        _ if local => Header::Local,
        0x11 | 0x12 => v2_addresses::<4>(block)?,
        0x21 | 0x22 => v2_addresses::<16>(block)?,
        0x00 | 0x31 | 0x32 => Header::Local, // not told, or Unix sockets
        _ => return Err(Malformed("an unknown family of addresses")),
    };
    Ok(Some((len, header)))
}

/// Two addresses of `N` bytes, then two ports.
fn v2_addresses<const N: usize>(block: &[u8]) -> Result<Header, Malformed>
where
    [u8; N]: Into<IpAddr>,
{
    const SHORT: Malformed = Malformed("addresses that are cut short");
    let (source, rest) = block.split_first_chunk::<N>().ok_or(SHORT)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(SHORT)?;
    let [from_high, from_low, to_high, to_low] = *rest.first_chunk::<4>().ok_or(SHORT)?;
    Ok(Header::Proxied {
        source: SocketAddr::new((*source).into(), u16::from_be_bytes([from_high, from_low])),
        destination: SocketAddr::new((*destination).into(), u16::from_be_bytes([to_high, to_low])),
    })
}

/// Appends the header that tells a member of a client's connection.
///
/// Addresses of two families are both written as IPv6.
pub fn write(version: ProxyVersion, source: SocketAddr, destination: SocketAddr, out: &mut Vec<u8>) {
    let ports = [source.port(), destination.port()];
    match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => match version {
            ProxyVersion::V1 => write_v1("TCP4", &from, &to, ports, out),
            ProxyVersion::V2 => write_v2(0x11, &from.octets(), &to.octets(), ports, out),
        },
        (from, to) => {
            let [from, to] = [from, to].map(into_v6);
            match version {
                ProxyVersion::V1 => write_v1("TCP6", &from, &to, ports, out),
                ProxyVersion::V2 => write_v2(0x21, &from.octets(), &to.octets(), ports, out),
            }
        }
    }
}

fn into_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::to_ipv6_mapped(&v4),
        IpAddr::V6(v6) => v6,
    }
}

fn write_v1(
    family: &str,
    from: &impl fmt::Display,
    to: &impl fmt::Display,
    ports: [u16; 2],
    out: &mut Vec<u8>,
) {
    let [from_port, to_port] = ports;
    out.extend_from_slice(format!("PROXY {family} {from} {to} {from_port} {to_port}\r\n").as_bytes());
}

fn write_v2(family: u8, from: &[u8], to: &[u8], ports: [u16; 2], out: &mut Vec<u8>) {
    let len = (from.len() + to.len() + 4) as u16; // 12 or 36
    out.extend_from_slice(V2_START);
    out.extend_from_slice(&[0x21, family]);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(from);
    out.extend_from_slice(to);
    out.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proxied(source: &str, destination: &str) -> Header {
        Header::Proxied { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    fn v2(version_and_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let fixed = [&[version_and_command, family][..], &(block.len() as u16).to_be_bytes()].concat();
        [V2_START, &fixed[..], block].concat()
    }

    #[test]
    fn version_1_is_one_strict_line() {
        let line = |text: &str| {
            parse(format!("{text}\r\nGET").as_bytes()).map(|parsed| parsed.map(|(_, header)| header))
        };
        for (text, header) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443", proxied("192.0.2.1:56324", "192.0.2.2:443")),
            ("PROXY TCP4 255.255.255.255 0.0.0.0 0 65535", proxied("255.255.255.255:0", "0.0.0.0:65535")),
            ("PROXY TCP6 2001:db8::1 ::1 1 2", proxied("[2001:db8::1]:1", "[::1]:2")),
            ("PROXY UNKNOWN", Header::Local),
            ("PROXY UNKNOWN ffff:f...f:ffff whatever 1", Header::Local),
        ] {
            assert_eq!(line(text), Ok(Some(header)), "{text}");
        }
        for text in [
            "PROXY",
            "PROXY ",
            "proxy TCP4 192.0.2.1 192.0.2.2 1 2",
            "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2",
            "PROXY TCP4  192.0.2.1 192.0.2.2 1 2",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 ",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 2",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 ",
            "PROXY TCP4 192.0.2.256 192.0.2.2 1 2",
            "PROXY TCP4 192.0.02.1 192.0.2.2 1 2",
            "PROXY TCP4 ::1 ::2 1 2",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2",
            "PROXY TCP6 ::g ::1 1 2",
            "PROXY TCP6 [::1] ::1 1 2",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2",
            "PROXY TCP4\t192.0.2.1 192.0.2.2 1 2",
            "PROXY TCP4 shop.example 192.0.2.2 1 2",
            "PROXY UNKNOWN \r x",
            "GET / HTTP/1.1",
        ] {
            assert!(line(text).is_err(), "{text:?}");
        }
        assert!(parse(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n").is_err(), "a bare LF");
        assert!(
            parse(format!("PROXY UNKNOWN {}", "x".repeat(93)).as_bytes()).is_err(),
            "no end within 107 bytes"
        );
        assert_eq!(
            parse(format!("PROXY UNKNOWN {}\r\n", "x".repeat(91)).as_bytes()),
            Ok(Some((107, Header::Local)))
        );
    }

    #[test]
    fn version_2_is_read_by_its_lengths() {
        let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 4, 1, 0xbb];
        let header = proxied("192.0.2.1:56324", "192.0.2.2:443");
        assert_eq!(parse(&v2(0x21, 0x11, &v4)), Ok(Some((28, header))));
        let with_crc = [&v4[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
        assert_eq!(parse(&v2(0x21, 0x11, &with_crc)), Ok(Some((35, header))), "additions are skipped");
        let v6: Vec<u8> = (0..36).collect();
        assert_eq!(
            parse(&v2(0x21, 0x21, &v6)),
            Ok(Some((
                52,
                proxied(
                    "[1:203:405:607:809:a0b:c0d:e0f]:8225",
                    "[1011:1213:1415:1617:1819:1a1b:1c1d:1e1f]:8739"
                )
            )))
        );
        for local in [
            v2(0x20, 0, b""),
            v2(0x20, 0x11, &v4),
            v2(0x20, 0xff, b"x"),
            v2(0x21, 0, b"xyz"),
            v2(0x21, 0x31, &[0; 216]),
        ] {
            assert_eq!(parse(&local), Ok(Some((local.len(), Header::Local))));
        }
        for bad in [
            v2(0x11, 0x11, &v4),
            v2(0x22, 0x11, &v4),
            v2(0x21, 0x13, &v4),
            v2(0x21, 0x41, &v4),
            v2(0x21, 0x11, &v4[..11]),
            v2(0x21, 0x21, &v6[..35]),
            v2(0x21, 0x11, &[0; 4081]),
            b"\r\nGET".to_vec(),
        ] {
            assert!(parse(&bad).is_err(), "{}", bad.escape_ascii());
        }
        assert_eq!(parse(&v2(0x21, 0, &[0; 4080])), Ok(Some((4096, Header::Local))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_any_pieces(
            from: IpAddr, to: IpAddr, ports: [u16; 2], first: bool, behind in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let (source, destination) = (SocketAddr::new(from, ports[0]), SocketAddr::new(to, ports[1]));
            let mut bytes = Vec::new();
            write(if first { ProxyVersion::V1 } else { ProxyVersion::V2 }, source, destination, &mut bytes);
            let len = bytes.len();
            bytes.extend_from_slice(&behind);
            for end in 0..bytes.len() {
                match parse(&bytes[..end]) {
                    Ok(None) => prop_assert!(end < len),
                    Ok(Some((read, Header::Proxied { source: s, destination: d }))) => {
                        prop_assert!(end >= len && read == len);
                        prop_assert_eq!((s.ip().to_canonical(), s.port()), (from.to_canonical(), ports[0]));
                        prop_assert_eq!((d.ip().to_canonical(), d.port()), (to.to_canonical(), ports[1]));
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
    }
}
