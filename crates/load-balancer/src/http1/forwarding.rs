//! Provenance: whom a member is told that a request came from.

use std::io::Write as _;
use std::net::IpAddr;

use super::Span;
use super::field::Field;

/// A client's address, formatted once for all requests of its connection.
#[derive(Debug, Clone, Copy)]
pub struct ClientText {
    /// The address as Forwarded writes it: `192.0.2.1`, or `"[2001:db8::1]"` with brackets and quotes (RFC 7239 §6).
    node: [u8; 48],
    len: u8,
    v6: bool,
}

impl ClientText {
    /// An IPv4 address mapped into IPv6 is written as IPv4.
    pub fn new(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let mut node = [0; 48];
        let mut rest = &mut node[..];
        let written = match address {
            IpAddr::V4(v4) => write!(rest, "{v4}"),
            IpAddr::V6(v6) => write!(rest, "\"[{v6}]\""),
        };
        written.expect("an address has 45 characters at most");
        let len = 48 - rest.len();
        Self { node, len: len as u8, v6: address.is_ipv6() }
    }

    fn node(&self) -> &[u8] {
        &self.node[..usize::from(self.len)]
    }

    fn address(&self) -> &[u8] {
        let node = self.node();
        if self.v6 { &node[2..node.len() - 2] } else { node }
    }
}

/// What is said to a member about where a request came from.
///
/// `X-Forwarded-For` and `Forwarded` get this client appended to what a trusted client sent; what others sent is
/// replaced. `X-Forwarded-Proto` and `-Host` describe the first hop: a trusted client's are kept, since servers
/// don't read lists there. Other `X-Forwarded-…` fields and X-Real-IP pass from trusted clients only.
#[derive(Debug, Clone, Copy)]
pub struct Forwarding<'a> {
    pub client: &'a ClientText,
    /// Whether what this client says about earlier hops is believed.
    pub trusted: bool,
    /// `http` or `https`: how the client reached us.
    pub proto: &'static str,
}

/// A provenance field of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Provenance {
    pub field: Field,
    pub value: Span,
    pub line: Span,
}

impl Forwarding<'_> {
    /// Appends the provenance lines. `host` is as the client sent it, perhaps empty, its `host[:port]` known to be valid.
    pub(super) fn render(&self, buffer: &[u8], sent: &[Provenance], host: &[u8], out: &mut Vec<u8>) {
        let sent = if self.trusted { sent } else { &[] };
        let earlier = |field: Field, out: &mut Vec<u8>| {
            let before = out.len();
            for provenance in sent.iter().filter(|sent| sent.field == field && !sent.value.is_empty()) {
                if out.len() > before {
                    out.extend_from_slice(b", ");
                }
                out.extend_from_slice(provenance.value.of(buffer));
            }
            out.len() > before
        };

        out.extend_from_slice(b"X-Forwarded-For: ");
        if earlier(Field::ForwardedFor, out) {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(self.client.address());
        out.extend_from_slice(b"\r\n");

        out.extend_from_slice(b"X-Forwarded-Proto: ");
        if !earlier(Field::ForwardedProto, out) {
            out.extend_from_slice(self.proto.as_bytes());
        }
        out.extend_from_slice(b"\r\n");

        if !host.is_empty() {
            out.extend_from_slice(b"X-Forwarded-Host: ");
            if !earlier(Field::ForwardedHost, out) {
                out.extend_from_slice(host);
            }
            out.extend_from_slice(b"\r\n");
        }

        out.extend_from_slice(b"Forwarded: ");
        if earlier(Field::Forwarded, out) {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(b"for=");
        out.extend_from_slice(self.client.node());
        if host.iter().any(|byte| matches!(byte, b':' | b'[')) {
            out.extend_from_slice(b";host=\"");
            out.extend_from_slice(host);
            out.push(b'"');
        } else if !host.is_empty() {
            out.extend_from_slice(b";host=");
            out.extend_from_slice(host);
        }
        out.extend_from_slice(b";proto=");
        out.extend_from_slice(self.proto.as_bytes());
        out.extend_from_slice(b"\r\n");

        for provenance in sent.iter().filter(|sent| sent.field == Field::ForwardedOther) {
            out.extend_from_slice(provenance.line.of(buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_written_as_each_field_wants_it() {
        for (address, plain, node) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1", "\"[2001:db8::1]\""),
            (
                "2001:db80:1111:2222:3333:4444:5555:6666",
                "2001:db80:1111:2222:3333:4444:5555:6666",
                "\"[2001:db80:1111:2222:3333:4444:5555:6666]\"",
            ),
        ] {
            let client = ClientText::new(address.parse().unwrap());
            assert_eq!(client.address(), plain.as_bytes());
            assert_eq!(client.node(), node.as_bytes());
        }
    }
}
