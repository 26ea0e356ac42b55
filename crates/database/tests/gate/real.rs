//! With PostgreSQL itself behind the gate, and the clients that people use in front of it.

use std::future::poll_fn;
use std::process::Command;
use std::time::Duration;

use nines_database::gate::Gate;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, NoTls};

use crate::postgresql::{PASSWORD, PostgreSql, ROLE, config, connect, output};
use crate::stage::{
    BRIEFLY, CLOSE, Client, HOUR, SOON, hold, message, open_for, query, settings, startup, until,
};

fn psql(server: &PostgreSql, gate: &Gate, words: &str, text: &str) -> Result<String, String> {
    let mut psql: Command = server.program("psql");
    let port = gate.addresses().0.port();
    psql.env("PGPASSWORD", PASSWORD).args(["-XAtq", "-c", text]);
    psql.arg(format!("host=127.0.0.1 port={port} user={ROLE} dbname=postgres {words}"));
    output(psql)
}

/// As [`until`], with others' turn between.
async fn comes_true(what: &str, mut is_so: impl FnMut() -> bool) {
    let looks = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, looks).await.is_ok(), "never: {what}");
}

async fn idle(gate: &Gate, within: Duration) -> bool {
    tokio::time::timeout(within, gate.idle()).await.is_ok()
}

