//! Terms and positions through initialisation, copies, pledges, promotions and crashes.

use nines_control::failover::{Effect, Position, Role};
use rustix::process::Signal;

use crate::support::{World, cohort, is_standby_of, is_there};

#[tokio::test]
async fn a_promotion_makes_the_timeline_of_its_term_with_all_rows() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2", "db3"]);
    let mut hosts = world.with_standbys().await;
    let both = cohort(&["db1", "db2", "db3"], 2);
    hosts[0].done(Effect::SetSynchronous { term: 1, cohort: both.clone() }).await;
    hosts[0].sql("INSERT INTO rows SELECT generate_series(1, 100)").await;
    let end = hosts[0].written().await;
    hosts[1].has(end).await;
    let term = 5;
    for host in &mut hosts[1..] {
        let report = host.done(Effect::Pledge { term }).await;
        assert_eq!((report.pledged, report.serves, report.source), (term, None, None));
        let at = report.position.unwrap();
        assert!(at.term == 1 && at.lsn >= end, "{at}, {end}");
    }
    let report = hosts[1].done(Effect::Promote { term, cohort: both.clone() }).await;
    assert_eq!(
        (report.role, report.serves, report.synchronous),
        (Role::Primary, Some(term), Some(both.clone()))
    );
    assert_eq!(report.position.unwrap().term, term);
    assert_eq!(hosts[1].timeline().await, term);
    hosts[2].goes_with("db2", term).await;
    // It waits for who follows now.
    hosts[1].sql("INSERT INTO rows VALUES (101)").await;
    assert_eq!(hosts[1].rows().await, (1..=101).collect::<Vec<i32>>());
    let end = hosts[1].written().await;
    hosts[2].has(end).await;
    assert_eq!(hosts[2].report().await.position.unwrap().term, term);
    // And the former primary, which has nothing that the new one lacks or is rewound.
    let report = hosts[0].done(Effect::Pledge { term }).await;
    assert_eq!((report.role, report.serves), (Role::Standby, None));
    let report = hosts[0].done(Effect::Follow { primary: "db2".into(), term }).await;
    assert!(is_standby_of(&report, "db2", term));
    // A handover that comes to nothing: it goes on, on the same timeline, and who follows says so anew.
    let term = 6;
    let report = hosts[1].done(Effect::Continue { term, cohort: both.clone() }).await;
    assert_eq!((report.serves, report.synchronous, hosts[1].timeline().await), (Some(6), Some(both), 5));
    let failure = hosts[1].perform(Effect::Follow { primary: "db3".into(), term: 5 }).await.unwrap_err();
    assert!(failure.0.contains("pledged to 6"));
    hosts[2].done(Effect::Follow { primary: "db2".into(), term }).await;
    hosts[1].sql("INSERT INTO rows VALUES (102)").await;
    // Either of the two may have confirmed that.
    let end = hosts[1].written().await;
    hosts[2].has(end).await;
    // To a much later term, and back again.
    let term = 9;
    for host in &mut hosts {
        host.done(Effect::Pledge { term }).await;
    }
    hosts[2].done(Effect::Promote { term, cohort: cohort(&["db3"], 1) }).await;
    assert_eq!(hosts[2].timeline().await, term);
    hosts[2].sql("INSERT INTO rows VALUES (103)").await;
    hosts[1].goes_with("db3", term).await;
    let end = hosts[2].written().await;
    hosts[1].has(end).await;
    hosts[1].sees(1..=103).await;
}

#[tokio::test]
async fn the_end_of_a_standby_that_crashed_is_exact() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2"]);
    let mut hosts = world.with_standbys().await;
    hosts[0].done(Effect::SetSynchronous { term: 1, cohort: cohort(&["db1", "db2"], 2) }).await;
    hosts[0].sql("INSERT INTO rows SELECT generate_series(1, 5000)").await;
    let end = hosts[0].written().await;
    for pid in hosts[1].processes() {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }
    let report = hosts[1].wait_for("is seen to be gone", |report| report.role == Role::Stopped).await;
    assert!(report.position.is_some() && report.source.is_some(), "{report:?}");
    let report = hosts[1].done(Effect::Pledge { term: 2 }).await;
    let at = report.position.unwrap();
    assert!(at.term == 1 && at.lsn >= end, "{at} has what was acknowledged, {end}");
    assert_eq!(hosts[1].rows().await.len(), 5000);
    assert_eq!(hosts[1].report().await.position, Some(at), "it grows no further");
}

