//! What a new primary has to have: slots for its standbys, roles and their databases, and a checkpoint.

use std::sync::Arc;
use std::time::Duration;

use nines_control::failover::{Failure, Term};

use super::body::Body;
use super::config;
use super::sql::{self, Session, Trouble};
use super::{REPLICATOR, lock};

/// Creating a database, or a checkpoint, may take so long.
const PATIENCE: Duration = Duration::from_secs(300);
const AGAIN: Duration = Duration::from_secs(5);

/// What pg_rewind reads by.
const GRANTS: &[&str] = &[
    "pg_catalog.pg_ls_dir(text, boolean, boolean)",
    "pg_catalog.pg_stat_file(text, boolean)",
    "pg_catalog.pg_read_binary_file(text)",
    "pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
];

/// Once for each term; until it is done, or it is the primary no more.
pub(super) async fn after_promotion(body: Arc<Body>) {
    let Some(term) = body.state().serves else { return };
    if lock(&body.memory).furnished.replace(term) == Some(term) {
        return;
    }
    let mut said = None;
    while body.state().serves == Some(term) {
        let Err(failure) = furnish(&body, term).await else { return };
        if said.as_ref() != Some(&failure) {
            body.note(format!("users and databases: {}", failure.0)).await;
            said = Some(failure);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn furnish(body: &Arc<Body>, term: Term) -> Result<(), Failure> {
    let _alone = body.furnishing.lock().await;
    let session = body.session().await?.within(PATIENCE);
    make_slots(body, &session).await?;
    replicator(body, &session).await?;
    // So that who must be rewound can see the new timeline, and a stop is quick.
    if body.state().history.last().is_some_and(|branch| branch.term == term) {
        session.run("CHECKPOINT").await?;
    }
    let wanted = body.wanted();
    for (role, password) in wanted.settings.users.iter().zip(&wanted.passwords) {
        make_role(&session, &role.name, "LOGIN", password).await?;
        for database in &role.owns {
            make_database(&session, database, &role.name).await?;
        }
    }
    Ok(())
}

/// So that what standbys lack is kept for them, within bounds. A slot that was lost is of no use to anybody.
pub(super) async fn make_slots(body: &Body, session: &Session) -> Result<(), Failure> {
    let others = body.settings.hosts.iter().filter(|host| **host != body.settings.me);
    let names: Vec<String> = others.map(|host| sql::string(&config::slot(host))).collect();
    if names.is_empty() {
        return Ok(());
    }
    let names = names.join(", ");
    let _alone = body.slots.lock().await;
    drop_unused(session, &format!("NOT active AND (wal_status = 'lost' OR slot_name NOT IN ({names}))"))
        .await?;
    let missing = format!(
        "SELECT pg_create_physical_replication_slot(name, true) FROM unnest(ARRAY[{names}]) AS name \
         WHERE NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = name)"
    );
    session.run(&missing).await?;
    Ok(())
}

/// A standby's own would keep its log for nobody.
pub(super) async fn drop_slots(session: &Session) -> Result<(), Failure> {
    drop_unused(session, "true").await
}

/// One at a time: who uses one, or comes to use it just now, keeps it, and no other has to stay for that. What is gone by then is fine.
async fn drop_unused(session: &Session, which: &str) -> Result<(), Failure> {
    let ours = "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'nines\\_%' AND";
    for row in session.rows(&format!("{ours} {which}")).await? {
        let Some(slot) = row.into_iter().next().flatten() else { continue };
        match session.run(&format!("SELECT pg_drop_replication_slot({})", sql::string(&slot))).await {
            Ok(()) | Err(Trouble::InUse | Trouble::Gone(_)) => {}
            Err(trouble) => return Err(trouble.into()),
        }
    }
    Ok(())
}

/// Its password is what it is on all hosts now.
pub(super) async fn replicator(body: &Body, session: &Session) -> Result<(), Failure> {
    let wanted = body.wanted();
    let Some(password) = &wanted.replication_password else { return Ok(()) };
    make_role(session, REPLICATOR, "LOGIN REPLICATION", password).await?;
    for function in GRANTS {
        session.run(&format!("GRANT EXECUTE ON FUNCTION {function} TO {}", sql::name(REPLICATOR))).await?;
    }
    Ok(())
}

/// The statement has the password in it: it is kept out of the log, whatever the settings are.
async fn make_role(session: &Session, name: &str, attributes: &str, password: &str) -> Result<(), Failure> {
    for quiet in
        ["log_min_error_statement = panic", "log_min_duration_statement = -1", "log_min_duration_sample = -1"]
    {
        session.run(&format!("SET {quiet}")).await?;
    }
    let known = format!("SELECT 1 FROM pg_roles WHERE rolname = {}", sql::string(name));
    let verb = if session.one(&known).await?.is_some() { "ALTER" } else { "CREATE" };
    let (name, password) = (sql::name(name), sql::string(password));
    Ok(session.run(&format!("{verb} ROLE {name} WITH {attributes} PASSWORD {password}")).await?)
}

async fn make_database(session: &Session, name: &str, owner: &str) -> Result<(), Failure> {
    let known = format!("SELECT 1 FROM pg_database WHERE datname = {}", sql::string(name));
    if session.one(&known).await?.is_some() {
        return Ok(());
    }
    Ok(session.run(&format!("CREATE DATABASE {} OWNER {}", sql::name(name), sql::name(owner))).await?)
}