#[tokio::test]
async fn clients_work_and_are_told_in_their_own_way_when_it_ends() {
    let Some(server) = PostgreSql::start(&[]) else { return };
    let gate = server.gate(settings());
    let (client, connection) = connect(&gate).await.unwrap();
    // Many at one time, on one connection.
    let statement = client.prepare("insert into t values ($1) returning n").await.unwrap();
    let long: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&"x".repeat(1_000_000)];
    let (a, b, c) = tokio::join!(
        client.query_one(&statement, &[&1]),
        client.query_one(&statement, &[&2]),
        client.query_one("select $1::text", &long),
    );
    let sum = a.unwrap().get::<_, i32>(0) + b.unwrap().get::<_, i32>(0);
    assert_eq!((sum, c.unwrap().get::<_, String>(0).len()), (3, 1_000_000));
    let error = client.simple_query("select 1/0").await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::DIVISION_BY_ZERO));
    assert_eq!(psql(&server, &gate, "", "select sum(n) from t"), Ok("3".to_owned()));

    gate.set(&CLOSE);
    let error = connection.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::ADMIN_SHUTDOWN), "{error:?}");
    let error = connect(&gate).await.map(drop).expect_err("it is shut");
    assert_eq!(error.code(), Some(&SqlState::CANNOT_CONNECT_NOW), "{error:?}");
    let shown = psql(&server, &gate, "", "select 1").unwrap_err();
    assert!(shown.contains("FATAL:  this host does not serve the database now: not the primary"), "{shown}");
    assert!(shown.contains("HINT:"), "{shown}");
    let mut ready = server.program("pg_isready");
    ready.args(["-h", "127.0.0.1", "-p", &gate.addresses().0.port().to_string()]);
    assert_eq!(ready.output().unwrap().status.code(), Some(1), "it rejects connections");
    // PostgreSQL is rid of them too.
    comes_true("nobody is connected", || {
        server.sql(&format!("select count(*) from pg_stat_activity where usename = '{ROLE}'")) == "0"
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_commit_that_no_standby_has_is_an_error() {
    let Some(server) = PostgreSql::start(&[]) else { return };
    server.sql("alter system set synchronous_standby_names = 'nobody'");
    server.sql("select pg_reload_conf()");
    let gate = server.gate(settings());
    let waiting = "select coalesce(max(pid), 0) from pg_stat_activity where wait_event = 'SyncRep'";
    for (nth, way) in
        ["by the client", "by the client, in a transaction", "by an operator", "with warnings off"]
            .iter()
            .enumerate()
    {
        let (client, connection) = connect(&gate).await.unwrap();
        let cancel = client.cancel_token();
        let commit = tokio::spawn(async move {
            if nth == 1 {
                client.batch_execute("begin; insert into t values (1)").await?;
                return client.simple_query("commit").await.map(drop);
            }
            if nth == 3 {
                client.batch_execute("set client_min_messages = error").await?;
            }
            client.execute("insert into t values (1)", &[]).await.map(drop)
        });
        let mut pid = String::new();
        comes_true("it waits for a standby", || {
            pid = server.sql(waiting);
            pid != "0"
        })
        .await;
        if nth == 2 {
            server.sql(&format!("select pg_cancel_backend({pid})"));
        } else {
            cancel.cancel_query(NoTls).await.unwrap();
        }
        let error = commit.await.unwrap().expect_err("it was acknowledged");
        assert_eq!(error.code(), Some(&SqlState::TRANSACTION_RESOLUTION_UNKNOWN), "{way}: {error:?}");
        let _ = connection.await.unwrap();
    }
    assert_eq!(gate.counts().unconfirmed, 4);
    // A backend that is ended while it waits says nothing more by itself.
    let (client, _connection) = connect(&gate).await.unwrap();
    let commit = tokio::spawn(async move { client.execute("insert into t values (1)", &[]).await });
    let mut pid = String::new();
    comes_true("it waits for a standby", || {
        pid = server.sql(waiting);
        pid != "0"
    })
    .await;
    server.sql(&format!("select pg_terminate_backend({pid})"));
    assert!(commit.await.unwrap().is_err());
}

#[tokio::test]
async fn other_cancels_and_notices_are_as_ever() {
    let Some(server) = PostgreSql::start(&[]) else { return };
    let gate = server.gate(settings());
    let (client, mut connection) = config(&gate).connect(NoTls).await.unwrap();
    let (sender, mut notices) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notice(notice) = message {
                let _ = sender.send(notice.message().to_owned());
            }
        }
    });
    client.batch_execute("do $$ begin raise warning 'SyncRepWaitForLSN'; end $$").await.unwrap();
    assert_eq!(notices.recv().await.as_deref(), Some("SyncRepWaitForLSN"));
    let cancel = client.cancel_token();
    let sleeps = tokio::spawn(async move { (client.simple_query("select pg_sleep(60)").await, client) });
    comes_true("it sleeps", || {
        server.sql("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == "1"
    })
    .await;
    cancel.cancel_query(NoTls).await.unwrap();
    let (outcome, client) = sleeps.await.unwrap();
    assert_eq!(outcome.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    client.simple_query("select 1").await.unwrap();
}

#[tokio::test]
async fn a_hold_waits_for_transactions_and_costs_those_who_wait_nothing() {
    let Some(server) = PostgreSql::start(&[]) else { return };
    let gate = server.gate(settings());
    let (client, _) = connect(&gate).await.unwrap();
    let (other, _) = connect(&gate).await.unwrap();
    client.batch_execute("begin; insert into t values (1)").await.unwrap();
    gate.set(&hold());
    assert!(!idle(&gate, BRIEFLY).await, "a transaction is open");
    let asks = tokio::spawn(async move { other.query_one("select count(*) from t", &[]).await });
    client.execute("insert into t values (2)", &[]).await.unwrap();
    assert!(client.simple_query("select 1/0").await.is_err());
    assert!(!idle(&gate, BRIEFLY).await, "a failed transaction is open");
    client.batch_execute("rollback").await.unwrap();
    assert!(idle(&gate, SOON).await);
    assert_eq!(
        server.sql(&format!(
            "select count(*) from pg_stat_activity where usename = '{ROLE}' and state <> 'idle'"
        )),
        "0"
    );
    assert!(!asks.is_finished());
    let (comes, opens) = tokio::join!(connect(&gate), async {
        tokio::time::sleep(BRIEFLY).await;
        gate.set(&open_for(HOUR));
    });
    let () = opens;
    assert_eq!(asks.await.unwrap().unwrap().get::<_, i64>(0), 0);
    comes.unwrap().0.simple_query("select 1").await.unwrap();
}

#[test]
fn after_copying_of_any_kind_a_connection_is_idle_again() {
    let Some(server) = PostgreSql::start(&[]) else { return };
    let gate = server.gate(settings());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut client = Client::to(gate.addresses().0);
    client.say(&startup(&[("user", "trusted"), ("database", "postgres")]));
    client.hears_until(b'Z');
    let extended = |text: &str| {
        let parse = message(b'P', format!("\0{text}\0\0\0").as_bytes());
        [parse, message(b'B', &[0; 8]), message(b'E', &[0; 5]), message(b'S', b"")].concat()
    };
    let row = message(b'd', b"7\n");
    for (begin, end, idle_at_once) in [
        (query("copy t from stdin"), message(b'c', b""), false),
        (query("copy t from stdin"), message(b'f', b"no\0"), false),
        // The Sync that comes too early counts for nothing.
        (extended("copy t from stdin"), [message(b'c', b""), message(b'S', b"")].concat(), false),
        (extended("copy t from stdin"), [message(b'f', b"no\0"), message(b'S', b"")].concat(), false),
        (query("copy t to stdout"), Vec::new(), true),
        (extended("copy t to stdout"), Vec::new(), true),
        (extended("copy nothing from stdin"), Vec::new(), true),
    ] {
        client.say(&begin);
        if !idle_at_once {
            client.hears_until(b'G');
            client.say(&row);
            gate.set(&hold());
            assert!(runtime.block_on(async { !idle(&gate, BRIEFLY).await }), "it copies");
            client.say(&[row.clone(), end].concat());
        }
        client.hears_until(b'Z');
        gate.set(&hold());
        assert!(runtime.block_on(idle(&gate, SOON)), "{:?}", String::from_utf8_lossy(&begin));
        gate.set(&open_for(HOUR));
    }
    // Bad data: the server throws away the rest until a Sync.
    client.say(&extended("copy t from stdin"));
    client.hears_until(b'G');
    client.say(&message(b'd', b"no number\n"));
    client.hears_until(b'E');
    client.say(&[row, message(b'c', b""), message(b'S', b"")].concat());
    client.hears_until(b'Z');
    gate.set(&hold());
    assert!(runtime.block_on(idle(&gate, SOON)));
}

#[test]
fn a_standby_is_copied_and_streams_only_from_the_primary_of_its_term() {
    let Some(mut server) = PostgreSql::start(&[]) else { return };
    let gate = server.gate(settings());
    gate.set(&CLOSE);
    let port = gate.addresses().0.port();
    let source = format!("host=127.0.0.1 port={port} user=nines_replication options='-c nines.term=7'");
    let copy = server.data("standby");
    let mut backup = server.program("pg_basebackup");
    backup.args(["-D", &copy, "-R", "-c", "fast", "--no-sync", "-d", &source]);
    let refused = output(backup).unwrap_err();
    assert!(refused.contains("not the primary of term 7"), "{refused}");
    gate.set_engine(Some(server.engine(Some(7))));
    server.run("pg_basebackup", &["-D", &copy, "-R", "-c", "fast", "--no-sync", "-d", &source]);
    server.serve("standby", &["wal_retrieve_retry_interval=100ms"]);
    let streams = |so: &str| {
        until("it streams, or no longer", || {
            server.sql("select count(*) from pg_stat_replication where state = 'streaming'") == so
        });
    };
    streams("1");
    gate.close_replication();
    streams("0");
    gate.set_engine(Some(server.engine(Some(8))));
    until("it is refused again", || gate.counts().refused[0].1 >= 3);
    assert_eq!(server.sql("select count(*) from pg_stat_replication"), "0");
    gate.set_engine(Some(server.engine(Some(7))));
    streams("1");
    assert_eq!(gate.counts().replication_connections, 1);
}
