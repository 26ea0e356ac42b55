//! `nines adopt`: a PostgreSQL that somebody runs, and its standby.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::{World, as_postgres, is_possible, owner};

/// A PostgreSQL that nines knows nothing of, in a host's directory; ends with its guard.
struct Theirs {
    data: PathBuf,
}

impl Theirs {
    fn directory(world: &World, host: usize) -> PathBuf {
        let directory = world.own(host).join("theirs");
        fs::create_dir(&directory).unwrap();
        std::os::unix::fs::chown(&directory, Some(owner().0), Some(owner().1)).unwrap();
        directory
    }

    /// Listens where the gate will.
    fn primary(world: &World, host: usize) -> Self {
        let data = Self::directory(world, host).join("main");
        as_postgres("initdb", &["-D", data.to_str().unwrap(), "-U", "postgres", "-A", "trust", "--no-sync"]);
        let theirs = Self { data };
        theirs.set(world, host, "work_mem = 7MB\nfsync = off\n");
        theirs.start();
        theirs
    }

    fn standby(world: &World, host: usize, of: usize) -> Self {
        let data = Self::directory(world, host).join("main");
        let source = format!("host={} port={} user=postgres", world.address(of), world.port);
        as_postgres(
            "pg_basebackup",
            &["-D", data.to_str().unwrap(), "-R", "-X", "stream", "-d", &source, "-c", "fast"],
        );
        let theirs = Self { data };
        theirs.set(world, host, "");
        theirs.start();
        theirs
    }

    fn set(&self, world: &World, host: usize, more: &str) {
        let conf = self.data.join("postgresql.conf");
        let text = fs::read_to_string(&conf).unwrap();
        let (address, port) = (world.address(host), world.port);
        let sockets = self.beside().display();
        let own = format!(
            "listen_addresses = '{address}'\nport = {port}\nunix_socket_directories = '{sockets}'\nshared_buffers = 16MB\n"
        );
        fs::write(&conf, format!("{text}\n{own}{more}")).unwrap();
    }

    fn start(&self) {
        let (data, log) = (self.data.to_str().unwrap(), self.beside().join("log"));
        as_postgres("pg_ctl", &["-D", data, "-w", "-l", log.to_str().unwrap(), "start"]);
    }

    /// Where its socket and its log are.
    fn beside(&self) -> &Path {
        self.data.parent().unwrap()
    }

    fn stop(&self) {
        as_postgres("pg_ctl", &["-D", self.data.to_str().unwrap(), "-w", "-m", "fast", "stop"]);
    }

    fn sql(&self, world: &World, database: &str, sql: &str) -> String {
        let (socket, port) = (self.beside().to_str().unwrap(), world.port.to_string());
        as_postgres("psql", &["-h", socket, "-p", &port, "-d", database, "-XAtqc", sql])
    }

