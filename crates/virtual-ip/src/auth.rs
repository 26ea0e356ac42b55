//! Authenticated advertisements: keepalived's `auth_hmac`, a trailer of 28 bytes after the VRRP message.
//!
//! ```text
//! type (1) · key id · 2 reserved · seconds u32 · fraction u16 · counter u16 · first 16 bytes of HMAC-SHA256
//! ```
//!
//! The HMAC covers a pseudo-header of 20 bytes (family, version, router id, 0, source address padded to 16 bytes) and
//! everything from the message's first byte on, with the checksum and the HMAC itself read as zero. So one signature
//! holds for every destination. Seconds, fraction and counter are one growing number, bound to the wall clock: what is
//! older or newer than the window is refused, and so is what does not grow.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use nines_system::VrrpKey;
use sha2::Sha256;

use crate::packet::{CHECKSUM, Refused};

/// Bytes of the trailer.
pub const TRAILER: usize = 28;
const HMAC: usize = 16;
/// HMAC-SHA256, cut to 128 bits; the only type there is.
const TYPE: u8 = 1;
/// Sources whose last number is remembered; past it the one heard least recently is forgotten.
const SOURCES: usize = 16;
const SMALLEST_WINDOW: Duration = Duration::from_secs(5);

/// What the signature binds to the message besides its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) version: u8,
    pub(crate) router_id: u8,
    pub(crate) source: IpAddr,
}

impl Bound {
    fn pseudo_header(&self) -> [u8; 20] {
        let mut header = [0; 20];
        header[1] = self.version;
        header[2] = self.router_id;
        match self.source {
            IpAddr::V4(v4) => {
                header[0] = 4;
                header[4..8].copy_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                header[0] = 6;
                header[4..].copy_from_slice(&v6.octets());
            }
        }
        header
    }
}

struct Key {
    id: u8,
    ready: Hmac<Sha256>,
}

/// One virtual router's keys, the numbers it has used, and the last one of every source.
pub(crate) struct Authenticator {
    /// The first signs. Never empty, but for a model that no file can give.
    keys: Vec<Key>,
    window: i64,
    sent: u64,
    heard: Vec<Heard>,
    clock: u64,
}

struct Heard {
    source: IpAddr,
    number: u64,
    /// The greater, the more recent.
    at: u64,
}

impl Authenticator {
    pub(crate) fn new(keys: &[VrrpKey], interval: Duration) -> Self {
        let ready = |key: &VrrpKey| {
            // A key of any length is taken (RFC 2104), so there is always one.
            Hmac::new_from_slice(&key_bytes(&key.key)).ok().map(|ready| Key { id: key.id, ready })
        };
        let window = interval.saturating_mul(3).max(SMALLEST_WINDOW);
        let seconds = window.as_secs().saturating_add(u64::from(window.subsec_nanos() > 0));
        Self {
            keys: keys.iter().filter_map(ready).collect(),
            window: i64::try_from(seconds).unwrap_or(i64::MAX),
            sent: 0,
            heard: Vec::new(),
            clock: 0,
        }
    }

    /// Appends the trailer to a message, whose checksum need not be there yet.
    pub(crate) fn sign(&mut self, message: &mut Vec<u8>, bound: &Bound, now: SystemTime) {
        let number = self.next_number(now);
        let Some(key) = self.keys.first() else { return };
        message.extend_from_slice(&[TYPE, key.id, 0, 0]);
        message.extend_from_slice(&number.to_be_bytes());
        let full = mac(key, bound, message).finalize().into_bytes();
        message.extend_from_slice(&full[..HMAC]);
    }

    /// Checks the trailer at the end of `packet`. Its number counts as used only after [`Self::accept`].
    pub(crate) fn verify(&self, packet: &[u8], bound: &Bound, now: SystemTime) -> Result<Number, Refused> {
        let Some((signed, hmac)) = packet.split_last_chunk::<HMAC>() else { return Err(Refused::Truncated) };
        let Some((_, head)) = signed.split_last_chunk::<12>() else { return Err(Refused::Truncated) };
        let [kind, id, reserved @ .., n0, n1, n2, n3, n4, n5, n6, n7] = *head;
        if kind != TYPE || reserved != [0, 0] {
            return Err(Refused::AuthenticationType);
        }
        let number = u64::from_be_bytes([n0, n1, n2, n3, n4, n5, n6, n7]);
        // First the cheap check: a flood of old packets costs no HMAC each.
        if self.is_stale(number, now) {
            return Err(Refused::Stale);
        }
        let key = self.keys.iter().find(|key| key.id == id).ok_or(Refused::UnknownKey)?;
        mac(key, bound, signed).verify_truncated_left(hmac).map_err(|_| Refused::Signature)?;
        let last = self.heard.iter().find(|heard| heard.source == bound.source);
        match last {
            // A number from another time (a clock was set) orders nothing.
            Some(last) if !self.is_stale(last.number, now) && !is_after(number, last.number) => {
                Err(Refused::Replay)
            }
            _ => Ok(Number(number)),
        }
    }

