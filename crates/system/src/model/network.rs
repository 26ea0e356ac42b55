//! Networks, by their prefixes.

use std::net::IpAddr;

/// An address prefix, `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    pub address: IpAddr,
    pub prefix: u8,
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        fn bits(address: IpAddr) -> (u128, u32) {
            match address.to_canonical() {
                IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
                IpAddr::V6(v6) => (v6.to_bits(), 128),
            }
        }
        let (network, family) = bits(self.address);
        let (candidate, other) = bits(address);
        let differing = (network ^ candidate).leading_zeros();
        family == other && differing >= u32::from(self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_own_family_only() {
        let net = |text: &str, prefix| Network { address: text.parse().unwrap(), prefix };
        let ten = net("10.0.0.0", 8);
        assert!(ten.contains("10.255.0.1".parse().unwrap()));
        assert!(ten.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!ten.contains("11.0.0.1".parse().unwrap()));
        assert!(!net("0.0.0.0", 0).contains("::1".parse().unwrap()));
        assert!(net("::", 0).contains("2001:db8::1".parse().unwrap()));
        assert!(!net("127.0.0.1", 32).contains("127.0.0.2".parse().unwrap()));
    }
}
