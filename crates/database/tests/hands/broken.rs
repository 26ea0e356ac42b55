//! What the program's own end, a frozen server and lost data do.

use std::time::{Duration, Instant};

use nines_control::failover::{Effect, Role};
use rustix::process::Signal;

use crate::support::{LONG, Member, World, cohort, is_standby_of, is_there};

#[tokio::test]
async fn servers_that_run_are_taken_in_hand_again_and_nothing_is_interrupted() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2"]);
    let mut hosts = world.with_standbys().await;
    let both = cohort(&["db1", "db2"], 2);
    hosts[0].done(Effect::SetSynchronous { term: 1, cohort: both.clone() }).await;
    let pids: Vec<i32> = hosts.iter().map(Member::pid).collect();
    let client = hosts[0].client().await;
    for host in &mut hosts {
        host.end();
        host.begin().await.unwrap();
    }
    let report = hosts[0].report().await;
    assert_eq!((report.role, report.serves, report.synchronous), (Role::Primary, Some(1), Some(both)));
    assert!(is_standby_of(&hosts[1].report().await, "db1", 1));
    client.simple_query("INSERT INTO rows VALUES (1)").await.unwrap();
    let end = hosts[0].written().await;
    hosts[1].has(end).await;
    assert_eq!(hosts.iter().map(Member::pid).collect::<Vec<_>>(), pids);
    // And what was pledged holds.
    hosts[1].done(Effect::Pledge { term: 6 }).await;
    hosts[1].end();
    hosts[1].begin().await.unwrap();
    let report = hosts[1].report().await;
    assert_eq!((report.pledged, report.source), (6, None));
    let failure = hosts[1].perform(Effect::Follow { primary: "db1".into(), term: 5 }).await.unwrap_err();
    assert!(failure.0.contains("pledged to 6"), "{failure:?}");
}

#[tokio::test]
async fn a_frozen_server_is_unknown_in_time_and_a_pledge_ends_it() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2"]);
    let mut hosts = world.with_standbys().await;
    for signal in [Signal::STOP, Signal::CONT] {
        // The first process alone: connections that exist are still answered.
        hosts[0].signal(signal);
        let begin = Instant::now();
        let wanted = if signal == Signal::STOP { Role::Unknown } else { Role::Primary };
        hosts[0].wait_for("is seen", |report| report.role == wanted).await;
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?} after {:?}", wanted, begin.elapsed());
    }
    hosts[0].sql("INSERT INTO rows VALUES (1)").await;
    let end = hosts[0].written().await;
    for pid in hosts[0].processes() {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, Signal::STOP).unwrap();
    }
    hosts[0].wait_for("is seen", |report| report.role == Role::Unknown && report.position.is_some()).await;
    let begin = Instant::now();
    let report = hosts[0].done(Effect::Pledge { term: 2 }).await;
    assert!(begin.elapsed() < LONG / 2);
    assert_eq!((report.role, report.serves), (Role::Standby, None));
    assert!(report.position.unwrap().lsn >= end);
}

#[tokio::test]
async fn data_that_are_gone_take_what_was_pledged_with_them() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2"]);
    let mut hosts = world.with_standbys().await;
    hosts[1].done(Effect::Pledge { term: 3 }).await;
    for pid in hosts[1].processes() {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::KILL);
    }
    hosts[1].wait_for("is gone", |report| report.role == Role::Stopped).await;
    hosts[1].end();
    std::fs::rename(hosts[1].data(), world.path().join("elsewhere")).unwrap();
    hosts[1].begin().await.unwrap();
    let report = hosts[1].report().await;
    assert_eq!((report.pledged, report.position, report.source), (0, None, None));
    let report = hosts[1].done(Effect::Rejoin { primary: "db1".into(), term: 1, afresh: false }).await;
    assert!(is_standby_of(&report, "db1", 1) && report.position.is_some());
}

