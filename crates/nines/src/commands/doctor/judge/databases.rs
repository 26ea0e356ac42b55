//! What was found of PostgreSQL, its disk and the store that hosts agree by.

use std::time::Duration;

use nines_database::hands::{Examined, Found};

use super::Findings;
use crate::commands::doctor::facts::{Database, Disk, Facts, Store};

/// Less is gone in a night.
const LITTLE: u64 = 5 << 30;
/// Every commit waits for a flush here, and for one on a standby.
const SLOW: Duration = Duration::from_millis(20);
/// The store is asked with every heartbeat.
const FAR: Duration = Duration::from_millis(100);

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    let Some(place) = &facts.place else { return };
    for database in &place.databases {
        let about = format!("database {}", database.name);
        match &database.postgresql {
            Err(why) => findings.wrong(&about, why.clone(), "nines check FILE says where".to_owned()),
            Ok(examined) => postgresql(&about, database, examined, findings),
        }
        match &database.disk {
            Ok(disk) => self::disk(&about, database, disk, findings),
            Err(why) => findings.wrong(&about, why.clone(), "`data` must be on a disk of this host"),
        }
        memory(&about, database, findings);
        let open = facts.machine.privileges.open_files;
        let takes = 2 * database.connections;
        if let Some(open) = open.filter(|open| *open < takes + 1000) {
            let what = format!("{open} open files are few for max_connections = {}", database.connections);
            findings.warn(&about, what, "raise LimitNOFILE= of nines' unit, or ulimit -n");
        }
    }
    if let Some(store) = &place.store {
        self::store(store, findings);
    }
}

fn postgresql(about: &str, database: &Database, examined: &Examined, findings: &mut Findings) {
    match &examined.version {
        Ok(version) => findings.ok(about, format!("PostgreSQL {version} is installed")),
        Err(why) => {
            let advice = match database.wanted {
                Some(version) => format!("apt install postgresql-{version}, or set `version` or `programs`"),
                None => "apt install postgresql, or say where it is by `programs`".to_owned(),
            };
            findings.wrong(about, why.clone(), advice);
        }
    }
    match &examined.user {
        Ok((name, _)) if database.as_root => findings.ok(about, format!("PostgreSQL runs as {name}")),
        Ok((name, _)) => findings.note(
            about,
            format!("nines is no root here: PostgreSQL runs as {name}, as nines does. As root it runs as a user of its own"),
        ),
        Err(why) => findings.wrong(about, why.clone(), "useradd --system --shell /usr/sbin/nologin postgres"),
    }
    for secret in &examined.secrets {
        findings.wrong(
            about,
            format!("a password can't be read: {secret}"),
            "make it readable for who runs nines",
        );
    }
    match &examined.data {
        Found::Nothing => {
            findings.ok(about, format!("there are no data in {} yet", database.data.display()));
        }
        Found::Ours => findings.ok(about, format!("its data are in {}", database.data.display())),
        Found::Others => findings.warn(
            about,
            format!("there are data in {} that nines did not make", database.data.join("pgdata").display()),
            "nines adopt takes them over; nines reinit sets them aside for a copy",
        ),
        Found::Unfit(why) => findings.wrong(
            about,
            why.clone(),
            "nothing of it is touched by nines: set it right, or rename it",
        ),
    }
}

fn disk(about: &str, database: &Database, disk: &Disk, findings: &mut Findings) {
    let (at, free) = (disk.at.display(), disk.free >> 30);
    let durable = "put `data` on a local disk, or acknowledged writes may be gone after a crash";
    match disk.kind {
        "tmpfs" => findings.wrong(about, format!("{at} is in memory (tmpfs)"), durable),
        "nfs" | "cifs" | "fuse" => {
            findings.warn(
                about,
                format!("{at} is on a file system of another kind ({})", disk.kind),
                durable,
            );
        }
        "overlay" => findings.warn(about, format!("{at} is a container's own layer (overlay)"), durable),
        _ => {}
    }
    if disk.free < LITTLE {
        let advice = "a full disk stops writes, and a copy needs as much as the database has";
        findings.warn(about, format!("{free} GiB are free in {at}"), advice);
    } else {
        findings.ok(about, format!("{free} GiB are free in {at}"));
    }
    match &disk.flush {
        Ok(took) if *took > SLOW => findings.warn(
            about,
            format!("a flush of {at} takes {:.1} ms", took.as_secs_f64() * 1000.0),
            "each commit waits for one here and for one on a standby: a faster disk makes writes faster",
        ),
        Ok(took) => {
            findings.ok(about, format!("a flush of {at} takes {:.1} ms", took.as_secs_f64() * 1000.0));
        }
        Err(why) if disk.exists => {
            findings.wrong(about, format!("nines can't write there: {why}"), "chown it to who runs nines");
        }
        Err(why) => findings.wrong(
            about,
            format!("{} is not there and can't be made: {why}", database.data.display()),
            "make it, and chown it to who runs nines",
        ),
    }
}

fn memory(about: &str, database: &Database, findings: &mut Findings) {
    match database.overcommit {
        Some(2) | None => {}
        Some(_) => findings.note(
            about,
            "the kernel may kill PostgreSQL when memory runs out, which costs a failover (vm.overcommit_memory = 2 is what \
             PostgreSQL's manual advises where nothing else needs much)",
        ),
    }
}

fn store(store: &Store, findings: &mut Findings) {
    let about = "coordination";
    if let Some(why) = &store.why_not {
        return findings.wrong(about, why.clone(), "set it right in the file");
    }
    for member in &store.members {
        match (&member.owner, &member.answer) {
            (Some(owner), _) => findings.wrong(
                about,
                format!("{}: the prefix belongs to another system, {owner:?}", member.name),
                "give this system a prefix of its own: coordination.prefix",
            ),
            (None, Ok(took)) if *took > FAR => findings.warn(
                about,
                format!("{} takes {} ms to answer", member.name, took.as_millis()),
                "the lease is renewed by way of it: have it nearer, or make the lease longer",
            ),
            (None, Ok(took)) => {
                findings.ok(
                    about,
                    format!("{} answers within {:.1} ms", member.name, took.as_secs_f64() * 1000.0),
                );
            }
            (None, Err(why)) => findings.warn(
                about,
                format!("{}: {why}", member.name),
                "is it running, and the way to it free?",
            ),
        }
    }
    let (all, answer) = (store.members.len(), store.members.iter().filter(|one| one.answer.is_ok()).count());
    if answer <= all / 2 {
        let advice = "without a majority there is no primary, and writes stop at the end of the lease";
        findings.wrong(about, format!("{answer} of {all} answer"), advice);
    } else if store.embedded.is_none() && all < 3 {
        let advice = "three on three hosts go on when one is lost";
        findings.warn(about, format!("{all} of etcd's members: the loss of one stops all"), advice);
    }
    findings.note("database clocks", "no database decides by the wall clock: it may be wrong, or jump");
}