#[tokio::test]
async fn the_end_of_a_primary_that_crashed_is_exact_and_it_can_go_on() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1"]);
    let mut hosts = world.with_standbys().await;
    let host = &mut hosts[0];
    let alone = cohort(&["db1"], 1);
    host.sql("INSERT INTO rows SELECT generate_series(1, 3000)").await;
    let end = host.written().await;
    host.signal(Signal::KILL);
    host.wait_for("is seen to be gone", |report| report.role == Role::Stopped && report.serves == Some(1))
        .await;
    // Of this very term: it goes on.
    let report = host.done(Effect::Promote { term: 1, cohort: alone.clone() }).await;
    assert_eq!((report.role, host.timeline().await), (Role::Primary, 1));
    assert_eq!(host.rows().await.len(), 3000);
    host.sql("INSERT INTO rows VALUES (3001)").await;
    let later = host.written().await;
    assert!(later > end);
    host.signal(Signal::KILL);
    host.wait_for("is seen to be gone", |report| report.role == Role::Stopped).await;
    let report = host.done(Effect::Pledge { term: 4 }).await;
    let at = report.position.unwrap();
    assert!(at.term == 1 && at.lsn >= later && at.lsn < later + 8192, "{at}, {later}");
    let failure = host.perform(Effect::Promote { term: 3, cohort: alone.clone() }).await.unwrap_err();
    assert!(failure.0.contains("pledged to 4"), "{failure:?}");
    host.done(Effect::Promote { term: 4, cohort: alone }).await;
    assert_eq!(host.timeline().await, 4);
    assert_eq!(host.rows().await.len(), 3001);
}

#[tokio::test]
async fn a_promotion_of_which_a_standby_has_nothing_is_no_part_of_the_next_one() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2", "db3"]);
    let mut hosts = world.with_standbys().await;
    hosts[0].sql("INSERT INTO rows VALUES (1)").await;
    let end = hosts[0].written().await;
    hosts[2].has(end).await;
    let pledged = hosts[2].done(Effect::Pledge { term: 2 }).await.position.unwrap();
    // What the third never gets.
    hosts[0].sql("INSERT INTO rows VALUES (2)").await;
    let end = hosts[0].written().await;
    hosts[1].has(end).await;
    hosts[1].done(Effect::Pledge { term: 2 }).await;
    hosts[1].done(Effect::Promote { term: 2, cohort: cohort(&["db2"], 1) }).await;
    // The third knows of the second term's history, and is broken off before it has anything of it.
    hosts[2].done(Effect::Follow { primary: "db2".into(), term: 2 }).await;
    let end = hosts[1].written().await;
    hosts[2].has(end).await;
    let report = hosts[2].done(Effect::Pledge { term: 7 }).await;
    assert_eq!(report.position.unwrap().term, 2);
    assert!(report.position.unwrap() > pledged);
    hosts[2].done(Effect::Promote { term: 7, cohort: cohort(&["db3"], 1) }).await;
    assert_eq!(hosts[2].rows().await, [1, 2]);
    let branches = hosts[2].hands().ancestry(7).branches.unwrap();
    assert_eq!(branches.iter().map(|branch| branch.term).collect::<Vec<_>>(), [1, 2, 7]);
    assert_eq!(hosts[2].hands().ancestry(6).branches, None);
}

#[tokio::test]
async fn a_promotion_by_hand_has_nothing_that_counts_and_comes_back_by_a_copy() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2"]);
    let mut hosts = world.with_standbys().await;
    hosts[1].sql("SELECT pg_promote()").await;
    let report = hosts[1].wait_for("is seen", |report| report.role == Role::Primary).await;
    assert_eq!((report.position, report.serves), (None, None));
    // Nobody confirms it: it is only the one who did this that can have wanted it.
    hosts[1].sql("SET synchronous_commit = local; INSERT INTO rows VALUES (666)").await;
    let report = hosts[1].done(Effect::Rejoin { primary: "db1".into(), term: 1, afresh: false }).await;
    assert!(is_standby_of(&report, "db1", 1) && report.position.is_some(), "{report:?}");
    hosts[0].sql("INSERT INTO rows VALUES (1)").await;
    let end = hosts[0].written().await;
    hosts[1].has(end).await;
    hosts[1].sees([1]).await;
    assert_eq!(hosts[1].aside().len(), 1, "what was there is kept");
    assert_eq!(hosts[1].report().await.position.map(|Position { term, .. }| term), Some(1));
}
