//! A host of a database.

use std::path::PathBuf;
use std::time::Duration;

use nines_database::hands::{Examined, Found};

use super::*;
use crate::commands::doctor::facts::{Database, Disk, Store, StoreMember};

fn database() -> Database {
    Database {
        name: "orders".to_owned(),
        postgresql: std::result::Result::Ok(Examined {
            version: std::result::Result::Ok("15.8".to_owned()),
            user: std::result::Result::Ok(("postgres".to_owned(), 104)),
            data: Found::Ours,
            secrets: Vec::new(),
        }),
        wanted: None,
        as_root: true,
        data: PathBuf::from("/var/lib/nines/orders"),
        disk: std::result::Result::Ok(Disk {
            at: PathBuf::from("/var/lib/nines/orders"),
            exists: true,
            kind: "",
            free: 100 << 30,
            flush: std::result::Result::Ok(Duration::from_millis(1)),
        }),
        connections: 100,
        overcommit: Some(2),
    }
}

fn member(name: &str) -> StoreMember {
    StoreMember {
        name: name.to_owned(),
        answer: std::result::Result::Ok(Duration::from_millis(2)),
        owner: None,
    }
}

/// With a database on which all is well, changed.
fn of(change: impl FnOnce(&mut Machine, &mut Database, &mut Store)) -> Judgement {
    with(|machine, place| {
        let mut database = database();
        let mut store = Store { members: ["db1", "db2", "db3"].map(member).into(), ..Store::default() };
        change(machine, &mut database, &mut store);
        place.databases.push(database);
        place.store = Some(store);
    })
}

fn examined(change: impl FnOnce(&mut Examined)) -> Judgement {
    of(|_, database, _| change(database.postgresql.as_mut().unwrap()))
}

fn disk(change: impl FnOnce(&mut Disk)) -> Judgement {
    of(|_, database, _| change(database.disk.as_mut().unwrap()))
}

#[test]
fn a_host_that_has_all_that_a_database_needs_is_told_so() {
    let judgement = of(|_, _, _| {});
    judgement.counts(Warning, 0).says(Ok, "PostgreSQL 15.8 is installed").says(Ok, "runs as postgres");
    judgement.says(Ok, "100 GiB").says(Ok, "flush").says(Ok, "db3 answers").says(Note, "wall clock");
    of(|_, database, _| database.overcommit = Some(0)).counts(Warning, 0).says(Note, "overcommit_memory");
    of(|_, database, _| database.as_root = false).counts(Warning, 0).says(Note, "no root");
}

#[test]
fn what_postgresql_lacks_is_wrong() {
    let missing = || Err("/usr/lib/postgresql: no PostgreSQL is installed".to_owned());
    let judgement = examined(|it| it.version = missing());
    judgement.counts(Wrong, 1).says(Wrong, "no PostgreSQL");
    let judgement = of(|_, database, _| {
        database.wanted = Some(16);
        database.postgresql.as_mut().unwrap().version = missing();
    });
    assert!(
        judgement.findings.iter().any(|it| it.advice.as_ref().is_some_and(|it| it.contains("postgresql-16")))
    );
    examined(|it| it.user = Err("there is no user postgres".to_owned()))
        .counts(Wrong, 1)
        .says(Wrong, "no user");
    examined(|it| it.secrets.push("/etc/nines/x: gone".to_owned()))
        .counts(Wrong, 1)
        .says(Wrong, "/etc/nines/x");
    of(|_, database, _| database.postgresql = Err("fsync can be on".to_owned()))
        .counts(Wrong, 1)
        .says(Wrong, "fsync");
}

#[test]
fn data_of_others_are_spoken_of_before_anything_happens_to_them() {
    examined(|it| it.data = Found::Others).counts(Warning, 1).says(Warning, "nines did not make");
    let why = "data of PostgreSQL 13, where the programs are 15's".to_owned();
    examined(|it| it.data = Found::Unfit(why)).counts(Warning, 1).says(Wrong, "PostgreSQL 13");
    examined(|it| it.data = Found::Nothing).counts(Warning, 0);
}

#[test]
fn a_disk_that_keeps_nothing_or_is_slow_is_spoken_of() {
    disk(|it| it.kind = "tmpfs").counts(Warning, 1).says(Wrong, "in memory");
    disk(|it| it.kind = "nfs").counts(Warning, 1).says(Warning, "nfs");
    disk(|it| it.free = 1 << 30).counts(Warning, 1).says(Warning, "1 GiB");
    let slow = std::result::Result::Ok(Duration::from_millis(80));
    disk(|it| it.flush = slow).counts(Warning, 1).says(Warning, "80.0 ms");
    disk(|it| it.flush = Err("Permission denied".to_owned())).counts(Warning, 1).says(Wrong, "can't write");
    disk(|it| (it.exists, it.flush) = (false, Err("x".to_owned())))
        .counts(Warning, 1)
        .says(Wrong, "can't be made");
}

#[test]
fn a_store_without_a_majority_is_wrong_and_one_member_less_is_a_warning() {
    let lost = |it: &mut StoreMember| it.answer = Err("no answer".to_owned());
    let one = of(|_, _, store| lost(&mut store.members[0]));
    one.counts(Warning, 1).counts(Wrong, 0).says(Warning, "db1: no answer");
    let two = of(|_, _, store| store.members[..2].iter_mut().for_each(lost));
    two.counts(Wrong, 1).says(Wrong, "1 of 3 answer");
    let far = std::result::Result::Ok(Duration::from_millis(300));
    of(|_, _, store| store.members[1].answer = far).counts(Warning, 1).says(Warning, "300 ms");
    of(|_, _, store| store.members[1].owner = Some("other".to_owned()))
        .counts(Wrong, 1)
        .says(Wrong, "another system");
    of(|_, _, store| store.members.truncate(1)).counts(Warning, 1).says(Warning, "1 of etcd's members");
    let embedded = of(|_, _, store| {
        store.members.truncate(1);
        store.embedded = Some(PathBuf::from("/var/lib/nines/coordination"));
    });
    embedded.counts(Warning, 0);
    of(|_, _, store| store.why_not = Some("no password".to_owned()))
        .counts(Wrong, 1)
        .says(Wrong, "no password");
}

#[test]
fn a_port_of_the_gate_that_is_taken_is_wrong_on_a_host_that_balances_nothing() {
    let judgement = with(|_, place| {
        (place.is_load_balancer, place.routers) = (false, Vec::new());
        place.databases.push(database());
        let taken = Taken { at: "0.0.0.0:5432".parse().unwrap(), owner: Some((7, "postgres".to_owned())) };
        let gate = &mut place.listeners[0];
        (gate.name, gate.port, gate.open, gate.taken) = ("orders/gate".to_owned(), 5432, false, Some(taken));
    });
    judgement.counts(Warning, 1).says(Wrong, "postgres (pid 7) listens on 0.0.0.0:5432");
}

#[test]
fn few_open_files_are_a_warning() {
    let judgement = of(|machine, database, _| {
        database.connections = 1 << 20;
        machine.privileges.open_files = Some(1 << 20);
    });
    judgement.counts(Warning, 1).says(Warning, "few for max_connections");
}
