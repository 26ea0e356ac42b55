//! A database that somebody else has made.

use std::fs;
use std::path::Path;
use std::process::Command;

use nines_control::failover::{Effect, Role};
use nines_database::hands::adopt;

use crate::support::{World, as_postgres, cohort, is_there, programs};

/// As somebody makes one without nines.
fn make(data: &Path) {
    as_postgres(Command::new(programs().join("initdb")).arg("-D").arg(data).args([
        "-U",
        "postgres",
        "-A",
        "trust",
        "--no-sync",
    ]));
    let conf = data.join("postgresql.conf");
    let text = fs::read_to_string(&conf).unwrap();
    let sockets = data.display();
    let own = "work_mem = 7MB\nfsync = off\nlisten_addresses = ''\n";
    fs::write(&conf, format!("{text}\n{own}unix_socket_directories = '{sockets}'\n")).unwrap();
}

#[tokio::test]
async fn a_server_that_runs_is_adopted_with_its_data_and_settings_and_gets_a_standby() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1", "db2"]);
    let existing = world.writable("theirs").join("main");
    make(&existing);
    let started = as_postgres(
        Command::new(programs().join("pg_ctl"))
            .arg("-D")
            .arg(&existing)
            .args(["-w", "-l"])
            .arg(existing.join("log"))
            .arg("start"),
    );
    assert!(started);
    let sql = "CREATE TABLE rows (id int); INSERT INTO rows SELECT generate_series(1, 50)";
    as_postgres(
        Command::new(programs().join("psql")).arg("-h").arg(&existing).args(["-qXc", sql, "postgres"]),
    );
    let adopted = adopt(world.settings("db1"), &existing).await.unwrap();
    assert!(adopted.primary && adopted.term == 1 && !existing.exists());
    assert!(adopted.notes.iter().any(|note| note.contains("fsync")), "{:?}", adopted.notes);
    let again = adopt(world.settings("db1"), world.path()).await.unwrap_err();
    assert!(again.to_string().contains("already"), "{again}");
    let mut hosts = [world.host("db1").await, world.host("db2").await];
    let report = hosts[0].report().await;
    assert_eq!((report.role, report.serves, report.pledged), (Role::Stopped, Some(1), 1));
    hosts[0].done(Effect::Promote { term: 1, cohort: cohort(&["db1"], 1) }).await;
    hosts[0].sees(1..=50).await;
    let settings = hosts[0]
        .sql("SELECT current_setting('work_mem'), current_setting('fsync'), current_setting('wal_log_hints')")
        .await;
    assert_eq!(settings[0], ["7MB", "on", "on"]);
    hosts[0].is_furnished().await;
    hosts[1].done(Effect::Rejoin { primary: "db1".into(), term: 1, afresh: false }).await;
    hosts[1].sees(1..=50).await;
}
