//! What is not touched.

use std::fs;
use std::os::unix::fs::chown;

use nines_control::failover::{Effect, Origin, Role};
use nines_database::hands::{Hands, Settings};
use nines_system::Secret;
use rustix::process::Signal;

use crate::support::{Nobody, World, is_there};

async fn refusal(settings: Settings) -> String {
    match Hands::take(settings, Nobody::new()).await {
        Ok(_) => panic!("it was taken"),
        Err(refusal) => refusal.to_string(),
    }
}

#[tokio::test]
async fn what_is_foreign_or_wrong_is_refused_with_what_to_do_and_left_as_it_is() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1"]);
    let fine = world.settings("db1");
    let with = |change: &dyn Fn(&mut Settings)| {
        let mut settings = fine.clone();
        change(&mut settings);
        settings
    };
    let parameter = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for (settings, said) in [
        (with(&|it| it.parameters.push(parameter("port", "1"))), "port can't be 1"),
        (with(&|it| it.parameters.push(parameter("fsync", "off"))), "fsync can't be off"),
        (with(&|it| it.version = Some(9)), "/usr/lib/postgresql/9"),
        (with(&|it| it.programs = Some("/nowhere".into())), "/nowhere/postgres"),
        (
            with(&|it| it.replication_password = Some(Secret::File("/nowhere/password".into()))),
            "/nowhere/password",
        ),
        (with(&|it| it.data = world.path().join("x".repeat(100))), "too long a name"),
    ] {
        let why = refusal(settings).await;
        assert!(why.contains(said), "{why}");
    }
    let pgdata = fine.data.join("pgdata");
    fs::create_dir_all(&pgdata).unwrap();
    fs::write(pgdata.join("theirs"), "theirs").unwrap();
    assert_eq!(fs::read_to_string(pgdata.join("theirs")).unwrap(), "theirs");
    fs::write(fine.data.join("nines.json"), "{\"format\": 99}").unwrap();
    assert!(refusal(fine.clone()).await.contains("newer nines"));
}

#[tokio::test]
async fn data_of_somebody_elses_are_not_touched_until_they_are_to_be_replaced() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2"]);
    let theirs = world.path().join("db2/pgdata/theirs");
    fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    fs::write(&theirs, "theirs").unwrap();
    let mut hosts = vec![world.host("db1").await, world.host("db2").await];
    let report = hosts[1].report().await;
    assert_eq!((report.role, report.origin, report.position), (Role::Stopped, Origin::Foreign, None));
    assert!(hosts[1].notes.iter().any(|note| note.contains("nines adopt")), "{:?}", hosts[1].notes);
    for effect in [Effect::Initialise, Effect::Pledge { term: 3 }] {
        let failure = hosts[1].perform(effect).await.unwrap_err();
        assert!(failure.0.contains("not touched"), "{failure:?}");
    }
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
    assert!(!world.path().join("db2/nines.json").exists());
    world.form(&mut hosts).await;
    assert_eq!(hosts[1].report().await.origin, Origin::Ruled);
    let aside = hosts[1].settings.data.join(&hosts[1].aside()[0]);
    assert_eq!(fs::read_to_string(aside.join("theirs")).unwrap(), "theirs");
}

#[tokio::test]
async fn data_of_another_version_or_owner_and_parameters_that_postgresql_refuses_are_refused() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1"]);
    let mut host = world.host("db1").await;
    host.done(Effect::Initialise).await;
    let failure = host.perform(Effect::Initialise).await.unwrap_err();
    assert!(failure.0.contains("there are data"));
    host.end();
    let mut wrong = host.settings.clone();
    wrong.parameters.push(("work_mem".to_owned(), "much".to_owned()));
    let why = refusal(wrong).await;
    assert!(why.contains("work_mem"), "{why}");
    let unchanged = fs::read_to_string(host.settings.data.join("nines.conf")).unwrap();
    assert!(!unchanged.contains("much"));
    host.signal(Signal::QUIT);
    let begin = std::time::Instant::now();
    while host.data().join("postmaster.pid").exists() {
        assert!(begin.elapsed() < crate::support::LONG);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let version = host.data().join("PG_VERSION");
    let true_version = fs::read_to_string(&version).unwrap();
    fs::write(&version, "9\n").unwrap();
    let why = refusal(host.settings.clone()).await;
    assert!(why.contains("data of PostgreSQL 9"), "{why}");
    fs::write(&version, true_version).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(host.data(), Some(0), Some(0)).unwrap();
        let why = refusal(host.settings.clone()).await;
        assert!(why.contains("belongs to user 0"), "{why}");
    }
}
