//! How data that went another way come back.

use std::fs;
use std::time::Duration;

use nines_control::failover::{Effect, Host, Role, Term};

use crate::support::{Member, World, cohort, is_standby_of, is_there};

const TERM: Term = 2;

/// The second host takes over, and the first has rows that nobody else has.
async fn diverged(world: &World) -> Vec<Member> {
    let mut hosts = world.with_standbys().await;
    hosts[0].sql("INSERT INTO rows SELECT generate_series(1, 10)").await;
    let end = hosts[0].written().await;
    hosts[1].has(end).await;
    hosts[1].done(Effect::Pledge { term: TERM }).await;
    hosts[0].sql("INSERT INTO rows SELECT generate_series(1001, 1010)").await;
    hosts[1].done(Effect::Promote { term: TERM, cohort: cohort(&["db2"], 1) }).await;
    hosts[1].sql("INSERT INTO rows VALUES (11)").await;
    let follow = Effect::Follow { primary: "db2".into(), term: TERM };
    hosts[0].done(follow).await;
    hosts[0].wait_for("knows that its history is another", |report| report.diverged).await;
    hosts
}

fn rejoin() -> Effect {
    Effect::Rejoin { primary: Host::from("db2"), term: TERM, afresh: false }
}

async fn is_one_with(hosts: &mut [Member]) {
    let report = hosts[0].report().await;
    assert!(is_standby_of(&report, "db2", TERM) && !report.diverged, "{report:?}");
    hosts[1].sql("INSERT INTO rows VALUES (12)").await;
    let end = hosts[1].written().await;
    hosts[0].has(end).await;
    hosts[0].sees(1..=12).await;
}

#[tokio::test]
async fn a_former_primary_is_rewound_and_nothing_of_its_own_branch_is_left() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2"]);
    let mut hosts = diverged(&world).await;
    let inode = fs::metadata(hosts[0].data()).map(|it| std::os::unix::fs::MetadataExt::ino(&it)).unwrap();
    hosts[0].done(rejoin()).await;
    is_one_with(&mut hosts).await;
    let now = fs::metadata(hosts[0].data()).map(|it| std::os::unix::fs::MetadataExt::ino(&it)).unwrap();
    assert!(now == inode && hosts[0].aside().is_empty(), "it was copied instead: {:?}", hosts[0].notes);
    assert!(
        hosts[0].sql("SELECT 1 FROM pg_replication_slots").await.is_empty(),
        "it keeps no log for anybody"
    );
}

#[tokio::test]
async fn a_rewind_that_was_broken_off_leaves_nothing_that_counts_and_it_is_copied() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2"]);
    let mut hosts = diverged(&world).await;
    hosts[0].begin_to(rejoin());
    let state = hosts[0].settings.data.join("nines.json");
    let is_rewinding = || fs::read_to_string(&state).is_ok_and(|text| text.contains("rewinding"));
    let begin = std::time::Instant::now();
    while !is_rewinding() {
        assert!(begin.elapsed() < crate::support::LONG);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    hosts[0].end();
    hosts[0].begin().await.unwrap();
    let report = hosts[0].report().await;
    assert!(report.position.is_none() && report.pledged == TERM && report.serves.is_none(), "{report:?}");
    hosts[0].done(rejoin()).await;
    is_one_with(&mut hosts).await;
    assert_eq!(hosts[0].aside().len(), 1, "what is half one and half the other is kept, and not used");
}

#[tokio::test]
async fn a_standby_whose_log_is_gone_at_the_primary_says_so_and_is_copied() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2"]);
    let mut hosts = Vec::new();
    for name in ["db1", "db2"] {
        let mut settings = world.settings(name);
        for (name, value) in
            [("wal_keep_size", "0"), ("max_slot_wal_keep_size", "48MB"), ("max_wal_size", "32MB")]
        {
            settings.parameters.push((name.to_owned(), value.to_owned()));
        }
        settings.parameters.push(("min_wal_size".to_owned(), "32MB".to_owned()));
        hosts.push(world.host_with(settings).await);
    }
    world.form(&mut hosts).await;
    hosts[1].done(Effect::Pledge { term: 1 }).await;
    for _ in 0..8 {
        hosts[0].sql("INSERT INTO rows VALUES (1)").await;
        hosts[0].sql("SELECT pg_switch_wal()").await;
        hosts[0].sql("CHECKPOINT").await;
    }
    hosts[0].sql("TRUNCATE rows").await;
    hosts[0].sql("INSERT INTO rows SELECT generate_series(1, 3)").await;
    let follow = Effect::Follow { primary: "db1".into(), term: 1 };
    hosts[1].done(follow).await;
    hosts[1].wait_for("says that it lacks some", |report| report.diverged).await;
    let report = hosts[1].done(Effect::Rejoin { primary: "db1".into(), term: 1, afresh: false }).await;
    assert!(is_standby_of(&report, "db1", 1) && !report.diverged);
    let end = hosts[0].written().await;
    hosts[1].has(end).await;
    hosts[1].sees(1..=3).await;
}

#[tokio::test]
async fn a_copy_from_who_is_not_the_primary_of_that_term_changes_nothing() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2"]);
    let mut hosts = world.with_standbys().await;
    let before = hosts[1].report().await;
    let failure =
        hosts[1].perform(Effect::Rejoin { primary: "db1".into(), term: 3, afresh: false }).await.unwrap_err();
    assert!(failure.0.contains("as the primary of 3"), "{failure:?}");
    let report = hosts[1].report().await;
    assert_eq!(
        (report.role, report.position.map(|at| at.term)),
        (Role::Standby, before.position.map(|at| at.term))
    );
    assert!(hosts[1].aside().is_empty());
}