    /// While it runs: the file outlives a server that was killed, and its number may be somebody else's by then.
    fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        let pid: i32 = text.lines().next()?.trim().parse().ok()?;
        Pid::from_raw(pid).filter(|_| self.processes().contains(&pid))
    }

    /// All that work in its data: they are its server's, which are there a little longer than the one that was killed.
    fn processes(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|it| it == self.data)).collect()
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.beside().join("log")).unwrap_or_default();
            eprintln!("{}:\n{log}", self.data.display());
        }
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::QUIT);
        }
    }
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_primary_and_its_standby_are_taken_over_with_their_rows_and_fail_over_afterwards() {
    if !is_possible() {
        return;
    }
    let mut world = World::new(3);
    let primary = Theirs::primary(&world, 1);
    primary.sql(&world, "postgres", "CREATE ROLE shop LOGIN");
    primary.sql(&world, "postgres", "CREATE DATABASE shop OWNER shop");
    primary.sql(
        &world,
        "shop",
        "CREATE TABLE rows AS SELECT generate_series(1, 1000) AS id; ALTER TABLE rows OWNER TO shop",
    );
    let standby = Theirs::standby(&world, 2, 1);
    // A copy that was made by nines would not have it.
    fs::write(standby.data.join("of-the-old-standby"), "").unwrap();

    let tried = world.adopt(1, "theirs/main", &["--dry-run"]);
    assert!(tried.status.success(), "{}", said(&tried));
    for part in ["a primary of PostgreSQL", "it runs", "fsync = off", "nothing was changed"] {
        assert!(said(&tried).contains(part), "{part}: {}", said(&tried));
    }
    assert!(primary.pid().is_some() && !world.data(1).exists() && !world.path("store").exists());
    assert_eq!(primary.sql(&world, "shop", "SELECT count(*) FROM rows"), "1000");

    let done = world.adopt(1, "theirs/main", &[]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("nines adopt"), "it says what is next: {}", said(&done));
    world.start(1);
    assert_eq!(world.until(1, "it begins", |status| status.primary.is_some()).term, 1);

    let running = world.adopt(1, "theirs/main", &[]);
    assert!(said(&running).contains("stop it first"), "{}", said(&running));
    let done = world.adopt(2, "theirs/main", &[]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("it follows db1"), "{}", said(&done));
    world.start(2);
    world.start(3);
    assert_eq!(world.sql(1, "INSERT INTO rows VALUES (1001) RETURNING 'ok'"), "ok");
    world.all_are_well(1);
    assert!(world.data(2).join("pgdata/of-the-old-standby").exists(), "it was copied anew");
    assert!(world.aside(2).is_empty());
    assert_eq!(world.sql(1, "SHOW work_mem"), "7MB");
    assert_eq!(world.sql(1, "SHOW fsync"), "on");

    world.lose(1);
    let status = world.until(2, "another primary", |status| status.term > 1 && status.settled);
    let next = if status.primary.as_deref() == Some("db2") { 2 } else { 3 };
    world.serves(next);
    // Whose connection ends before it has its answer asks again, and may have been heard twice.
    assert_eq!(world.sql(next, "SELECT count(DISTINCT id) FROM rows"), "1001");
    assert_eq!(world.sql(next, "INSERT INTO rows VALUES (1002) RETURNING 'ok'"), "ok");
    world.start(1);
    world.all_are_well(next);
}

#[test]
fn what_cannot_be_taken_over_is_refused_and_stays_as_it_is() {
    if !is_possible() {
        return;
    }
    let mut world = World::new(2);
    let refused = |output: std::process::Output, why: &str| {
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(why), "{why}: {}", said(&output));
    };
    let theirs = Theirs::primary(&world, 2);
    refused(world.adopt(2, "nowhere", &[]), "No such file");
    fs::rename(theirs.data.join("PG_VERSION"), theirs.data.join("VERSION")).unwrap();
    refused(world.adopt(2, "theirs/main", &[]), "PG_VERSION");
    fs::write(theirs.data.join("PG_VERSION"), "9.6\n").unwrap();
    refused(world.adopt(2, "theirs/main", &[]), "data of PostgreSQL 9.6");
    fs::rename(theirs.data.join("VERSION"), theirs.data.join("PG_VERSION")).unwrap();
    std::os::unix::fs::chown(&theirs.data, Some(0), Some(0)).unwrap();
    refused(world.adopt(2, "theirs/main", &[]), "it belongs to user 0");
    std::os::unix::fs::chown(&theirs.data, Some(owner().0), Some(owner().1)).unwrap();
    let killed = theirs.pid().unwrap();
    kill_process(killed, Signal::KILL).unwrap();
    // And waited for by whose child it is: until then it seems to run.
    let is_gone = || theirs.processes().is_empty() && kill_process(killed, Signal::KILL).is_err();
    crate::world::eventually("all of it is gone", || is_gone().then_some(()));
    refused(world.adopt(2, "theirs/main", &[]), "shut it down cleanly");
    theirs.start();
    theirs.stop();
    // Of another primary, and a primary itself where there is one.
    world.start(1);
    world.start(2);
    world.serves(1);
    world.all_are_well(1);
    world.stop(2);
    refused(world.adopt(2, "theirs/main", &[]), "there is a database of nines' already");
    fs::rename(world.data(2), world.own(2).join("before")).unwrap();
    refused(world.adopt(2, "theirs/main", &[]), "db1 is its primary in term 1");
    fs::write(theirs.data.join("standby.signal"), "").unwrap();
    refused(world.adopt(2, "theirs/main", &[]), "a standby of another database");
    assert!(theirs.data.join("postgresql.conf").exists() && !world.data(2).exists());
}
