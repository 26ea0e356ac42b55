//! VRRP packets: advertisements to bytes and back, with everything that must be refused refused (RFC 9568 §5 and §7.1,
//! RFC 3768 §5 and §7.1, and what keepalived does where they leave it open).
//!
//! ```text
//! version 4 bits, type 4 bits (1) · router id · priority · number of addresses
//! version 2: authentication type · interval in seconds      version 3: 4 reserved bits · interval in 12 bits of 1/100 s
//! checksum · addresses · version 2: 8 bytes of authentication · with keys: a trailer (see [`crate::auth`])
//! ```
//!
//! No I/O in here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::time::{Duration, SystemTime};

use nines_control::vrrp::Advertisement;
use nines_system::{VrrpAuthentication, VrrpChecksum, VrrpVersion};

use crate::auth::{Authenticator, Bound, TRAILER};
use crate::checksum::Checksum;

/// The protocol's number in IP headers.
pub const PROTOCOL: u8 = 112;
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// Of every packet that did not pass a router.
pub const TTL: u8 = 255;
/// The longest packet that can be right: 255 IPv6 addresses and a trailer.
pub const LONGEST: usize = HEADER + 255 * 16 + PASSWORD + TRAILER;

const HEADER: usize = 8;
/// Authentication bytes that end every packet of version 2.
const PASSWORD: usize = 8;
const ADVERTISEMENT: u8 = 1;
pub(crate) const CHECKSUM: Range<usize> = 6..8;
const NO_AUTHENTICATION: u8 = 0;
const SIMPLE_PASSWORD: u8 = 1;
/// The most that 12 bits of hundredths of a second hold.
const LONGEST_INTERVAL: u16 = 0x0fff;

/// What one virtual router's packets are like.
#[derive(Debug, Clone, PartialEq)]
pub struct Wire {
    pub version: VrrpVersion,
    pub router_id: u8,
    /// This host's own.
    pub interval: Duration,
    /// `None`: packets go to, and come by, the multicast group. Else they come from these, to this host.
    pub peers: Option<Vec<IpAddr>>,
    /// How a version 3 checksum over IPv4 is sent until a peer shows what it prefers.
    pub checksum: VrrpChecksum,
    pub authentication: VrrpAuthentication,
}

/// What arrived: the bytes after the IP header, and what that header said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    pub payload: &'a [u8],
    pub source: IpAddr,
    pub destination: IpAddr,
    /// Or hop limit.
    pub ttl: u8,
}

/// Why a packet was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refused {
    /// It ends before its own end.
    Truncated,
    /// It is longer than it says, or the IP header says another length.
    Length,
    Version,
    /// It is not an advertisement.
    Type,
    /// Of another virtual router.
    RouterId,
    /// It bears no address.
    Count,
    Checksum,
    /// It came through a router, which nothing sent to the group can.
    Ttl,
    /// Sent to this host where the group is expected, or the reverse.
    Destination,
    /// Not from one of the peers that are listed.
    Stranger,
    /// Authenticated in another way, or not at all.
    AuthenticationType,
    Password,
    /// Signed with a key of a number that is not known here.
    UnknownKey,
    Signature,
    /// Signed too long ago, or in the future: a replay, or clocks that disagree.
    Stale,
    /// Signed once and received twice.
    Replay,
    /// Not the own interval (version 2), or none at all.
    Interval,
}

impl Refused {
    pub const ALL: [Self; 17] = [
        Self::Truncated,
        Self::Length,
        Self::Version,
        Self::Type,
        Self::RouterId,
        Self::Count,
        Self::Checksum,
        Self::Ttl,
        Self::Destination,
        Self::Stranger,
        Self::AuthenticationType,
        Self::Password,
        Self::UnknownKey,
        Self::Signature,
        Self::Stale,
        Self::Replay,
        Self::Interval,
    ];

