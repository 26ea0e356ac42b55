//! Every finding, from facts that are made up: a pair of load balancers on which everything is right, and then one thing
//! is not.

mod databases;
mod fine;

use std::time::Duration;

use nines_control::status::Standing;
use nines_control::vrrp::Cause;
use nines_system::{VrrpAuthentication, VrrpKey, VrrpVersion};
use nines_virtual_ip::clock::Clock;
use nines_virtual_ip::packet::Refused;

use super::Level::{Note, Ok, Warning, Wrong};
use super::*;
use crate::commands::doctor::facts::{
    Daemon, Doctor, Link, Listener, Machine, OwnAddress, Place, Router, Speaker, Taken,
};
use fine::{fine, ip, mac, machine, speaker, status};

/// The fine facts, changed.
fn with(change: impl FnOnce(&mut Machine, &mut Place)) -> Judgement {
    let mut facts = fine();
    let Facts { machine, place } = &mut facts;
    change(machine, place.as_mut().unwrap());
    judge(&facts)
}

fn with_router(change: impl FnOnce(&mut Router)) -> Judgement {
    with(|_, place| change(&mut place.routers[0]))
}

fn with_link(change: impl FnOnce(&mut Link)) -> Judgement {
    with_router(|router| change(router.link.as_mut().unwrap()))
}

impl Judgement {
    /// That it says this; and what a warning or a wrong thing says comes with what to do.
    #[track_caller]
    fn says(&self, level: Level, part: &str) -> &Self {
        let listed: Vec<String> =
            self.findings.iter().map(|it| format!("{:?} {}: {}", it.level, it.about, it.what)).collect();
        let found = self.findings.iter().find(|it| it.level == level && it.what.contains(part));
        let found = found.unwrap_or_else(|| panic!("nothing of {level:?} says {part:?}: {listed:#?}"));
        assert!(level < Warning || found.advice.is_some(), "no advice: {found:?}");
        self
    }

    /// That so many things are this bad or worse.
    #[track_caller]
    fn counts(&self, level: Level, count: usize) -> &Self {
        let bad: Vec<&Finding> = self.findings.iter().filter(|it| it.level >= level).collect();
        assert_eq!(bad.len(), count, "{bad:#?}");
        self
    }

    fn ways(&self) -> (Option<bool>, Option<bool>) {
        (self.peers[0].heard, self.peers[0].hears_us)
    }
}

#[test]
fn where_everything_is_right_nothing_is_said_against_it() {
    let judgement = judge(&fine());
    judgement.counts(Note, 0);
    assert_eq!(judgement.ways(), (Some(true), Some(true)));
    assert_eq!(judgement.peers[0].priority, Some(190));
    judgement
        .says(Ok, "lb1 is this machine: 10.0.1.10 is on eth0")
        .says(Ok, "lb1 runs here, pid 812")
        .says(Ok, "the daemon listens on port 80")
        .says(Ok, "on eth0 (02:00:00:00:00:01), which works; advertised from 10.0.1.10")
        .says(Ok, "10.0.1.100 is answered for by lb2 (02:00:00:00:00:02)")
        .says(Ok, "hear each other: it advertises with priority 190 every 100 ms");
}

#[test]
fn without_a_file_the_machine_alone_is_judged() {
    let mut facts = Facts { machine: machine(), place: None };
    judge(&facts).counts(Warning, 0).says(Note, "1048576 may be open");
    facts.machine.privileges.effective = 0;
    facts.machine.privileges.realtime = 0;
    judge(&facts)
        .counts(Warning, 0)
        .says(Note, "lacks CAP_NET_RAW, to speak VRRP and ARP; not needed")
        .says(Note, "no real-time priority");
}

#[test]
fn a_privilege_is_wrong_to_lack_only_where_the_file_needs_it() {
    let lacking = |bit: u8| with(|machine, _| machine.privileges.effective &= !(1 << bit));
    lacking(12).counts(Wrong, 1).says(Wrong, "lacks CAP_NET_ADMIN");
    lacking(13).counts(Wrong, 1).says(Wrong, "lacks CAP_NET_RAW");
    lacking(10)
        .counts(Wrong, 1)
        .says(Wrong, "lacks CAP_NET_BIND_SERVICE, to listen on low ports: the file wants port 80");
    lacking(23).counts(Note, 0).says(Ok, "may take real-time priority 10");
    with(|machine, place| {
        machine.privileges.effective = 0;
        machine.privileges.daemon = Some(812);
        machine.first_free_port = 80;
        place.routers.clear();
    })
    .counts(Warning, 0)
    .says(Note, "the running daemon (pid 812) lacks CAP_NET_BIND_SERVICE");
}

