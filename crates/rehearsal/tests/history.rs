//! Transactions on lists against a plain PostgreSQL, and the verdict on what they saw.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod postgres;

use std::time::Duration;

use nines_rehearsal::history::{AppendLoad, Appenders, History, Isolation, Known, Step, check, finish};
use postgres::{Postgres, here};

fn load(postgres: &Postgres, isolation: Isolation) -> AppendLoad {
    AppendLoad {
        way: postgres.way(),
        login: postgres.login(),
        isolation,
        processes: 4,
        seed: 7,
        timeout: Duration::from_secs(1),
        patience: Duration::from_secs(20),
    }
}

async fn grown(postgres: &Postgres, appends: usize) {
    let count = "SELECT coalesce(sum(cardinality(list)), 0) FROM nines_lists";
    for _ in 0..2000 {
        if postgres.ask(count).is_ok_and(|sum| sum.parse::<usize>().unwrap() >= appends) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(postgres.ask(count).unwrap().is_empty(), "the lists don't grow");
}

/// A server that is killed in between.
async fn survived(isolation: Isolation) -> Option<(Postgres, History)> {
    let mut postgres = Postgres::start()?;
    let appenders = Appenders::start(here(), load(&postgres, isolation)).unwrap();
    grown(&postgres, 100).await;
    postgres.kill();
    postgres.up();
    grown(&postgres, 200).await;
    let history = appenders.stop().await.unwrap();
    Some((postgres, history))
}

#[tokio::test]
async fn a_killed_server_keeps_its_isolation() {
    for isolation in Isolation::ALL {
        let Some((postgres, history)) = survived(isolation).await else { return };
        assert!(history.count(Known::Ok) > 50, "{}", history.count(Known::Ok));
        let ended: u64 = [Known::Ok, Known::Fail, Known::Info].map(|known| history.count(known)).iter().sum();
        assert_eq!(history.count(Known::Invoke), ended, "each has an end");
        let (history, last) = finish(here(), load(&postgres, isolation), history).await.unwrap();
        let findings = check(&history, &last, isolation);
        assert_eq!(findings.why, [""; 0], "{isolation:?}: {findings:?}");
        let appended: usize = last.values().map(Vec::len).sum();
        assert!(appended >= 200);
    }
}

#[tokio::test]
async fn an_append_that_is_taken_out_by_hand_is_missed() {
    let isolation = Isolation::Serializable;
    let Some((postgres, history)) = survived(isolation).await else { return };
    let acknowledged = history.entries.iter().filter(|entry| entry.known == Known::Ok);
    let mut appends = acknowledged.flat_map(|entry| &entry.steps).filter_map(|step| match step {
        Step::Append { key, value } => Some((*key, *value)),
        Step::Read { .. } => None,
    });
    let (key, value) = appends.next().unwrap();
    let forget = format!("UPDATE nines_lists SET list = array_remove(list, {value}) WHERE key = {key}");
    assert_eq!(postgres.ask(&forget).unwrap(), "UPDATE 1");
    let (history, last) = finish(here(), load(&postgres, isolation), history).await.unwrap();
    let findings = check(&history, &last, isolation);
    assert_eq!(findings.lost, 1, "{findings:?}");
    assert!(!findings.anomalies.is_empty(), "the other check finds it, too: {findings:?}");
}