    /// The reason as it stands in status and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Length => "length",
            Self::Version => "version",
            Self::Type => "type",
            Self::RouterId => "router-id",
            Self::Count => "count",
            Self::Checksum => "checksum",
            Self::Ttl => "ttl",
            Self::Destination => "destination",
            Self::Stranger => "stranger",
            Self::AuthenticationType => "authentication-type",
            Self::Password => "password",
            Self::UnknownKey => "unknown-key",
            Self::Signature => "signature",
            Self::Stale => "stale",
            Self::Replay => "replay",
            Self::Interval => "interval",
        }
    }
}

/// Which virtual router of how many a payload is for, before anything about it is known to be right.
pub fn router_id(payload: &[u8]) -> Option<u8> {
    payload.get(1).copied()
}

/// Takes an IPv4 packet apart, as a raw socket gives it.
///
/// # Errors
/// [`Refused::Truncated`] and [`Refused::Length`].
pub fn ipv4(bytes: &[u8]) -> Result<Packet<'_>, Refused> {
    let header = bytes.first_chunk::<20>().ok_or(Refused::Truncated)?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_length < header.len() {
        return Err(Refused::Length);
    }
    let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let packet = |payload| Packet {
        payload,
        source: address(12).into(),
        destination: address(16).into(),
        ttl: header[8],
    };
    match total.cmp(&bytes.len()) {
        std::cmp::Ordering::Greater => Err(Refused::Truncated),
        std::cmp::Ordering::Less => Err(Refused::Length),
        std::cmp::Ordering::Equal => bytes.get(header_length..).map(packet).ok_or(Refused::Truncated),
    }
}

/// One virtual router's side of the wire: what it is like, and what must be remembered from packet to packet.
pub struct Codec {
    wire: Wire,
    dialect: VrrpChecksum,
    authenticator: Option<Authenticator>,
}

impl Codec {
    pub fn new(wire: Wire) -> Self {
        let authenticator = match &wire.authentication {
            VrrpAuthentication::Keys(keys) => Some(Authenticator::new(keys, wire.interval)),
            VrrpAuthentication::None | VrrpAuthentication::Password(_) => None,
        };
        Self { dialect: wire.checksum, wire, authenticator }
    }

    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// How version 3 checksums over IPv4 are sent now: as the last accepted packet had it.
    pub fn dialect(&self) -> VrrpChecksum {
        self.dialect
    }