#[test]
fn limits_and_kernels_are_held_against_what_is_used() {
    with(|machine, _| machine.privileges.open_files = Some(1024))
        .counts(Warning, 1)
        .says(Warning, "1024 may be open, but the listeners may need 40256");
    with(|machine, _| machine.privileges.open_files = None).says(Ok, "no limit that is known");
    with(|machine, _| machine.kernel = "4.4.0-210-generic".to_owned())
        .says(Warning, "a planned handover keeps connections only from Linux 4.6 on")
        .says(Note, "VRRP over IPv6 needs Linux 4.20");
    with(|machine, place| {
        machine.kernel = "4.19.0-26-amd64".to_owned();
        place.routers[0].addresses = vec![ip("fd00::100")];
    })
    .says(Wrong, "VRRP over IPv6 needs Linux 4.20");
    with(|machine, _| machine.kernel = "5.15.167.4-microsoft-standard-WSL2".to_owned())
        .counts(Warning, 0)
        .says(Note, "before Linux 5.18");
    with(|machine, _| machine.kernel = "unheard of".to_owned()).counts(Note, 0);
    with(|machine, _| machine.resets = Some(false))
        .says(Warning, "connections of a lost address can't be reset");
    with(|machine, place| {
        machine.resets = Some(false);
        place.routers.clear();
    })
    .counts(Warning, 0)
    .says(Note, "can't be reset");
    with(|machine, _| machine.resets = None).says(Note, "could not be tried");
    with(|machine, _| machine.no_rehearsal = Some("User namespaces are switched off".to_owned()))
        .counts(Warning, 0)
        .says(Note, "`nines rehearse` can't run here: User namespaces are switched off");
}

#[test]
fn a_clock_matters_where_advertisements_are_signed_with_it() {
    let keys = VrrpAuthentication::Keys(vec![VrrpKey { id: 1, key: "k".repeat(32) }]);
    let off = Some(Clock { synchronised: false, error: Duration::from_secs(16) });
    with(|machine, _| machine.clock = off)
        .counts(Warning, 0)
        .says(Note, "nothing keeps it right; only signed");
    with(|machine, place| {
        machine.clock = off;
        place.routers[0].authentication = keys.clone();
    })
    .counts(Wrong, 0)
    .says(Warning, "nothing keeps it right; advertisements are signed with the time");
    with(|machine, _| machine.clock = None).says(Note, "does not tell");
    with(|machine, _| machine.clock = Some(Clock { synchronised: true, error: Duration::from_secs(9) }))
        .says(Note, "may be wrong by 9 s");

    let ahead = |by: i64, authentication: &VrrpAuthentication| {
        with(|_, place| {
            place.clocks.insert("lb2".to_owned(), by);
            place.routers[0].authentication = authentication.clone();
        })
    };
    ahead(-2500, &VrrpAuthentication::None)
        .counts(Warning, 0)
        .says(Note, "lb2's clock is 2.5 s behind this one");
    ahead(2500, &keys).counts(Wrong, 0).says(Warning, "lb2's clock is 2.5 s ahead of this one");
    ahead(7000, &keys).says(Wrong, "signed advertisements are refused");
    ahead(i64::MIN, &keys).says(Wrong, "behind this one");
}

#[test]
fn a_machine_that_is_not_the_files_host_is_told_so() {
    with(|_, place| place.address = OwnAddress::Elsewhere(vec![ip("10.0.1.10")]))
        .says(Wrong, "10.0.1.10, where the file says that lb1 is, is on no interface of this machine");
    with(|_, place| place.address = OwnAddress::Unresolved("lb1.shop".to_owned()))
        .says(Warning, "lb1.shop, where the file says that lb1 is, does not resolve");
    with(|_, place| {
        place.doubles.insert(ip("10.0.1.77"));
    })
    .says(Wrong, "another machine, 10.0.1.77, says that it is lb1 too");
    with(|_, place| {
        place.is_load_balancer = false;
        place.routers.clear();
        place.listeners.clear();
    })
    .counts(Warning, 0)
    .says(Note, "the file gives lb1 no load balancer to be");
    with(|_, place| place.routers.clear()).says(Note, "the file gives lb1 none");
    with(|_, place| place.daemon = Daemon::Silent("no daemon answers".to_owned()))
        .says(Note, "this host takes no part now: no daemon answers");
}

