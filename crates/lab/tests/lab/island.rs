//! Hosts that are parted from all others, and not from each other.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use nines_lab::{Inside, LabError};

use crate::inside::{Built, build};
use crate::shared::{PAIR, hardware, router_sends_to};
use crate::tools::{announce, echo_from, hold, until};

const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 100);

impl Built {
    fn part(&mut self, hosts: &[&str]) {
        let hosts: Vec<_> = hosts.iter().map(|host| self.host(host)).collect();
        match self.lab.part(&hosts) {
            Ok(()) => {}
            Err(LabError::NoIsland { why }) => nines_trial::skip(why),
            Err(error) => panic!("{error}"),
        }
    }

    fn claims(&self, host: &str) {
        hold(&self.place(host), VIRTUAL);
        announce(&self.place(host), hardware(self.host(host)), VIRTUAL);
    }
}

/// lb1 and app1 are on two segments, with the router between them; lb1 and lb2 are on one.
fn parted(inside: &Inside, text: &str) {
    let mut built = build(inside, text);
    let [lb1, app1, lb2] = ["lb1", "app1", "lb2"].map(|host| built.serve(host));
    built.part(&["lb1", "app1"]);
    for (from, to) in
        [("clients", lb1), ("clients", app1), ("lb2", lb1), ("lb2", app1), ("lb1", lb2), ("app1", lb2)]
    {
        assert!(echo_from(&built.place(from), to).is_err(), "{from} still reaches {to}");
    }
    // Nobody of the island has to be asked for by anybody else, and so it goes on when all that was learned is forgotten.
    fs::write("/proc/sys/net/ipv4/route/flush", "1").unwrap();
    for (from, to) in [("lb1", app1), ("app1", lb1), ("clients", lb2)] {
        until(&format!("{from} reaches {to}"), || echo_from(&built.place(from), to).ok());
    }
    built.lab.join().unwrap();
    built.lab.join().unwrap();
    for (from, to) in
        [("clients", lb1), ("clients", app1), ("lb2", lb1), ("lb2", app1), ("lb1", lb2), ("app1", lb2)]
    {
        until(&format!("{from} reaches {to} again"), || echo_from(&built.place(from), to).ok());
    }
}

pub(crate) fn from_all_others(inside: &Inside) {
    parted(inside, PAIR);
}

pub(crate) fn from_all_others_over_ipv6(inside: &Inside) {
    let text = PAIR.replace("10.0.1.10\"", "2001:db8:1::10\"").replace("10.0.2.10\"", "2001:db8:2::10\"");
    let text = text.replace("10.0.1.21", "2001:db8:1::21").replace("10.0.1.100:80", "[2001:db8:1::100]:80");
    let text = text.replace("10.0.1.100", "2001:db8:1::100");
    assert!(!text.contains("10.0."));
    parted(inside, &text);
}

/// Both sides say that the address is theirs; clients are on the other side.
pub(crate) fn who_holds_an_address(inside: &Inside) {
    let mut built = build(inside, PAIR);
    let at = SocketAddr::new(VIRTUAL.into(), built.serve("lb1").port());
    built.serve("lb2");
    let clients = built.place("clients");
    built.claims("lb1");
    until("clients reach lb1 there", || echo_from(&clients, at).ok());
    assert!(router_sends_to(VIRTUAL).is_some_and(|at| at.ends_with("00")));
    built.part(&["lb1", "app1"]);
    built.claims("lb2");
    until("the router knows lb2", || router_sends_to(VIRTUAL).filter(|at| at.ends_with("01")));
    built.claims("lb1");
    echo_from(&clients, at).unwrap();
    assert!(router_sends_to(VIRTUAL).is_some_and(|at| at.ends_with("01")), "the island is believed");
    built.lab.join().unwrap();
    built.claims("lb1");
    until("the router believes lb1 again", || router_sends_to(VIRTUAL).filter(|at| at.ends_with("00")));
}
