//! The rule that every commit waits for.

use std::time::Duration;

use nines_control::failover::Effect;

use crate::support::{World, cohort, is_there, query};

#[tokio::test]
async fn no_commit_is_acknowledged_by_a_rule_that_was_replaced() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2", "db3"]);
    let mut hosts = world.with_standbys().await;
    let set = |cohort| Effect::SetSynchronous { term: 1, cohort };
    let two = cohort(&["db1", "db2", "db3"], 2);
    hosts[0].done(set(two.clone())).await;
    hosts[0].sql("INSERT INTO rows VALUES (1)").await;
    // The third is gone, and is wanted: the second's word is not enough any more.
    hosts[2].done(Effect::Pledge { term: 1 }).await;
    hosts[0].wait_for("is gone", |report| report.standbys.len() == 1).await;
    let all = cohort(&["db1", "db2", "db3"], 3);
    let report = hosts[0].done(set(all.clone())).await;
    assert_eq!(report.synchronous, Some(all));
    let client = hosts[0].client().await;
    let mut commit = tokio::spawn(async move { query(&client, "INSERT INTO rows VALUES (2)").await });
    assert!(
        tokio::time::timeout(Duration::from_millis(700), &mut commit).await.is_err(),
        "it was acknowledged"
    );
    let end = hosts[0].written().await;
    hosts[1].has(end).await;
    // It is acknowledged by the rule that is in force then.
    let report = hosts[0].done(set(two.clone())).await;
    assert_eq!(report.synchronous, Some(two));
    tokio::time::timeout(crate::support::LONG, commit).await.unwrap().unwrap();
    // And by nobody at all, and again by somebody.
    let alone = cohort(&["db1"], 1);
    hosts[0].done(set(alone)).await;
    hosts[1].done(Effect::Pledge { term: 1 }).await;
    hosts[0].sql("INSERT INTO rows VALUES (3)").await;
    hosts[0].done(set(cohort(&["db1", "db2"], 2))).await;
    let client = hosts[0].client().await;
    let mut commit = tokio::spawn(async move { query(&client, "INSERT INTO rows VALUES (4)").await });
    assert!(
        tokio::time::timeout(Duration::from_millis(700), &mut commit).await.is_err(),
        "it was acknowledged"
    );
    hosts[1].done(Effect::Follow { primary: "db1".into(), term: 1 }).await;
    tokio::time::timeout(crate::support::LONG, commit).await.unwrap().unwrap();
}

/// Whoever reads a report in between shuts the gate if no rule is in force.
#[tokio::test]
async fn while_one_rule_replaces_another_no_report_says_that_there_is_none() {
    if !is_there() {
        return;
    }
    let mut world = World::new(&["db1", "db2", "db3"]);
    // However slow the machine is.
    world.lease = Duration::from_secs(30);
    let mut hosts = world.with_standbys().await;
    let rules = [cohort(&["db1", "db2", "db3"], 2), cohort(&["db1", "db2"], 2)];
    let primary = &mut hosts[0];
    primary.done(Effect::SetSynchronous { term: 1, cohort: rules[1].clone() }).await;
    for round in 0..30 {
        let id = primary.begin_to(Effect::SetSynchronous { term: 1, cohort: rules[round % 2].clone() });
        let mut reports = primary.reports_until(id).await;
        let last = reports.pop().unwrap();
        assert_eq!(last.synchronous.as_ref(), Some(&rules[round % 2]));
        assert!(reports.iter().all(|report| report.synchronous.is_some()), "round {round}");
    }
}

#[tokio::test]
async fn a_rule_that_somebody_set_by_hand_is_not_reported_as_ordered() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1"]);
    let mut hosts = world.with_standbys().await;
    let alone = cohort(&["db1"], 1);
    assert_eq!(hosts[0].report().await.synchronous, Some(alone.clone()));
    hosts[0].sql("ALTER SYSTEM SET synchronous_standby_names = 'somebody'").await;
    hosts[0].sql("SELECT pg_reload_conf()").await;
    hosts[0].wait_for("is seen", |report| report.synchronous.is_none()).await;
    let report = hosts[0].done(Effect::SetSynchronous { term: 1, cohort: alone.clone() }).await;
    assert_eq!(report.synchronous, Some(alone));
}
