//! What doctors say of links that carry everything, a part, or what they should not.

use std::net::Ipv4Addr;

use nines_control::status::Standing;
use nines_lab::{Direction, Inside};
use nines_system::VrrpAuthentication;

use crate::world::{Speaker, USUAL, World, file, hold};

pub(crate) fn both_ways(inside: &Inside) {
    let mut world = World::new(inside, &file(USUAL));
    for report in world.both() {
        assert_eq!(report.ways(), (Some(true), Some(true)), "{report:#?}");
        report.says("ok", "and this host hear each other");
        report.says("ok", "is this machine: 10.0.1.1");
        report.says("note", "this host takes no part now");
        assert_eq!(report.code, Some(0), "{report:#?}");
    }
}

pub(crate) fn one_way(inside: &Inside) {
    let mut world = World::new(inside, &file(USUAL));
    world.cut("lb1", Direction::Out);
    let [lb1, lb2] = world.both();
    assert_eq!(lb1.ways(), (Some(true), Some(false)), "{lb1:#?}");
    lb1.says("wrong", "multicast from this host to lb2 (10.0.1.11) is lost");
    assert_eq!(lb1.code, Some(1));
    assert_eq!(lb2.ways(), (None, None), "who hears nothing can't know why: {lb2:#?}");

    world.heal("lb1");
    world.cut("lb1", Direction::In);
    let [lb1, lb2] = world.both();
    assert_eq!(lb1.ways(), (None, None), "{lb1:#?}");
    assert_eq!(lb2.ways(), (Some(true), Some(false)), "{lb2:#?}");
    lb2.says("wrong", "multicast from this host to lb1 (10.0.1.10) is lost");
}

pub(crate) fn split(inside: &Inside) {
    let mut world = World::new(inside, &file(USUAL));
    world.split();
    for report in world.both() {
        assert_eq!(report.ways(), (None, None), "{report:#?}");
        report.says("warning", "is not heard and does not answer ARP on this link");
    }
}

pub(crate) fn no_multicast(inside: &Inside) {
    let mut world = World::new(inside, &file(USUAL));
    world.drop_multicast("lb2");
    let [lb1, lb2] = world.both();
    assert_eq!(lb1.ways(), (Some(true), Some(false)), "{lb1:#?}");
    lb1.says("wrong", "multicast from this host to lb2 (10.0.1.11) is lost");
    assert_eq!(lb2.ways(), (Some(false), Some(true)), "{lb2:#?}");
    lb2.says("wrong", "multicast from lb1 (10.0.1.10) to this host is lost");
}

pub(crate) fn unicast(inside: &Inside) {
    let mut world =
        World::new(inside, &file("{ address = \"10.0.1.100\", interface = \"eth0\", unicast = true }"));
    world.drop_multicast("lb2");
    for report in world.both() {
        assert_eq!(report.ways(), (Some(true), Some(true)), "{report:#?}");
    }
}

pub(crate) fn ipv6(inside: &Inside) {
    let v6 = file("{ address = \"fd00:1::100\", interface = \"eth0\" }").replace("10.0.1.", "fd00:1::");
    let mut world = World::new(inside, &v6);
    for report in world.both() {
        assert_eq!(report.ways(), (Some(true), Some(true)), "{report:#?}");
        report.says("ok", "IPv6 is on at eth0");
    }
}

pub(crate) fn stranger(inside: &Inside) {
    // lb3 is on the segment, for another address.
    let text = file(
        "{ address = \"10.0.1.100\", router_id = 51, interface = \"eth0\", hosts = [\"lb1\", \"lb2\"] }, \
         { address = \"10.0.1.101\", router_id = 52, interface = \"eth0\", hosts = [\"lb1\", \"lb3\"] }",
    );
    let text = text.replace("lb2 = \"10.0.1.11\"", "lb2 = \"10.0.1.11\"\nlb3 = \"10.0.1.12\"");
    let text = text.replace("hosts = [\"lb1\", \"lb2\"]\n", "hosts = [\"lb1\", \"lb2\", \"lb3\"]\n");
    let mut world = World::new(inside, &text);
    let (candidate, other) = (world.place("lb2"), world.place("lb3"));
    let lb1 = |world: &mut World| world.doctors(&[("lb1", "lb1")]).remove(0);

    let speaker = Speaker::start(&candidate, 51, &["10.0.9.9"], VrrpAuthentication::None);
    lb1(&mut world).says("warning", "lb2 advertises other addresses: 10.0.9.9");
    drop(speaker);
    let speaker = Speaker::start(&other, 51, &["10.0.9.9"], VrrpAuthentication::None);
    let report = lb1(&mut world);
    report.says("wrong", "another VRRP speaker with our router id 51: 10.0.1.12, for 10.0.9.9");
    assert_eq!(report.code, Some(1));
    drop(speaker);
    let speaker = Speaker::start(&other, 51, &["10.0.1.100"], VrrpAuthentication::None);
    let text = "for the same addresses: 10.0.1.12, with priority 190, which is no candidate";
    lb1(&mut world).says("warning", text);
    drop(speaker);
    let _speaker = Speaker::start(&other, 77, &["10.0.9.9"], VrrpAuthentication::None);
    lb1(&mut world).says("note", "other virtual routers are on its link: router id 77");
}

