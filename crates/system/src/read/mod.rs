//! Text to model. Reading goes on after a mistake, so that all of them come out at once; a model comes out only
//! when there was none.

mod hosts;
mod load_balancers;
mod names;
mod pools;
mod texts;

use toml::de::DeTable;

use crate::fields::Fields;
use crate::mistake::{Mistake, Mistakes, Notes};
use crate::model::{Objective, System};
use crate::{shape, units};

/// Reads a system file. `path` is how messages call it; nothing is opened.
///
/// # Errors
/// Every mistake in the text at once.
pub fn parse(path: &str, text: &str) -> Result<System, Mistakes> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let notes = Notes::default();
    for error in syntax {
        let span = error.span().unwrap_or(0..0);
        notes.add(Mistake::new(error.message(), span, "not TOML from here"));
    }
    let system = system(&Fields::new(&shape::SYSTEM, document.get_ref(), 0..0, &notes));
    let mistakes = notes.into_inner();
    match system {
        Some(system) if mistakes.is_empty() => Ok(system),
        _ => Err(Mistakes::errors(path, text, mistakes)),
    }
}

fn system(fields: &Fields<'_>) -> Option<System> {
    let name = fields.require("name").and_then(|item| texts::name(&item));
    let objective = fields.share("objective");
    let zones = hosts::zones(fields);
    let hosts = hosts::hosts(fields, &zones.names);
    let pools = pools::pools(fields, &hosts);
    let load_balancers = load_balancers::load_balancers(fields, &hosts, &pools);
    Some(System {
        name: name?.to_owned(),
        objective: Objective { text: units::write_share(objective), fraction: objective },
        zones: zones.all()?,
        hosts: hosts.all()?,
        load_balancers: load_balancers.all()?,
        pools: pools.all()?,
    })
}