    /// What bears this number is accepted, once.
    pub(crate) fn accept(&mut self, source: IpAddr, number: Number) {
        self.clock += 1;
        let heard = Heard { source, number: number.0, at: self.clock };
        if let Some(known) = self.heard.iter_mut().find(|known| known.source == source) {
            *known = heard;
        } else if self.heard.len() < SOURCES {
            self.heard.push(heard);
        } else if let Some(oldest) = self.heard.iter_mut().min_by_key(|known| known.at) {
            *oldest = heard;
        }
    }

    /// The clock, or one more than the last where the clock does not advance. A clock that was set back by more than
    /// the window is followed, as others would refuse what is so far ahead of theirs.
    fn next_number(&mut self, now: SystemTime) -> u64 {
        let clock = number_at(now);
        self.sent = if is_after(clock, self.sent) || distance(self.sent, clock) > self.window {
            clock
        } else {
            self.sent.wrapping_add(1)
        };
        self.sent
    }

    fn is_stale(&self, number: u64, now: SystemTime) -> bool {
        distance(number, number_at(now)).abs() > self.window
    }
}

/// A number that [`Authenticator::verify`] has found right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(u64);

/// Seconds in the upper half, then a fraction of 1/65536 s, then a counter.
fn number_at(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 16) / 1_000_000_000;
    // The seconds wrap in 2106, which serial arithmetic takes.
    (since.as_secs() << 32) | (fraction << 16)
}

/// Serial number arithmetic (RFC 1982).
fn is_after(a: u64, b: u64) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

/// Whole seconds from `b` to `a`.
fn distance(a: u64, b: u64) -> i64 {
    let seconds = |number: u64| u32::try_from(number >> 32).unwrap_or(u32::MAX);
    i64::from(seconds(a).wrapping_sub(seconds(b)).cast_signed())
}

/// `signed` ends before the HMAC.
fn mac(key: &Key, bound: &Bound, signed: &[u8]) -> Hmac<Sha256> {
    let mut mac = key.ready.clone();
    mac.update(&bound.pseudo_header());
    let (before, rest) = signed.split_at(CHECKSUM.start.min(signed.len()));
    mac.update(before);
    mac.update(&[0, 0]);
    mac.update(rest.get(CHECKSUM.len()..).unwrap_or_default());
    mac.update(&[0; HMAC]);
    mac
}

/// A key as keepalived writes it: `hex:` and digits, or else the characters themselves.
fn key_bytes(text: &str) -> Vec<u8> {
    let hex = text.strip_prefix("hex:").and_then(|digits| {
        let byte = |pair: &[u8]| match *pair {
            [high, low] => Some(16 * hex_digit(high)? + hex_digit(low)?),
            _ => None,
        };
        digits.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>()
    });
    hex.unwrap_or_else(|| text.as_bytes().to_vec())
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn authenticator() -> Authenticator {
        let key = |id, key: &str| VrrpKey { id, key: key.into() };
        Authenticator::new(&[key(7, "a new key"), key(3, "the key before")], Duration::from_secs(1))
    }

    fn bound(last: u8) -> Bound {
        Bound { version: 3, router_id: 51, source: [192, 0, 2, last].into() }
    }

    #[test]
    fn numbers_grow_even_when_the_clock_does_not() {
        let mut it = authenticator();
        let numbers: Vec<u64> = [at(100), at(100), at(99), at(101)].map(|now| it.next_number(now)).into();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        // Set back by an hour: else nobody would accept a packet for that long.
        assert_eq!(it.next_number(at(50)), number_at(at(50)));
    }

    #[test]
    fn a_key_in_hex_is_the_bytes_that_it_says() {
        assert_eq!(key_bytes("hex:00ff10"), [0, 255, 16]);
        assert_eq!(key_bytes("hex:00f"), b"hex:00f");
        assert_eq!(key_bytes("hex:+f"), b"hex:+f");
        assert_eq!(key_bytes("plain"), b"plain");
    }

    #[test]
    fn no_more_sources_are_remembered_than_the_bound_and_the_last_ones_are() {
        let mut it = authenticator();
        for last in 0..=255 {
            it.accept(bound(last).source, Number(number_at(at(100))));
        }
        assert_eq!(it.heard.len(), SOURCES);
        let mut message = vec![0; 12];
        authenticator().sign(&mut message, &bound(255), at(100));
        assert!(matches!(it.verify(&message, &bound(255), at(100)), Err(Refused::Replay)));
    }

    #[test]
    fn a_mark_from_another_time_does_not_shut_its_source_out() {
        let mut it = authenticator();
        it.accept(bound(1).source, Number(number_at(at(10_000))));
        let mut message = vec![0; 12];
        authenticator().sign(&mut message, &bound(1), at(100));
        assert!(it.verify(&message, &bound(1), at(100)).is_ok());
    }

    #[test]
    fn every_key_is_accepted_and_the_first_one_signs() {
        let mut old =
            Authenticator::new(&[VrrpKey { id: 3, key: "the key before".into() }], Duration::from_secs(1));
        let mut message = vec![0; 12];
        old.sign(&mut message, &bound(1), at(100));
        assert_eq!(message[13], 3);
        assert!(authenticator().verify(&message, &bound(1), at(100)).is_ok());
        let mut message = vec![0; 12];
        authenticator().sign(&mut message, &bound(1), at(100));
        assert_eq!(message[13], 7);
        assert!(matches!(old.verify(&message, &bound(1), at(100)), Err(Refused::UnknownKey)));
    }
}