pub(crate) fn refused(inside: &Inside) {
    let password = |password: &str| {
        file(&format!(
            "{{ address = \"10.0.1.100\", router_id = 51, version = 2, interval = \"1s\", interface \
             = \"eth0\", password = \"{password}\" }}"
        ))
    };
    let mut world = World::new(inside, &password("right"));
    let lb2 = world.place("lb2");
    let speaker = Speaker::start(&lb2, 51, &["10.0.1.100"], VrrpAuthentication::Password("wrong".to_owned()));
    let [lb1] = world.doctors(&[("lb1", "lb1")]).try_into().unwrap();
    lb1.says("wrong", "what lb2 advertises is refused");
    lb1.says("wrong", "its password is another");
    drop(speaker);
    let _speaker =
        Speaker::start(&lb2, 51, &["10.0.1.100"], VrrpAuthentication::Password("right".to_owned()));
    let [lb1] = world.doctors(&[("lb1", "lb1")]).try_into().unwrap();
    assert_eq!(lb1.ways(), (Some(true), None), "{lb1:#?}");
    lb1.says("note", "lb2 (10.0.1.11) is heard: it advertises with priority 190 every 1.0 s");
}

pub(crate) fn doubles(inside: &Inside) {
    let mut world = World::new(inside, &file(USUAL));
    let [lb1, _] = world.doctors(&[("lb1", "lb1"), ("lb2", "lb1")]).try_into().unwrap();
    lb1.says("wrong", "another machine, 10.0.1.11, says that it is lb1 too");
}

pub(crate) fn answers(inside: &Inside) {
    let mut world = World::new(inside, &file(USUAL));
    let address = Ipv4Addr::new(10, 0, 1, 100);
    let lb1 = |world: &mut World| world.doctors(&[("lb1", "lb1")]).remove(0);
    lb1(&mut world).says("note", "nobody else answers for 10.0.1.100");
    hold(&world.place("lb2"), address);
    lb1(&mut world).says("ok", "10.0.1.100 is answered for by lb2 (");
}

/// lb1 answers, lb2 stands by.
fn served(inside: &Inside) -> World {
    let mut world = World::new(inside, &file(USUAL));
    world.daemon("lb1");
    world.until("lb1", Standing::Master);
    world.daemon("lb2");
    world.until("lb2", Standing::Backup);
    world
}

pub(crate) fn daemons(inside: &Inside) {
    let mut world = served(inside);
    let [lb1, lb2] = world.both();
    for (report, host) in [(&lb1, "lb1"), (&lb2, "lb2")] {
        assert_eq!(report.ways(), (Some(true), Some(true)), "{report:#?}");
        assert_eq!(report.code, Some(0), "{report:#?}");
        report.says("ok", &format!("{host} runs here, pid "));
        report.says("ok", "the daemon listens on port 80");
        report.says("ok", "the running daemon (pid ");
    }
    lb1.says("ok", "10.0.1.100 is answered for by this host alone");
    lb2.says("ok", "10.0.1.100 is answered for by lb1 (");
    // Alone, a standby says what it can know.
    let report = world.doctors(&[("lb2", "lb2")]).remove(0);
    assert_eq!(report.ways(), (Some(true), None), "{report:#?}");
    report.says("note", "lb1 (10.0.1.10) is heard: it advertises with priority ");
}

pub(crate) fn unheard_master(inside: &Inside) {
    let mut world = served(inside);
    world.drop_multicast("lb2");
    world.until("lb2", Standing::Master);
    let report = world.doctors(&[("lb1", "lb1")]).remove(0);
    assert_eq!(report.ways(), (Some(true), Some(false)), "{report:#?}");
    report.says(
        "wrong",
        "it goes on advertising a lower priority, which it would not if it heard \
     this host",
    );
    report.says("wrong", "10.0.1.100 is answered for by this host and by lb2");
}

pub(crate) fn deaf_master(inside: &Inside) {
    let mut world = served(inside);
    world.drop_multicast("lb2");
    world.until("lb2", Standing::Master);
    let report = world.doctors(&[("lb2", "lb2")]).remove(0);
    assert_eq!(report.ways(), (Some(false), None), "{report:#?}");
    report.says(
        "wrong",
        "multicast from lb1 (10.0.1.10) to this host is lost: it answers for the address as this",
    );
    report.says("wrong", "10.0.1.100 is answered for by this host and by lb1");
}