#[tokio::test]
async fn a_promotion_that_was_broken_off_is_finished_or_undone() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2"]);
    let mut hosts = world.with_standbys().await;
    let alone = cohort(&["db2"], 1);
    let mut term = 3;
    for after in [0, 20, 60, 100, 140] {
        hosts[1].done(Effect::Pledge { term }).await;
        hosts[1].begin_to(Effect::Promote { term, cohort: alone.clone() });
        tokio::time::sleep(Duration::from_millis(after)).await;
        hosts[1].end();
        if after % 40 == 20 {
            for pid in hosts[1].processes() {
                let _ =
                    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::KILL);
            }
        }
        hosts[1].begin().await.unwrap();
        let report = hosts[1].report().await;
        assert_eq!(report.pledged, term);
        assert!(
            report.position.is_some() && report.serves.is_none_or(|serves| serves == term),
            "{report:?} {:?}",
            hosts[1].notes
        );
        eprintln!("after {after} ms: {:?} {:?}", report.role, report.serves);
        // It was named for this term, and can be asked again.
        let report = hosts[1].done(Effect::Promote { term, cohort: alone.clone() }).await;
        assert_eq!((report.role, report.position.unwrap().term), (Role::Primary, term));
        assert_eq!(hosts[1].timeline().await, term);
        term += 2;
    }
}

#[tokio::test]
async fn a_standby_whose_disk_failed_while_it_was_told_to_stream_streams_later() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2"]);
    let mut hosts = world.with_standbys().await;
    hosts[1].done(Effect::Pledge { term: 1 }).await;
    // No file can be put where a directory is.
    let passfile = hosts[1].settings.data.join("run/replication.pass");
    std::fs::create_dir_all(passfile.join("in-the-way")).unwrap();
    let failure = hosts[1].perform(Effect::Follow { primary: "db1".into(), term: 1 }).await.unwrap_err();
    assert!(failure.0.contains("password"), "{failure:?}");
    hosts[0].sql("INSERT INTO rows VALUES (1)").await;
    let end = hosts[0].written().await;
    std::fs::remove_dir_all(&passfile).unwrap();
    hosts[1].has(end).await;
}

#[tokio::test]
async fn data_that_need_log_that_is_gone_are_given_up_after_a_while() {
    if !is_there() {
        return;
    }
    let mut world = World::new(&["db1", "db2"]);
    world.hopeless_after = Duration::from_secs(4);
    let mut hosts = world.with_standbys().await;
    hosts[0].sql("CREATE TABLE dropped AS SELECT generate_series(1, 1000)").await;
    for _ in 0..2 {
        hosts[0].sql("SELECT pg_switch_wal()").await;
        hosts[0].sql("INSERT INTO rows VALUES (1)").await;
    }
    // Files that are removed from the disk say how far the log must go.
    hosts[0].sql("DROP TABLE dropped").await;
    hosts[0].sql("DELETE FROM rows").await;
    let end = hosts[0].written().await;
    hosts[1].has(end).await;
    hosts[1].sees([]).await;
    for pid in hosts[1].processes() {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::KILL);
    }
    hosts[1].wait_for("is gone", |report| report.role == Role::Stopped).await;
    let wal = std::fs::read_dir(hosts[1].data().join("pg_wal")).unwrap().flatten();
    let mut files: Vec<_> = wal.map(|it| it.path()).filter(|it| it.is_file()).collect();
    files.sort();
    let used = hosts[0].sql("SELECT pg_walfile_name(pg_current_wal_lsn())").await[0][0].clone();
    for file in files.iter().filter(|it| it.file_name().unwrap().to_str().unwrap() >= used.as_str()) {
        std::fs::remove_file(file).unwrap();
    }
    let failure = hosts[1].perform(Effect::Pledge { term: 2 }).await.unwrap_err();
    assert!(failure.0.contains("more of the log"), "{failure:?}");
    let report = hosts[1].report().await;
    assert!(report.position.is_none() && report.diverged, "{report:?}");
}
