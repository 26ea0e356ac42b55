//! A database's section that is loaded again.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::world::{PATIENCE, Settings, World, eventually, is_possible};

#[test]
fn what_postgresql_can_change_takes_effect_and_what_it_cannot_waits_and_is_said() {
    if !is_possible() {
        return;
    }
    let mut world = World::new(2);
    world.start_all();
    world.serves(1);
    world.all_are_well(1);
    world.sql(1, "CREATE TABLE rows (id int)");
    let pid = world.status(1).engine.pid;

    let settings = Settings {
        parameters: "shared_buffers = \"16MB\", work_mem = \"9MB\", max_connections = \"60\"".to_owned(),
        users: "{ name = \"shop\", password = \"changed\", owns = [\"shop\"] }, { name = \"clerk\", password = \"new\" }".to_owned(),
        database: "replication_password = \"another one\"\ndurability = \"available\"\naccess = [\"local shop clerk scram-sha-256\"]\n".to_owned(),
    };
    let text = world.text(&settings);
    assert_eq!(world.reload(1, &text), None);
    assert_eq!(world.reload(2, &text), None);
    eventually("the new password is in force", || {
        world.ask(1, "shop", "changed", "SHOW work_mem").ok().filter(|shown| shown == "9MB")
    });
    assert!(world.ask(1, "shop", "secret", "SELECT 1").is_err());
    eventually("the new user is there", || world.ask(1, "clerk", "new", "SELECT 1").ok());
    let status = world.until(1, "what waits is said", |status| !status.engine.pending_restart.is_empty());
    assert_eq!(status.engine.pending_restart, ["max_connections"]);
    assert_eq!(status.engine.pid, pid, "it was not started anew");
    world.says(1, "takes effect when PostgreSQL is started anew: max_connections");

    // A standby that comes back shows the new password; without it, writes go on, since `durability` says so.
    world.stop(2);
    eventually("writes go on alone", || {
        world.ask(1, "shop", "changed", "INSERT INTO rows VALUES (1) RETURNING 'ok'").ok()
    });
    world.start(2);
    world.all_are_well(1);
}

/// What Prometheus gets there.
fn metrics(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    Some(page)
}

#[test]
fn a_host_that_has_only_a_database_is_asked_for_metrics_where_the_file_says() {
    if !is_possible() {
        return;
    }
    let port = || nines_trial::port::free().unwrap();
    let (first, second) = (port(), port());
    let mut world = World::new(1);
    let at = |port: u16| Settings {
        database: format!("confirm = 0\nadmin = \"127.0.0.1:{port}\"\n"),
        ..Settings::default()
    };
    world.write(&at(first));
    world.start(1);
    world.serves(1);
    let page = metrics(first).unwrap();
    assert!(page.contains("nines_database_role{database=\"orders\",role=\"primary\"} 1"), "{page}");

    assert_eq!(world.reload(1, &world.text(&at(second))), None);
    assert!(metrics(second).unwrap().contains("nines_database_role{"));
    eventually("the old address is given up", || metrics(first).is_none().then_some(()));
    let none = Settings { database: "confirm = 0\n".to_owned(), ..Settings::default() };
    assert_eq!(world.reload(1, &world.text(&none)), None);
    eventually("the last one as well", || metrics(second).is_none().then_some(()));
}

#[test]
fn a_file_that_one_database_cannot_go_by_is_refused_whole() {
    if !is_possible() {
        return;
    }
    let mut world = World::new(1);
    let usual = Settings { database: "confirm = 0\n".to_owned(), ..Settings::default() };
    world.write(&usual);
    world.start(1);
    world.serves(1);
    let other = |name: &str, value: &str| Settings {
        parameters: format!("work_mem = \"9MB\", {name} = \"{value}\""),
        users: "{ name = \"shop\", password = \"changed\", owns = [\"shop\"] }".to_owned(),
        ..Settings { database: usual.database.clone(), ..Settings::default() }
    };
    let with = |more: &str| {
        let text = world.text(&other("maintenance_work_mem", "32MB"));
        assert!(text.contains("confirm = 0"));
        text.replace("confirm = 0", &format!("confirm = 0\n{more}"))
    };
    let missing = world.path("no-such-file");
    let password = format!("{{ file = \"{}\" }}", missing.display());
    for (text, why) in [
        (world.text(&other("maintenance_work_mem", "lots")), "maintenance_work_mem"),
        (world.text(&other("no_such_parameter", "1")), "no_such_parameter"),
        (world.text(&other("fsync", "off")), "fsync"),
        (with("access = [\"local all all whatever\"]"), "whatever"),
        (with(&format!("replication_password = {password}")), "no-such-file"),
        (with("lease = \"3s\""), "stop nines on all hosts"),
        (with("version = 99"), "restart nines"),
        (world.text(&other("work_mem", "9MB")).replace("\"t\"", "\"t\"\nodd = 1"), "odd"),
    ] {
        let refused = world.reload(1, &text).unwrap_or_else(|| panic!("it was taken: {why}"));
        assert!(refused.contains(why), "{why}: {refused}");
    }
    assert_eq!(world.sql(1, "SHOW work_mem"), "4MB", "the old password and the old settings hold");
    let hba = std::fs::read_to_string(world.data(1).join("pg_hba.conf")).unwrap();
    assert!(!hba.contains("whatever"), "{hba}");
    world.says(1, "refused, the old one stays in force");

    assert_eq!(world.reload(1, &world.text(&other("maintenance_work_mem", "32MB"))), None);
    eventually("the new one is in force", || {
        world.ask(1, "shop", "changed", "SHOW maintenance_work_mem").ok()
    });
}
