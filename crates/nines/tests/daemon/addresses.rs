//! Virtual addresses come with a reload and go with one. Each daemon is in a network namespace of its own, where the
//! loopback interface is all there is, and answers on its Unix socket.

use std::process::Command;

use nines_control::status::Standing;
use rustix::process::Signal;

use crate::world::{Daemon, File, free_port};

const VIRTUAL_IP: &str =
    "virtual_ips = [{ address = \"10.9.9.9\", interface = \"lo\", interval = \"100ms\" }]";
const LINK_UP: &str = "ip link set lo up && exec \"$@\"";
const WITHOUT_RIGHTS: [&str; 3] =
    ["setpriv", "--bounding-set=-net_raw,-net_admin", "--inh-caps=-net_raw,-net_admin"];

/// What makes a namespace for the program that follows, as root of it; `None` where that is not allowed.
fn namespace() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [&["unshare", "--net"], &["unshare", "--user", "--map-root-user", "--net"]];
    let works = |way: &&[&str]| {
        let tried = Command::new(way[0]).args(&way[1..]).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    };
    let found = WAYS.into_iter().find(works);
    if found.is_none() {
        eprintln!("SKIPPED: no network namespace can be made here");
    }
    found
}

/// Nothing but itself can be reached from the namespace, so that nothing is checked.
fn file() -> File {
    File {
        listeners: vec![free_port()],
        members: vec![([127, 0, 0, 2], 8080).into()],
        load_balancer: String::new(),
        pool: "check = \"none\"\n".to_owned(),
    }
}

fn start(namespace: &[&str], with: &[&str], text: &str) -> Daemon {
    let by = [namespace, &["sh", "-c", LINK_UP, "sh"], with].concat();
    let daemon = Daemon::start_by(&by, text, "log");
    daemon.until("it serves", |status| status.listeners.iter().all(|listener| listener.open));
    daemon
}

#[test]
fn a_reload_that_adds_virtual_addresses_without_the_rights_changes_nothing() {
    let Some(namespace) = namespace() else { return };
    let mut file = file();
    let daemon = start(namespace, &WITHOUT_RIGHTS, &file.text());
    let before = daemon.status();
    file.listeners.push(free_port());
    file.load_balancer = VIRTUAL_IP.to_owned();
    let status = daemon.reload(&file.text());
    let refused = status.file.refused.unwrap();
    assert!(refused.contains("CAP_NET_RAW"), "{refused}");
    assert_eq!(status.file.generation, 1);
    assert_eq!(status.listeners, before.listeners, "the data plane stays with the old file as well");
    assert!(status.virtual_ips.is_empty());

    file.load_balancer.clear();
    let status = daemon.reload(&file.text());
    assert_eq!((status.file.refused, status.listeners.len()), (None, 2));
}

#[test]
fn virtual_addresses_come_and_go_with_reloads_and_what_happens_to_them_is_told() {
    let Some(namespace) = namespace() else { return };
    let mut file = file();
    let mut daemon = start(namespace, &[], &file.text());
    for time in 1..=2 {
        file.load_balancer = VIRTUAL_IP.to_owned();
        assert_eq!(daemon.reload(&file.text()).file.refused, None);
        daemon.until("it answers on the address", |status| {
            status.virtual_ips.first().is_some_and(|it| it.held && it.state == Standing::Master)
        });
        file.load_balancer.clear();
        assert_eq!(daemon.reload(&file.text()).file.refused, None);
        daemon.until("the address has left", |status| status.virtual_ips.is_empty());
        crate::world::eventually("its end is told", || {
            let events = String::from_utf8(daemon.nines(&["events"]).stdout).unwrap();
            (events.matches("released  front/10.9.9.9").count() == time).then_some(())
        });
    }
    daemon.process.signal(Signal::TERM);
    assert_eq!(daemon.exit_code(), Some(0));
}

#[test]
fn a_reload_that_fails_takes_no_part_in_the_addresses_that_it_would_add() {
    let Some(namespace) = namespace() else { return };
    let mut file = file();
    let daemon = start(namespace, &[], &file.text());
    let port = file.listeners[0];
    // An address that is not there.
    let wrong = file.text().replace(&format!("127.0.0.1:{port}"), "10.9.9.1:80");
    let wrong = wrong.replace("[pools.web]", &format!("{VIRTUAL_IP}\n[pools.web]"));
    let refused = daemon.reload(&wrong).file.refused.unwrap();
    assert!(refused.contains("can't bind"), "{refused}");
    assert!(daemon.status().virtual_ips.is_empty());

    file.load_balancer = VIRTUAL_IP.to_owned();
    assert_eq!(daemon.reload(&file.text()).file.refused, None);
    daemon.until("it answers on the address", |status| {
        status.virtual_ips.first().is_some_and(|it| it.state == Standing::Master)
    });
}
