//! Users of the file, while one reload follows another.

use std::time::Instant;

use nines_database::hands::{Role, Settings};
use nines_system::Secret;

use crate::support::{LONG, Member, World, is_there, query};

/// As PostgreSQL keeps a password, so that it can be compared.
fn verifier(letter: char) -> String {
    let key = format!("{letter}{}=", "A".repeat(42));
    format!("SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==${key}:{key}")
}

fn wanted(settings: &Settings, letter: char, work_mem: &str) -> Settings {
    let (name, password) = ("shop".to_owned(), Secret::Text(verifier(letter)));
    let mut settings =
        Settings { users: vec![Role { name, password, owns: Vec::new() }], ..settings.clone() };
    settings.parameters.push(("work_mem".to_owned(), work_mem.to_owned()));
    settings
}

async fn reload(host: &Member, letter: char, work_mem: &str) {
    let checked = host.hands().check(wanted(&host.settings, letter, work_mem)).await.unwrap();
    host.hands().reconfigure(checked);
    comes(host, "SHOW work_mem", work_mem).await;
}

async fn comes(host: &Member, query: &str, expected: &str) {
    let begin = Instant::now();
    loop {
        let found = host.sql(query).await;
        if found == [[expected]] {
            return;
        }
        assert!(begin.elapsed() < LONG, "{query}: {found:?}, not {expected}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_reload_that_overtakes_another_is_neither_in_its_way_nor_undone_by_it() {
    const KEPT: &str = "SELECT rolpassword FROM pg_authid WHERE rolname = 'shop'";
    const WAITS: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    if !is_there() {
        return;
    }
    let world = World::new(&["db1"]);
    let mut hosts = world.with_standbys().await;
    let host = &mut hosts[0];
    reload(host, 'A', "5MB").await;
    comes(host, KEPT, &verifier('A')).await;
    // Somebody holds the first one up.
    let somebody = host.client().await;
    query(&somebody, "BEGIN; ALTER ROLE shop CONNECTION LIMIT 7").await;
    reload(host, 'B', "6MB").await;
    comes(host, WAITS, "1").await;
    reload(host, 'C', "7MB").await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    query(&somebody, "ROLLBACK").await;
    comes(host, KEPT, &verifier('C')).await;
    // What it has to tell has been told by then.
    host.report().await;
    assert!(!host.notes.iter().any(|note| note.contains("users and databases")), "{:?}", host.notes);
}
