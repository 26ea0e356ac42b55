//! The Internet checksum (RFC 1071).

use std::net::{Ipv4Addr, Ipv6Addr};

/// A sum in the making. Each piece but the last must be of an even length.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Checksum(u64);

impl Checksum {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let (pairs, odd) = bytes.as_chunks::<2>();
        self.0 += pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum::<u64>();
        self.0 += odd.iter().map(|last| u64::from(*last) << 8).sum::<u64>();
    }

    pub(crate) fn add_pseudo_header_v4(
        &mut self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        length: usize,
    ) {
        self.add(&source.octets());
        self.add(&destination.octets());
        self.0 += u64::from(protocol) + length as u64;
    }

    /// RFC 8200 §8.1.
    pub(crate) fn add_pseudo_header_v6(
        &mut self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        protocol: u8,
        length: usize,
    ) {
        self.add(&source.octets());
        self.add(&destination.octets());
        self.0 += u64::from(protocol) + length as u64;
    }

    /// What goes into the checksum's field; 0 if that field was summed and is right.
    pub(crate) fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_rfc_1071() {
        let mut sum = Checksum::default();
        sum.add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), !0xddf2);
    }

    #[test]
    fn an_odd_last_byte_counts_as_the_high_one() {
        let mut odd = Checksum::default();
        odd.add(&[1, 2, 3]);
        let mut even = Checksum::default();
        even.add(&[1, 2, 3, 0]);
        assert_eq!(odd.finish(), even.finish());
    }
}