    /// The bytes after the IP header, for one destination: the checksum covers it. Addresses of the other family are left
    /// out, and so are those past the 255th.
    pub fn encode(&mut self, advertisement: &Advertisement, path: Path, now: SystemTime) -> Vec<u8> {
        let v6 = path.destination.is_ipv6();
        let addresses: Vec<IpAddr> = advertisement
            .addresses
            .iter()
            .copied()
            .filter(|address| address.is_ipv6() == v6)
            .take(255)
            .collect();
        let v2 = self.wire.version == VrrpVersion::V2;
        let (fourth, fifth) = if v2 {
            let seconds = u8::try_from(advertisement.interval.as_secs().clamp(1, 255)).unwrap_or(u8::MAX);
            let password = matches!(self.wire.authentication, VrrpAuthentication::Password(_));
            (if password { SIMPLE_PASSWORD } else { NO_AUTHENTICATION }, seconds)
        } else {
            let centiseconds = advertisement.interval.as_millis() / 10;
            let [high, low] =
                u16::try_from(centiseconds).unwrap_or(u16::MAX).clamp(1, LONGEST_INTERVAL).to_be_bytes();
            (high, low)
        };
        let mut bytes = Vec::with_capacity(LONGEST.min(HEADER + addresses.len() * 16 + PASSWORD + TRAILER));
        bytes.extend_from_slice(&[
            self.version() << 4 | ADVERTISEMENT,
            advertisement.router_id,
            advertisement.priority,
            u8::try_from(addresses.len()).unwrap_or(u8::MAX),
            fourth,
            fifth,
            0,
            0,
        ]);
        for address in addresses {
            match address {
                IpAddr::V4(v4) => bytes.extend_from_slice(&v4.octets()),
                IpAddr::V6(v6) => bytes.extend_from_slice(&v6.octets()),
            }
        }
        if v2 {
            bytes.extend_from_slice(&self.password());
        }
        let message = bytes.len();
        if let Some(authenticator) = &mut self.authenticator {
            let version = if v2 { 2 } else { 3 };
            let bound = Bound { version, router_id: advertisement.router_id, source: path.source };
            authenticator.sign(&mut bytes, &bound, now);
        }
        let sum = self.sum(&bytes, message, path, self.dialect).finish();
        bytes[CHECKSUM].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// The advertisement in a packet, if everything about it is right.
    ///
    /// # Errors
    /// The first thing that is not. Nothing that is refused leaves a trace here.
    pub fn decode(&mut self, packet: &Packet<'_>, now: SystemTime) -> Result<Advertisement, Refused> {
        let bytes = packet.payload;
        let v6 = packet.destination.is_ipv6();
        let header = bytes.first_chunk::<HEADER>().ok_or(Refused::Truncated)?;
        let [first, router_id, priority, count, fourth, fifth, ..] = *header;
        if first >> 4 != self.version() || packet.source.is_ipv6() != v6 || (v6 && first >> 4 == 2) {
            return Err(Refused::Version);
        }
        if first & 0x0f != ADVERTISEMENT {
            return Err(Refused::Type);
        }
        if router_id != self.wire.router_id {
            return Err(Refused::RouterId);
        }
        if count == 0 {
            return Err(Refused::Count);
        }
        self.check_way(packet)?;
        let message = self.check_length(bytes.len(), count, v6)?;
        let path = Path { source: packet.source, destination: packet.destination };
        let dialect = self.check_sum(bytes, message, path)?;
        let number = self.check_authentication(bytes, message, packet.source, now)?;
        let interval = self.interval(fourth, fifth)?;

        self.dialect = dialect;
        if let Some((authenticator, number)) = self.authenticator.as_mut().zip(number) {
            authenticator.accept(packet.source, number);
        }
        let addresses = &bytes[HEADER..HEADER + usize::from(count) * address_length(v6)];
        Ok(Advertisement {
            version: self.wire.version,
            router_id,
            priority,
            interval,
            addresses: read_addresses(addresses, v6),
        })
    }

    fn version(&self) -> u8 {
        match self.wire.version {
            VrrpVersion::V2 => 2,
            VrrpVersion::V3 => 3,
        }
    }

    /// Where it came from, and how.
    fn check_way(&self, packet: &Packet<'_>) -> Result<(), Refused> {
        let group = packet.destination == GROUP_V4 || packet.destination == GROUP_V6;
        match &self.wire.peers {
            None if !group => Err(Refused::Destination),
            None if packet.ttl != TTL => Err(Refused::Ttl),
            None => Ok(()),
            Some(_) if packet.destination.is_multicast() => Err(Refused::Destination),
            // Peers may be behind a router, and keepalived sends such packets over IPv6 with the host's usual hop limit.
            Some(peers) if peers.contains(&packet.source) => Ok(()),
            Some(_) => Err(Refused::Stranger),
        }
    }

    /// Returns where the message ends, and the trailer begins if there is one.
    fn check_length(&self, length: usize, count: u8, v6: bool) -> Result<usize, Refused> {
        let password = if self.wire.version == VrrpVersion::V2 { PASSWORD } else { 0 };
        let message = HEADER + usize::from(count) * address_length(v6) + password;
        let trailer = if self.authenticator.is_some() { TRAILER } else { 0 };
        if length == message + trailer {
            Ok(message)
        } else if length == message || length == message + TRAILER {
            Err(Refused::AuthenticationType)
        } else if length < message + trailer {
            Err(Refused::Truncated)
        } else {
            Err(Refused::Length)
        }
    }

    /// Returns the dialect in which it is right.
    fn check_sum(&self, bytes: &[u8], message: usize, path: Path) -> Result<VrrpChecksum, Refused> {
        let other = match self.dialect {
            VrrpChecksum::PseudoHeader => VrrpChecksum::Plain,
            VrrpChecksum::Plain => VrrpChecksum::PseudoHeader,
        };
        let right = |dialect: &VrrpChecksum| self.sum(bytes, message, path, *dialect).finish() == 0;
        [self.dialect, other].into_iter().find(right).ok_or(Refused::Checksum)
    }

    /// The sum over what the checksum covers: with IPv4 the message, with IPv6 a trailer too (it is a kernel's there).
    fn sum(&self, bytes: &[u8], message: usize, path: Path, dialect: VrrpChecksum) -> Checksum {
        let mut sum = Checksum::default();
        match (path.source, path.destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                sum.add_pseudo_header_v6(source, destination, PROTOCOL, bytes.len());
                sum.add(bytes);
            }
            (source, destination) => {
                if let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, destination)
                    && self.wire.version == VrrpVersion::V3
                    && dialect == VrrpChecksum::PseudoHeader
                {
                    sum.add_pseudo_header_v4(source, destination, PROTOCOL, message);
                }
                sum.add(&bytes[..message]);
            }
        }
        sum
    }

    fn check_authentication(
        &self,
        bytes: &[u8],
        message: usize,
        source: IpAddr,
        now: SystemTime,
    ) -> Result<Option<crate::auth::Number>, Refused> {
        let password = matches!(self.wire.authentication, VrrpAuthentication::Password(_));
        if self.wire.version == VrrpVersion::V2 {
            if bytes[4] != if password { SIMPLE_PASSWORD } else { NO_AUTHENTICATION } {
                return Err(Refused::AuthenticationType);
            }
            if password && !same(&bytes[message - PASSWORD..message], &self.password()) {
                return Err(Refused::Password);
            }
        }
        let Some(authenticator) = &self.authenticator else { return Ok(None) };
        let bound = Bound { version: self.version(), router_id: bytes[1], source };
        authenticator.verify(bytes, &bound, now).map(Some)
    }

    /// A backup of version 3 goes by its master's interval; in version 2 all must have the same.
    fn interval(&self, fourth: u8, fifth: u8) -> Result<Duration, Refused> {
        match self.wire.version {
            VrrpVersion::V2 => {
                let interval = Duration::from_secs(fifth.into());
                (interval == self.wire.interval).then_some(interval).ok_or(Refused::Interval)
            }
            VrrpVersion::V3 => {
                let centiseconds = u16::from_be_bytes([fourth, fifth]) & LONGEST_INTERVAL;
                let interval = Duration::from_millis(u64::from(centiseconds) * 10);
                (centiseconds > 0).then_some(interval).ok_or(Refused::Interval)
            }
        }
    }

    /// Filled up with zeros; all zeros without one.
    fn password(&self) -> [u8; PASSWORD] {
        let mut password = [0; PASSWORD];
        if let VrrpAuthentication::Password(text) = &self.wire.authentication {
            let length = text.len().min(PASSWORD);
            password[..length].copy_from_slice(&text.as_bytes()[..length]);
        }
        password
    }
}

/// Whence and where to, which checksums and signatures cover. Both of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    pub source: IpAddr,
    pub destination: IpAddr,
}

/// Without telling by its time where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn address_length(v6: bool) -> usize {
    if v6 { 16 } else { 4 }
}

fn read_addresses(bytes: &[u8], v6: bool) -> Vec<IpAddr> {
    if v6 {
        bytes.as_chunks::<16>().0.iter().map(|octets| IpAddr::from(*octets)).collect()
    } else {
        bytes.as_chunks::<4>().0.iter().map(|octets| IpAddr::from(*octets)).collect()
    }
}

#[cfg(test)]
mod tests;