#[test]
fn a_listener_needs_a_free_port_and_an_address() {
    let listener = |change: &dyn Fn(&mut Listener)| {
        with(|_, place| {
            place.listeners[0].open = false;
            change(&mut place.listeners[0]);
        })
    };
    listener(&|_| {}).counts(Note, 0).says(Ok, "port 80 is free");
    let taken = |owner: Option<(u32, &str)>| {
        let owner = owner.map(|(pid, name)| (pid, name.to_owned()));
        listener(&|it| it.taken = Some(Taken { at: "0.0.0.0:80".parse().unwrap(), owner: owner.clone() }))
    };
    taken(Some((99, "nginx"))).says(Wrong, "nginx (pid 99) listens on 0.0.0.0:80 already");
    taken(None).says(Wrong, "which this user may not see, listens on 0.0.0.0:80");
    let bound = |is_virtual: bool| {
        listener(&move |it| {
            it.address = Some(ip("10.0.1.100"));
            (it.is_virtual, it.is_here) = (is_virtual, false);
        })
    };
    bound(true).counts(Note, 0).says(Ok, "whatever ip_nonlocal_bind says");
    bound(false).says(Wrong, "it is to listen on 10.0.1.100, which is on no interface");
}

#[test]
fn an_interface_must_be_there_and_work() {
    with_router(|router| router.link = Err("there is no interface eth7".to_owned()))
        .counts(Wrong, 1)
        .says(Wrong, "it has no interface here: there is no interface eth7");
    with_link(|link| link.interface.up = false).says(Wrong, "eth0 is down");
    with_link(|link| link.interface.carrier = false).says(Wrong, "eth0 has no carrier");
    with_link(|link| link.interface.loopback = true).says(Wrong, "eth0, the loopback interface");
    with_link(|link| link.interface.mac = None).says(Wrong, "eth0 is no Ethernet");
    with_link(|link| link.source = None).says(Wrong, "no IPv4 address of its own to advertise from");
    let v6 = |change: &dyn Fn(&mut Link)| {
        with_router(|router| {
            router.addresses = vec![ip("fd00::100")];
            change(router.link.as_mut().unwrap());
        })
    };
    v6(&|link| link.source = None).says(Wrong, "no link-local IPv6 address");
    v6(&|link| link.settings.disable_ipv6 = Some(1)).says(Wrong, "IPv6 is switched off on eth0");
    v6(&|link| link.settings.disable_ipv6 = None).says(Wrong, "this kernel has no IPv6");
    v6(&|link| link.settings.accept_dad = Some(2)).says(Note, "accept_dad is 2");
    v6(&|_| {}).says(Ok, "IPv6 is on at eth0");
}

#[test]
fn settings_that_keep_an_address_from_being_found_are_told() {
    with_link(|link| link.settings.rp_filter = Some(1))
        .counts(Wrong, 0)
        .says(Warning, "rp_filter is strict (1) on eth0");
    let detour = |rp_filter: u8| {
        with_router(|router| {
            router.peers[0].via = Some("eth1".to_owned());
            router.link.as_mut().unwrap().settings.rp_filter = Some(rp_filter);
        })
    };
    detour(1).says(Wrong, "packets to lb2 (10.0.1.11) through eth1 leave another way than eth0");
    detour(2).counts(Warning, 0).says(Note, "rp_filter (2) lets that pass");
    with_link(|link| link.settings.rp_filter = None).counts(Note, 0);

    let arp_ignore = |value: u8| with_link(|link| link.settings.arp_ignore = Some(value));
    arp_ignore(1).counts(Note, 0).says(Ok, "ARP is answered only where the address is");
    arp_ignore(2).counts(Note, 0).says(Ok, "to askers of the same network");
    arp_ignore(3).counts(Note, 0);
    arp_ignore(5).says(Note, "arp_ignore is 5");
    arp_ignore(8).counts(Wrong, 1).says(Wrong, "this host answers no ARP");
    with_router(|router| {
        router.addresses = vec![ip("10.0.9.100")];
        router.link.as_mut().unwrap().settings.arp_ignore = Some(2);
    })
    .says(Wrong, "eth0 has no address in the same network");
    with_link(|link| link.settings.arp_announce = Some(0)).counts(Warning, 0).says(Note, "arp_announce is 0");
    with_link(|link| link.settings.forwarding = Some(1)).counts(Warning, 0).says(Note, "eth0 forwards");
}

