//! An empty database, which is the first primary.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use nines_control::failover::{Disk, Failure, Origin};

use crate::hands::body::Body;
use crate::hands::config::Part;
use crate::hands::process::Program;
use crate::hands::state::{Busy, new_id};
use crate::hands::{SUPERUSER, fail, history, place, users};

use super::install;

pub(super) async fn initialise(body: &Arc<Body>) -> Result<(), Failure> {
    let state = body.state();
    let filled = body.files(|place| place::is_filled(&place.pgdata)).await?;
    if state.id.is_some() || state.pledged > 0 || filled {
        return Err(fail("there are data"));
    }
    if body.probe.look() != Disk::Well {
        return Err(fail("the disk is full or stalled"));
    }
    body.change(|state| state.busy = Some(Busy::Initialising)).await?;
    let made = make(body).await;
    if made.is_err() {
        clear_away(body).await?;
        body.change(|state| state.busy = None).await?;
    }
    made?;
    let session = body.start(Part::Primary { cohort: None }).await?;
    // Standbys come as soon as there is a rule.
    users::replicator(body, &session).await
}

async fn make(body: &Arc<Body>) -> Result<(), Failure> {
    prepare(body).await?;
    let mut command = body.programs.command("initdb");
    command.arg("-D").arg(body.place.making()).args(["--username", SUPERUSER, "--data-checksums"]);
    command.args(["--auth-local=peer", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]);
    command.current_dir(&body.place.root);
    Program::run(&body.servant, command, &body.place.logs().join("initdb.log")).await?;
    let id = new_id().map_err(fail)?;
    install(body, &id, None).await?;
    body.change(|state| {
        state.id = Some(id);
        (state.pledged, state.serves, state.origin) = (1, Some(1), Origin::Initialised);
        (state.source, state.cohort, state.end, state.busy) = (None, None, None, None);
        state.history = history::first();
    })
    .await?;
    body.validate(&body.wanted().settings).await?;
    body.control_file().await.map(drop)
}

/// An empty directory, of the user's, to make data in.
pub(super) async fn prepare(body: &Body) -> Result<(), Failure> {
    clear_away(body).await?;
    let user = body.user.clone();
    body.files(move |place| {
        std::fs::DirBuilder::new().mode(0o700).create(place.making())?;
        place::own(&place.making(), &user)
    })
    .await
}

/// What a copy that came to nothing has left: nobody else has ever had it.
pub(in crate::hands) async fn clear_away(body: &Body) -> Result<(), Failure> {
    body.files(|place| match std::fs::remove_dir_all(place.making()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
    .await
}
