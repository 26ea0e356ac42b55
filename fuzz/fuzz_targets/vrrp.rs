//! VRRP packets: what is accepted means the same when it is said again, and nothing that is longer or shorter does.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use nines_system::{VrrpAuthentication, VrrpChecksum, VrrpKey, VrrpVersion};
use nines_virtual_ip::packet::{Codec, GROUP_V4, GROUP_V6, Packet, Path, Wire, ipv4};

fuzz_target!(|input: &[u8]| {
    let [choice, router_id, seconds, payload @ ..] = input else { return };
    let _ = ipv4(payload);
    let version = if choice & 1 == 0 { VrrpVersion::V3 } else { VrrpVersion::V2 };
    let v6 = choice & 2 != 0;
    let source: IpAddr = if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    let group: IpAddr = if v6 { GROUP_V6.into() } else { GROUP_V4.into() };
    let unicast = choice & 4 != 0;
    let wire = Wire {
        version,
        router_id: *router_id,
        interval: Duration::from_secs((*seconds).into()),
        peers: unicast.then(|| vec![source]),
        checksum: if choice & 8 == 0 { VrrpChecksum::PseudoHeader } else { VrrpChecksum::Plain },
        authentication: match choice >> 4 & 3 {
            0 => VrrpAuthentication::Password("password".into()),
            1 => VrrpAuthentication::Keys(vec![VrrpKey { id: 1, key: "key".into() }]),
            _ => VrrpAuthentication::None,
        },
    };
    let path = Path { source, destination: if unicast { source } else { group } };
    let packet = |payload| Packet { payload, source: path.source, destination: path.destination, ttl: 255 };
    let now = SystemTime::UNIX_EPOCH;
    let mut codec = Codec::new(wire.clone());
    let Ok(said) = codec.decode(&packet(payload), now) else { return };
    assert!(Codec::new(wire.clone()).decode(&packet(&payload[..payload.len() - 1]), now).is_err());
    let again = codec.encode(&said, path, now);
    assert_eq!(again.len(), payload.len());
    assert_eq!(Codec::new(wire).decode(&packet(&again), now), Ok(said));
});
