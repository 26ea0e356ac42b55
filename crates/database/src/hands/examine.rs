//! What of a database's section fits this host; found out without changing anything.

use std::fs;

use nines_system::Secret;

use super::place::{self, Place};
use super::programs::Programs;
use super::servant::User;
use super::settings::reveal;
use super::state::State;
use super::{Settings, tidy};

/// What was found; each `Err` says what is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Of PostgreSQL's programs: `15.8`.
    pub version: Result<String, String>,
    /// Whom PostgreSQL runs as: its name and number.
    pub user: Result<(String, u32), String>,
    pub data: Found,
    /// Passwords that can't be read.
    pub secrets: Vec<String>,
}

/// What lies where the data are to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Nothing,
    /// A database that nines knows.
    Ours,
    /// Somebody else's.
    Others,
    /// PostgreSQL could not start with it, and why.
    Unfit(String),
}

pub fn examine(settings: &Settings) -> Examined {
    let programs = Programs::find(settings);
    let user = User::find(&settings.user);
    let place = Place::new(&settings.data);
    let secrets: Vec<&Secret> =
        settings.replication_password.iter().chain(settings.users.iter().map(|it| &it.password)).collect();
    Examined {
        data: found(&place, programs.as_ref().ok(), user.as_ref().ok()),
        secrets: secrets.into_iter().filter_map(|it| reveal(it).err()).map(|it| it.to_string()).collect(),
        version: programs.map(|programs| programs.full).map_err(|refusal| refusal.to_string()),
        user: user.map(|user| (user.name, user.uid)),
    }
}

fn found(place: &Place, programs: Option<&Programs>, user: Option<&User>) -> Found {
    match place::is_filled(&place.pgdata) {
        Ok(false) => return Found::Nothing,
        Ok(true) => {}
        Err(error) => return Found::Unfit(format!("{}: {error}", place.pgdata.display())),
    }
    let state = match State::load(&place.state()) {
        Ok(state) => state.unwrap_or_default(),
        Err(refusal) => return Found::Unfit(refusal.to_string()),
    };
    let id = fs::read_to_string(Place::id(&place.pgdata)).ok();
    let fits = programs
        .map_or(Ok(()), |programs| tidy::check_version(programs, &place.pgdata))
        .and_then(|()| user.map_or(Ok(()), |user| tidy::check_owner(user, &place.pgdata)));
    match fits {
        Err(refusal) => Found::Unfit(refusal.to_string()),
        Ok(()) if id.is_some() && id == state.id => Found::Ours,
        Ok(()) => Found::Others,
    }
}
