//! Writers against a plain PostgreSQL: what they count, and that the search for lost rows can find some.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod postgres;

use std::time::{Duration, Instant};

use nines_rehearsal::writers::{Found, Place, WriteLoad, WriteRecord, Writers, find};
use postgres::{Postgres, here};

const SOON: Duration = Duration::from_secs(30);

fn load(postgres: &Postgres) -> WriteLoad {
    WriteLoad {
        ways: vec![postgres.way()],
        login: postgres.login(),
        writers: 4,
        pace: Duration::from_millis(5),
        timeout: Duration::from_secs(1),
        patience: Duration::from_secs(10),
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < end, "not within {SOON:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn written(writers: &Writers, rows: u64) {
    let before = writers.live().acknowledged();
    until("rows are written", || writers.live().acknowledged() >= before + rows).await;
}

/// Once at the way in, and once as if it were a host.
async fn search(postgres: &Postgres, record: &WriteRecord, patience: Duration) -> Found {
    let host = Place { name: "db1".to_owned(), way: postgres.way() };
    find(here(), (postgres.way(), vec![host]), postgres.login(), record, patience).await.unwrap()
}

#[tokio::test]
async fn every_acknowledged_row_is_found_and_one_that_is_gone_is_missed() {
    let Some(postgres) = Postgres::start() else { return };
    let writers = Writers::start(here(), load(&postgres)).await.unwrap();
    written(&writers, 200).await;
    let record = writers.stop().await.unwrap();
    assert_eq!(record.errors(), 0, "{:?}", record.first_errors);
    let rows = record.acknowledged.len();
    assert_eq!(postgres.ask("SELECT count(*) FROM nines_rehearsal").unwrap(), rows.to_string());
    let found = search(&postgres, &record, SOON).await;
    assert_eq!((&found.lost, found.lacking.len(), found.unread.len()), (&Ok(0), 0, 0));

    let gone = record.acknowledged[rows / 2];
    let delete = format!("DELETE FROM nines_rehearsal WHERE writer = {} AND n = {}", gone.writer, gone.n);
    assert_eq!(postgres.ask(&delete).unwrap(), "DELETE 1");
    let found = search(&postgres, &record, Duration::from_millis(300)).await;
    assert_eq!(found.lost, Ok(1));
    assert_eq!(found.lacking, [("db1".to_owned(), 1)].into());

    // A later run has numbers of its own: what an earlier one lost is not its loss, nor can its rows pass for theirs.
    let writers = Writers::start(here(), load(&postgres)).await.unwrap();
    written(&writers, 50).await;
    let later = writers.stop().await.unwrap();
    assert_eq!(search(&postgres, &later, SOON).await.lost, Ok(0));
    assert_eq!(search(&postgres, &record, Duration::from_millis(300)).await.lost, Ok(1));
}

#[tokio::test]
async fn a_killed_server_costs_errors_and_a_gap_and_no_row() {
    let Some(mut postgres) = Postgres::start() else { return };
    let writers = Writers::start(here(), load(&postgres)).await.unwrap();
    written(&writers, 100).await;
    let killed = Instant::now();
    postgres.kill();
    let dead = Instant::now();
    until("each writer has met an error", || writers.live().errors() >= 8).await;
    let dead = dead.elapsed();
    postgres.up();
    written(&writers, 100).await;
    let record = writers.stop().await.unwrap();
    assert!(record.errors() >= 8, "{:?}", record.errors);
    assert!(record.errors.contains_key("refused"), "{:?}", record.errors);
    assert!(record.longest_gap(1) >= dead, "{:?} in {dead:?}", record.longest_gap(1));
    assert!(record.first_errors.iter().all(|failed| failed.begun + failed.took >= killed));
    assert_eq!(search(&postgres, &record, SOON).await.lost, Ok(0));
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_after_the_time_out_and_its_answer_is_not_counted() {
    let Some(postgres) = Postgres::start() else { return };
    let timeout = Duration::from_secs(1);
    let writers = Writers::start(here(), WriteLoad { timeout, ..load(&postgres) }).await.unwrap();
    written(&writers, 100).await;
    postgres.signal("-STOP");
    until("all have given up", || writers.live().errors() >= 4).await;
    let acknowledged = writers.live().acknowledged();
    until("and again", || writers.live().errors() >= 8).await;
    assert_eq!(
        writers.live().acknowledged(),
        acknowledged,
        "a server that stands still acknowledges nothing"
    );
    postgres.signal("-CONT");
    written(&writers, 100).await;
    let record = writers.stop().await.unwrap();
    let hung: u64 = record.errors["timeout"] + record.errors.get("connect-timeout").unwrap_or(&0);
    assert!(hung >= 8, "{:?}", record.errors);
    assert!(record.longest_gap(1) >= timeout);
    let first = &record.first_errors[0];
    assert!(first.took >= timeout && first.took < timeout * 3, "{first:?}");
    assert_eq!(search(&postgres, &record, SOON).await.lost, Ok(0));
    let there: usize = postgres.ask("SELECT count(*) FROM nines_rehearsal").unwrap().parse().unwrap();
    assert!(there >= record.acknowledged.len());
}

#[tokio::test]
async fn who_can_not_write_at_all_is_told_why() {
    let Some(mut postgres) = Postgres::start() else { return };
    let mut wrong = load(&postgres);
    wrong.login.password = "guessed".to_owned();
    wrong.patience = Duration::from_millis(100);
    let error = Writers::start(here(), wrong).await.unwrap_err().to_string();
    assert!(error.contains("password authentication failed") && error.contains("28P01"), "{error}");
    assert!(!error.contains("guessed"), "{error}");

    let writers = Writers::start(here(), load(&postgres)).await.unwrap();
    written(&writers, 20).await;
    let record = writers.stop().await.unwrap();
    postgres.kill();
    let found = search(&postgres, &record, Duration::from_millis(300)).await;
    assert!(found.lost.unwrap_err().contains("refused"), "what can't be read is not known to be there");
    assert!(found.unread["db1"].contains("refused"));
}
