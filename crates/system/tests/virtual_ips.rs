//! What a virtual IP is where the file says little or nothing about it.

use std::net::IpAddr;
use std::time::Duration;

use nines_system::{System, VirtualIp, VrrpAuthentication, VrrpChecksum, VrrpKey, VrrpVersion};

/// A system with this many hosts of a load balancer, and these virtual IPs.
fn system(hosts: usize, virtual_ips: &str) -> System {
    let named: String =
        (1..=hosts).map(|n| format!("lb{n} = \"10.1.{}.{}\"\n", n / 250, n % 250 + 1)).collect();
    let list: Vec<_> = (1..=hosts).map(|n| format!("\"lb{n}\"")).collect();
    let text = format!(
        "name = \"shop\"\n[hosts]\n{named}app1 = \"10.0.1.21\"\n[load_balancers.front]\nhosts = [{}]\n\
         virtual_ips = {virtual_ips}\nlisteners = [{{ bind = \":80\", pool = \"web\" }}]\n\
         [pools.web]\nmembers = [\"app1:80\"]\n",
        list.join(", ")
    );
    nines_system::parse("shop.toml", &text).expect("a good file")
}

fn one(hosts: usize, virtual_ip: &str) -> (System, VirtualIp) {
    let system = system(hosts, &format!("[{virtual_ip}]"));
    let virtual_ip = system.load_balancers[0].virtual_ips[0].clone();
    (system, virtual_ip)
}

fn candidates(hosts: usize, virtual_ip: &str) -> Vec<(String, u8)> {
    let (system, virtual_ip) = one(hosts, virtual_ip);
    let candidates = virtual_ip.hosts.iter();
    candidates.map(|candidate| (system[candidate.host].name.clone(), candidate.priority)).collect()
}

fn named(list: &[(&str, u8)]) -> Vec<(String, u8)> {
    list.iter().map(|(name, priority)| ((*name).to_owned(), *priority)).collect()
}