#[test]
fn a_link_that_loses_what_is_sent_one_way_is_told_by_what_doctors_say() {
    let heard = |change: &dyn Fn(&mut Doctor)| {
        with_router(|router| {
            router.heard.speakers.clear();
            change(router.heard.doctors.get_mut("lb2").unwrap());
        })
    };
    assert_eq!(heard(&|_| {}).says(Ok, "hear each other").ways(), (Some(true), Some(true)));
    let judgement = heard(&|doctor| doctor.hears_us = false);
    assert_eq!(
        judgement.says(Wrong, "multicast from this host to lb2 (10.0.1.11) is lost").ways(),
        (Some(true), Some(false))
    );
    let judgement = heard(&|doctor| doctor.by_group = 0);
    assert_eq!(
        judgement.says(Wrong, "multicast from lb2 (10.0.1.11) to this host is lost").ways(),
        (Some(false), Some(true))
    );
    // It has only just begun.
    let judgement = heard(&|doctor| (doctor.hears_us, doctor.deaf, doctor.directly) = (false, 1, 1));
    assert_eq!(judgement.counts(Warning, 0).ways(), (Some(true), None));
    // With unicast, what comes directly is what counts.
    let judgement = with_router(|router| {
        router.unicast = true;
        router.heard.speakers.clear();
        router.heard.doctors.get_mut("lb2").unwrap().by_group = 0;
    });
    assert_eq!(judgement.ways(), (Some(true), Some(true)));
}

#[test]
fn without_another_doctor_the_direction_is_told_by_what_the_daemon_knows() {
    let alone = |change: &dyn Fn(&mut Router)| {
        with_router(|router| {
            router.heard.doctors.clear();
            change(router);
        })
    };
    // A backup that hears its master.
    let judgement = alone(&|_| {});
    judgement.counts(Warning, 0).says(Note, "lb2 (10.0.1.11) is heard: it advertises with priority 190");
    assert_eq!(judgement.ways(), (Some(true), None));
    let advice = judgement.findings.iter().find_map(|it| it.advice.as_ref()).unwrap();
    assert!(advice.contains("--host lb2 --seconds 20") && advice.contains("`nines drain lb2`"), "{advice}");

    // A master that hears one of lower priority, which would yield if it heard this host.
    let judgement = alone(&|router| router.status = Some(status(Standing::Master)));
    assert_eq!(judgement.ways(), (Some(true), Some(false)));
    judgement
        .says(Wrong, "multicast from this host to lb2 (10.0.1.11) is lost: it goes on advertising")
        .says(Wrong, "10.0.1.100 is answered for by this host and by lb2");

    // A master that hears nobody, while another answers for its address.
    let silent = |change: &dyn Fn(&mut Router)| {
        alone(&|router| {
            router.status = Some(status(Standing::Master));
            router.heard.speakers.clear();
            change(router);
        })
    };
    assert_eq!(
        silent(&|_| {}).says(Wrong, "multicast from lb2 (10.0.1.11) to this host is lost").ways(),
        (Some(false), None)
    );
    // So soon after a handover that is as it should be.
    let judgement = silent(&|router| router.status.as_mut().unwrap().since_ms = 500);
    judgement.counts(Warning, 0).says(Note, "after a handover, as long as something is connected there");
    assert_eq!(judgement.ways(), (None, None));
    // But not so soon after the other one fell silent.
    let judgement = silent(&|router| {
        let status = router.status.as_mut().unwrap();
        (status.since_ms, status.cause) = (500, Some(Cause::MasterSilent));
    });
    assert_eq!(judgement.says(Wrong, "is answered for by this host and by lb2").ways(), (Some(false), None));
    // As it should be: the backup says nothing, and does not answer.
    let judgement = silent(&|router| router.heard.answers.clear());
    judgement
        .counts(Warning, 0)
        .says(Ok, "10.0.1.100 is answered for by this host alone")
        .says(Note, "lb2 (10.0.1.11) is not heard, but it is there: it answers for its own address");
    // On another segment, or down.
    silent(&|router| {
        router.heard.answers.clear();
        router.heard.cards.clear();
    })
    .says(Warning, "lb2 (10.0.1.11) is not heard and does not answer ARP on this link");
    with_router(|router| router.heard.trouble.push("cannot open a raw socket".to_owned()))
        .says(Warning, "could not be listened to as it should: cannot open a raw socket");
}

