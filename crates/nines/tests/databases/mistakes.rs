//! What an operator can get wrong: refused, said, nothing overwritten, and well again when the cause is gone.

use std::fs;
use std::process::Command;
use std::time::Instant;

use rustix::process::Signal;

use crate::world::{PATIENCE, Settings, World, as_postgres, eventually, is_possible, owner};

/// One host and no standby: what it says is all that there is.
fn alone() -> Settings {
    Settings { database: "confirm = 0\n".to_owned(), ..Settings::default() }
}

/// `nines status` and `nines events` of this host, as a person sees them.
fn shown(world: &World, host: usize) -> (String, String) {
    let socket = world.path(&format!("db{host}.sock"));
    let ask = |command: &str| {
        let output = world.nines(host, &[command, "--admin-socket", socket.to_str().unwrap()]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    (ask("status"), ask("events"))
}

fn is_shown(world: &World, host: usize, what: &str) {
    let mut last = (String::new(), String::new());
    let end = Instant::now() + PATIENCE / 2;
    while Instant::now() < end {
        last = shown(world, host);
        if last.0.contains(what) && last.1.contains(what) {
            return;
        }
    }
    panic!("status and events don't say {what:?}:\n{}\n{}", last.0, last.1);
}

#[test]
fn the_wrong_version_is_refused_and_the_right_one_goes_on() {
    if !is_possible() {
        return;
    }
    let mut world = World::new(1);
    world.write(&Settings { database: "confirm = 0\nversion = 99\n".to_owned(), ..Settings::default() });
    world.start(1);
    is_shown(&world, 1, "/usr/lib/postgresql/99/bin/postgres");
    assert!(!world.data(1).join("pgdata").exists());
    world.stop(1);
    world.write(&alone());
    world.start(1);
    world.serves(1);
    // Data of another version than the programs.
    world.stop(1);
    let version = world.data(1).join("pgdata/PG_VERSION");
    let right = fs::read_to_string(&version).unwrap();
    fs::write(&version, "13\n").unwrap();
    world.start(1);
    is_shown(&world, 1, "data of PostgreSQL 13");
    fs::write(&version, right).unwrap();
    world.serves(1);
    assert_eq!(world.sql(1, "SELECT 1"), "1");
}

#[test]
fn a_foreign_data_directory_is_left_alone_until_it_is_taken_over() {
    if !is_possible() {
        return;
    }
    let mut world = World::new(1);
    world.write(&alone());
    fs::create_dir(world.data(1)).unwrap();
    let pgdata = world.data(1).join("pgdata");
    fs::create_dir(&pgdata).unwrap();
    std::os::unix::fs::chown(&pgdata, Some(owner().0), Some(owner().1)).unwrap();
    as_postgres("initdb", &["-D", pgdata.to_str().unwrap(), "-U", "postgres", "-A", "trust", "--no-sync"]);
    let before = fs::read(pgdata.join("postgresql.conf")).unwrap();
    world.start(1);
    is_shown(&world, 1, "nines adopt");
    assert_eq!(fs::read(pgdata.join("postgresql.conf")).unwrap(), before);
    assert!(!pgdata.join("postmaster.pid").exists() && world.aside(1).is_empty());
    world.stop(1);
    let adopted = world.adopt(1, "orders/pgdata", &[]);
    assert!(adopted.status.success(), "{}", String::from_utf8_lossy(&adopted.stderr));
    world.start(1);
    world.serves(1);
    assert_eq!(world.sql(1, "SELECT 1"), "1");
}

#[test]
fn a_host_with_the_wrong_password_for_replication_says_so_and_is_a_standby_when_it_is_right() {
    if !is_possible() {
        return;
    }
    let mut world = World::new(2);
    let password = world.own(1).join("password");
    fs::write(&password, "right\n").unwrap();
    fs::write(world.own(2).join("password"), "wrong\n").unwrap();
    // Each host has its own file at this path.
    let seen = world.path("host").join("password");
    let database = format!("replication_password = {{ file = \"{}\" }}\n", seen.display());
    world.write(&Settings { database, ..Settings::default() });
    world.start_all();
    world.until(1, "it begins", |status| status.primary.is_some());
    is_shown(&world, 2, "password authentication failed");
    fs::write(world.own(2).join("password"), "right\n").unwrap();
    world.signal(2, Signal::HUP);
    world.all_are_well(1);
    assert_eq!(world.sql(1, "SELECT 1"), "1");
}

#[test]
fn a_store_that_was_emptied_is_refused_and_the_right_one_goes_on() {
    if !is_possible() {
        return;
    }
    let mut world = World::new(1);
    world.write(&alone());
    world.start(1);
    world.serves(1);
    world.sql(1, "CREATE TABLE rows AS SELECT 7 AS id");
    let (store, kept) = (world.path("store"), world.path("kept"));
    fs::rename(&store, &kept).unwrap();
    eventually("nobody is served", || (!world.status(1).serves).then_some(()));
    is_shown(&world, 1, "the coordination store");
    world.stop(1);
    world.start(1);
    is_shown(&world, 1, "is not the one that it was");
    assert!(world.ask(1, "shop", "secret", "SELECT 1").is_err());
    let _ = fs::rename(&store, world.path("empty"));
    fs::rename(&kept, &store).unwrap();
    world.serves(1);
    assert_eq!(world.sql(1, "SELECT id FROM rows"), "7");
}

#[test]
fn two_systems_cannot_have_one_prefix() {
    if !is_possible() {
        return;
    }
    let mut world = World::new(1);
    world.write(&alone());
    world.start(1);
    world.serves(1);
    let mut other = World::new(1);
    let text = other.text(&alone()).replace("name = \"t\"", "name = \"u\"");
    let (theirs, ours) = (other.path("store"), world.path("store"));
    let text = text.replace(theirs.to_str().unwrap(), ours.to_str().unwrap());
    let text = text.replace("one_machine = true }", "one_machine = true }\nprefix = \"t\"");
    fs::write(other.file(), &text).unwrap();
    other.start(1);
    is_shown(&other, 1, "belongs to another system");
    assert!(!other.data(1).join("pgdata").exists());
    world.serves(1);
    other.stop(1);
    fs::write(other.file(), text.replace("prefix = \"t\"", "prefix = \"u\"")).unwrap();
    other.start(1);
    other.serves(1);
    world.serves(1);
}

#[test]
fn a_copy_that_finds_no_space_is_begun_anew_when_there_is_some() {
    if !is_possible() {
        return;
    }
    let mut world = World::new(2);
    world.start(1);
    // Small, and db2's alone: what a copy writes doesn't fit.
    let small = world.own(2);
    let mount = |size: &str, options: &[&str]| {
        let size = format!("size={size},mode=755");
        let done = Command::new("mount")
            .args(options)
            .args(["-t", "tmpfs", "-o", &size, "nines-test"])
            .arg(&small)
            .status();
        assert!(done.unwrap().success());
    };
    struct Mounted<'a>(&'a std::path::Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    mount("20m", &[]);
    let mounted = world.own(2);
    let mounted = Mounted(&mounted);
    world.start(2);
    world.until(1, "it begins", |status| status.primary.is_some());
    is_shown(&world, 2, "disk is full");
    assert!(!world.data(2).join("pgdata/PG_VERSION").exists(), "half a copy is none");
    let remount = Command::new("mount").args(["-o", "remount,size=2g"]).arg(&small).status().unwrap();
    assert!(remount.success());
    world.all_are_well(1);
    assert_eq!(world.sql(1, "SELECT 1"), "1");
    world.stop(2);
    world.stop(1);
    drop(mounted);
}