#[test]
fn an_address_alone_has_every_default() {
    let short = r#""10.0.1.100""#;
    let (_, virtual_ip) = one(2, short);
    assert_eq!(virtual_ip.addresses, [IpAddr::from([10, 0, 1, 100])]);
    assert_eq!(virtual_ip.router_id, 100);
    assert_eq!(candidates(2, short), named(&[("lb1", 200), ("lb2", 190)]));
    assert_eq!(virtual_ip.interface, None);
    assert_eq!(virtual_ip.version, VrrpVersion::V3);
    assert_eq!(virtual_ip.interval, Duration::from_millis(100));
    assert_eq!(virtual_ip.preempt, Some(Duration::ZERO));
    assert_eq!(virtual_ip.unicast, None);
    assert_eq!(virtual_ip.checksum, VrrpChecksum::PseudoHeader);
    assert_eq!(virtual_ip.authentication, VrrpAuthentication::None);
    assert_eq!(virtual_ip.group, None);
    assert_eq!(one(2, r#"{ address = "10.0.1.100" }"#).1, virtual_ip);
    assert_eq!(one(2, r#"{ address = ["10.0.1.100"] }"#).1, virtual_ip);
}

#[test]
fn no_virtual_ips_are_none() {
    assert_eq!(system(2, "[]").load_balancers[0].virtual_ips, []);
}

#[test]
fn a_router_id_is_the_last_byte_of_the_first_address_and_never_0() {
    let ids = [
        (r#""10.0.1.100""#, 100),
        (r#""10.0.1.0""#, 255),
        (r#""2001:db8::1:7f""#, 127),
        (r#""2001:db8::a:0""#, 255),
        (r#"{ address = ["10.0.1.7", "10.0.1.8"] }"#, 7),
        (r#"{ address = "10.0.1.100", router_id = 51 }"#, 51),
    ];
    for (virtual_ip, id) in ids {
        assert_eq!(one(2, virtual_ip).1.router_id, id, "{virtual_ip}");
    }
}

#[test]
fn the_order_of_hosts_is_that_of_their_priorities() {
    let ordered = r#"{ address = "10.0.1.100", hosts = ["lb3", "lb1"] }"#;
    assert_eq!(candidates(3, ordered), named(&[("lb3", 200), ("lb1", 190)]));
}

#[test]
fn priorities_name_those_that_take_part_and_of_equals_the_first_comes_first() {
    let given = r#"{ address = "10.0.1.100", priorities = { lb4 = 20, lb3 = 100, lb1 = 100, lb2 = 254 } }"#;
    assert_eq!(candidates(5, given), named(&[("lb2", 254), ("lb3", 100), ("lb1", 100), ("lb4", 20)]));
}

#[test]
fn very_many_hosts_lie_closer_together_and_never_below_20() {
    let priorities = |hosts: usize| {
        candidates(hosts, r#""10.0.1.100""#).into_iter().map(|(_, priority)| priority).collect::<Vec<_>>()
    };
    assert_eq!(priorities(19).last(), Some(&20));
    assert_eq!(priorities(20)[..3], [200, 191, 182]);
    for hosts in [19, 20, 46, 181] {
        let priorities = priorities(hosts);
        assert!(priorities.is_sorted_by(|one, next| one > next), "{priorities:?}");
        assert!(priorities.iter().all(|&priority| priority >= 20), "{priorities:?}");
    }
    assert_eq!(priorities(200)[180..], [20; 20]);
}

#[test]
fn version_2_has_an_interval_of_its_own() {
    let (_, old) = one(2, r#"{ address = "10.0.1.100", version = 2 }"#);
    assert_eq!((old.version, old.interval), (VrrpVersion::V2, Duration::from_secs(1)));
    let (_, slow) = one(2, r#"{ address = "10.0.1.100", version = 2, interval = "255s" }"#);
    assert_eq!(slow.interval, Duration::from_secs(255));
    let (_, slow) = one(2, r#"{ address = "10.0.1.100", interval = "40.95s" }"#);
    assert_eq!(slow.interval, Duration::from_millis(40_950));
    let (_, fast) = one(2, r#"{ address = "10.0.1.100", interval = "10ms" }"#);
    assert_eq!(fast.interval, Duration::from_millis(10));
}

#[test]
fn who_does_not_take_back_waits_for_nothing() {
    let preempt = |said: &str| one(2, &format!("{{ address = \"10.0.1.100\", {said} }}")).1.preempt;
    assert_eq!(preempt("preempt = false"), None);
    assert_eq!(preempt("preempt = true"), Some(Duration::ZERO));
    assert_eq!(preempt("preempt_delay = \"30s\""), Some(Duration::from_secs(30)));
}

#[test]
fn unicast_is_off_or_to_the_hosts_or_to_others_besides() {
    let unicast = |said: &str| one(2, &format!("{{ address = \"10.0.1.100\", unicast = {said} }}")).1.unicast;
    assert_eq!(unicast("false"), None);
    assert_eq!(unicast("true"), Some(Vec::new()));
    assert_eq!(unicast("[]"), Some(Vec::new()));
    assert_eq!(unicast("[\"10.0.1.3\"]"), Some(vec![IpAddr::from([10, 0, 1, 3])]));
}

#[test]
fn a_password_is_for_version_2_and_keys_are_for_both() {
    let of = |said: &str| one(2, &format!("{{ address = \"10.0.1.100\", {said} }}")).1.authentication;
    assert_eq!(
        of("version = 2, password = \"secret!8\""),
        VrrpAuthentication::Password("secret!8".to_owned())
    );
    for length in [32, 64] {
        let key = "k".repeat(length);
        let said = format!("keys = [{{ id = 7, key = \"{key}\" }}, {{ id = 255, key = \"{key}\" }}]");
        let keys = VrrpAuthentication::Keys(vec![
            VrrpKey { id: 7, key: key.clone() },
            VrrpKey { id: 255, key: key.clone() },
        ]);
        assert_eq!(of(&said), keys);
        assert_eq!(of(&format!("version = 2, {said}")), keys);
    }
}