#[test]
fn another_speaker_with_our_router_id_is_named() {
    let stranger = |change: &dyn Fn(&mut Speaker)| {
        with_router(|router| {
            let mut speaker = speaker();
            change(&mut speaker);
            router.heard.speakers.insert(ip("10.0.1.77"), speaker);
        })
    };
    stranger(&|speaker| speaker.addresses = vec![ip("10.0.9.9"), ip("10.0.9.10")])
        .counts(Wrong, 1)
        .says(Wrong, "another VRRP speaker with our router id 51: 10.0.1.77, for 10.0.9.9 and 10.0.9.10");
    stranger(&|_| {}).counts(Wrong, 0).says(
        Warning,
        "for the same addresses: 10.0.1.77, with \
     priority 190",
    );
    with_router(|router| {
        router.besides.push(ip("10.0.1.77"));
        router.heard.speakers.insert(ip("10.0.1.77"), speaker());
    })
    .counts(Note, 0);
    with_router(|router| {
        router.heard.other_ids.extend([51, 77]);
    })
    .counts(Warning, 0)
    .says(Note, "other virtual routers are on its link: router id 77");

    // Over IPv6 the file does not say where advertisements come from.
    let v6 = |also: Option<&str>| {
        with_router(|router| {
            router.addresses = vec![ip("fd00::100")];
            router.heard.doctors.clear();
            router.heard.speakers.clear();
            for source in ["fe80::2"].into_iter().chain(also) {
                let speaker = Speaker { addresses: vec![ip("fd00::100")], ..speaker() };
                router.heard.speakers.insert(ip(source), speaker);
            }
        })
    };
    v6(None).says(Note, "fe80::2 advertises it with priority 190; it may be lb2");
    v6(Some("fe80::3")).says(Warning, "for the same addresses: fe80::3");
}

#[test]
fn what_is_refused_is_told_with_its_reason() {
    for refused in Refused::ALL {
        let judgement = with_router(|router| {
            let speaker = router.heard.speakers.get_mut(&ip("10.0.1.11")).unwrap();
            speaker.accepted = 0;
            speaker.refused.insert(refused, 20);
        });
        judgement.counts(Wrong, 1).says(Wrong, "what lb2 advertises is refused, 20 times: it");
    }
    let refused = |refused, change: &dyn Fn(&mut Router)| {
        with_router(|router| {
            let speaker = router.heard.speakers.get_mut(&ip("10.0.1.11")).unwrap();
            *speaker =
                Speaker { version: 2, interval: Duration::from_secs(3), accepted: 0, ..speaker.clone() };
            speaker.refused.insert(refused, 1);
            change(router);
        })
    };
    refused(Refused::Version, &|_| {}).says(Wrong, "once: it is version 2, and the file says 3");
    refused(Refused::Interval, &|router| {
        router.version = VrrpVersion::V2;
        router.interval = Duration::from_secs(1);
    })
    .says(Wrong, "every 3 s and the file says 1 s");
    refused(Refused::Destination, &|router| router.unicast = true).says(Wrong, "and the file says unicast");
    refused(Refused::Destination, &|_| {}).says(Wrong, "and the file says multicast");
    refused(Refused::AuthenticationType, &|_| {}).says(Wrong, "than the file's, which is none");
}

#[test]
fn a_candidate_that_goes_by_another_file_is_told() {
    let changed = |change: &dyn Fn(&mut Speaker)| {
        with_router(|router| change(router.heard.speakers.get_mut(&ip("10.0.1.11")).unwrap()))
    };
    changed(&|speaker| speaker.addresses.push(ip("10.0.1.101")))
        .says(Warning, "lb2 advertises other addresses: 10.0.1.100 and 10.0.1.101");
    changed(&|speaker| speaker.priority = 150)
        .says(Warning, "lb2 advertises priority 150, and the file says 190");
    // It is not well, or gives the address up.
    changed(&|speaker| speaker.priority = 7).counts(Note, 0);
    changed(&|speaker| speaker.interval = Duration::from_secs(1))
        .counts(Warning, 0)
        .says(Note, "lb2 advertises every 1.0 s and the file says 100 ms");
}

#[test]
fn who_answers_for_an_address_is_told() {
    let answered = |by: &[u8], change: &dyn Fn(&mut Place)| {
        with(|_, place| {
            let cards = by.iter().map(|&last| mac(last)).collect();
            place.routers[0].heard.answers.insert(ip("10.0.1.100"), cards);
            change(place);
        })
    };
    answered(&[], &|_| {}).says(Wrong, "nobody answers for 10.0.1.100");
    answered(&[], &|place| place.daemon = Daemon::Silent(String::new()))
        .counts(Warning, 0)
        .says(Note, "nobody else answers for 10.0.1.100");
    answered(&[2, 3], &|_| {}).says(
        Wrong,
        "is answered for by several: lb2 (02:00:00:00:00:02) and a machine that is no candidate",
    );
    answered(&[2], &|place| place.routers[0].status.as_mut().unwrap().held = true)
        .counts(Note, 0)
        .says(Ok, "this host finishes what is connected");
    answered(&[], &|place| place.routers[0].heard.asked = false).counts(Note, 0);
}
