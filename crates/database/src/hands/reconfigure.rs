//! What may change while PostgreSQL runs: looked at as a whole before anything goes by it.

use std::sync::Arc;

use nines_control::failover::Failure;

use super::body::Body;
use super::settings::reveal;
use super::{Refusal, Settings, config, lock, place, users};

/// Settings with the passwords that the files have now.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) settings: Settings,
    pub(super) replication_password: Option<String>,
    /// Of the users, in their order.
    pub(super) passwords: Vec<String>,
}

/// Settings that PostgreSQL has been found to accept.
#[derive(Debug)]
pub struct Checked(pub(super) Arc<Wanted>);

impl Wanted {
    /// # Errors
    /// A password can't be read.
    pub(super) fn of(settings: &Settings) -> Result<Self, Refusal> {
        Ok(Self {
            replication_password: settings.replication_password.as_ref().map(reveal).transpose()?,
            passwords: settings.users.iter().map(|role| reveal(&role.password)).collect::<Result<_, _>>()?,
            settings: settings.clone(),
        })
    }

    fn is(&self, other: &Self) -> bool {
        let (one, two) = (&self.settings, &other.settings);
        self.replication_password == other.replication_password
            && self.passwords == other.passwords
            && one.users == two.users
            && one.parameters == two.parameters
            && one.access == two.access
            && one.keep == two.keep
    }
}

pub(super) async fn check(body: &Body, settings: Settings) -> Result<Arc<Wanted>, Refusal> {
    settings.check()?;
    let before = body.wanted();
    // What else is in there stays as it was.
    let settings = Settings {
        parameters: settings.parameters,
        access: settings.access,
        users: settings.users,
        replication_password: settings.replication_password,
        keep: settings.keep,
        ..before.settings.clone()
    };
    let wanted = Wanted::of(&settings)?;
    if body.state().counts() {
        if settings.parameters != before.settings.parameters {
            body.validate(&settings).await?;
        }
        if settings.access != before.settings.access && body.server().is_some() {
            check_access(body, &settings, &before.settings).await?;
        }
    }
    Ok(Arc::new(wanted))
}

/// PostgreSQL reads its `pg_hba.conf` for whoever asks, and goes by it only when it is told to.
async fn check_access(body: &Body, settings: &Settings, before: &Settings) -> Result<(), Refusal> {
    let session = body.session().await.map_err(Failure::from)?;
    put_access(body, settings).await?;
    let query = "SELECT string_agg(format('line %s: %s', line_number, error), '; ') FROM pg_hba_file_rules \
                 WHERE error IS NOT NULL";
    let found = session.one(query).await;
    put_access(body, before).await?;
    match found.map_err(Failure::from)? {
        None => Ok(()),
        Some(why) => Err(Refusal(format!("PostgreSQL refuses its access: {why}"))),
    }
}

async fn put_access(body: &Body, settings: &Settings) -> Result<(), Failure> {
    let (text, user) = (config::access(settings), body.user.clone());
    body.files(move |place| place::put(&place.access(), &text, Some(&user), false)).await
}

/// To be called between effects.
pub(super) async fn reconfigure(body: &Arc<Body>, wanted: Arc<Wanted>) {
    if body.wanted().is(&wanted) {
        return;
    }
    body.set_wanted(wanted);
    // What was in the way of a copy may be a password.
    lock(&body.memory).no_copy = None;
    match apply(body).await {
        Ok(None) => {}
        Ok(Some(pending)) => {
            body.note(format!("takes effect when PostgreSQL is started anew: {pending}")).await;
        }
        Err(failure) => body.note(format!("its new settings: {}", failure.0)).await,
    }
}

/// What waits for a restart. A server that doesn't run gets the settings when it is started.
async fn apply(body: &Arc<Body>) -> Result<Option<String>, Failure> {
    let state = body.state();
    if body.server().is_none() || !state.counts() || state.busy.is_some() {
        return Ok(None);
    }
    if state.serves.is_none() && state.attached {
        body.set_passfile(true).await?;
    }
    let session = body.set(&body.part()).await?;
    if state.serves.is_some() {
        lock(&body.memory).furnished = None;
        tokio::spawn(users::after_promotion(body.clone()));
    }
    let pending = "SELECT string_agg(name, ', ' ORDER BY name) FROM pg_settings WHERE pending_restart";
    Ok(session.one(pending).await?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_password_that_changed_in_its_file_is_another_wish() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        fs::write(&path, "one\n").unwrap();
        let wanted = || {
            Wanted::of(&Settings {
                database: "orders".to_owned(),
                me: "db1".into(),
                hosts: Vec::new(),
                data: directory.path().to_owned(),
                programs: None,
                version: None,
                user: "postgres".to_owned(),
                parameters: Vec::new(),
                access: Vec::new(),
                users: Vec::new(),
                replication_password: Some(nines_system::Secret::File(path.clone())),
                tls: nines_system::GateTls::Off,
                lease: std::time::Duration::from_secs(1),
                heartbeat: std::time::Duration::from_millis(100),
                keep: None,
                hopeless_after: std::time::Duration::from_secs(60),
                peers: crate::hands::Peers::default(),
            })
        };
        let before = wanted().unwrap();
        assert!(wanted().unwrap().is(&before));
        fs::write(&path, "two\n").unwrap();
        assert!(!wanted().unwrap().is(&before));
        fs::remove_file(&path).unwrap();
        assert!(wanted().is_err());
    }
}
