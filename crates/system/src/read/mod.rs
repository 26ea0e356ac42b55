//! Text to model. Reading goes on after a mistake, so that all of them come out at once; a model comes out only
//! when there was none.

mod accepted;
mod coordination;
mod databases;
mod dns_names;
mod failures;
mod hosts;
mod load_balancers;
mod names;
mod pools;
mod ports;
mod reach;
pub(crate) mod secrets;
mod shared;
mod syntax;
mod texts;
mod unused;
mod virtual_ips;

pub use databases::refused_parameter;
use toml::de::DeTable;

use self::load_balancers::Around;
use self::ports::Ports;
use self::reach::Reached;
use crate::fields::Fields;
use crate::mistake::{Mistake, Mistakes, Notes};
use crate::model::{Failing, Objective, System};
use crate::{shape, units, usual_repair};

/// Reads a system file. `path` is how messages call it; nothing is opened.
///
/// # Errors
/// Every mistake in the text at once.
pub fn parse(path: &str, text: &str) -> Result<System, Mistakes> {
    parse_with_warnings(path, text).map(|(system, _)| system)
}

/// The same, with what is no mistake but looks forgotten: a host that nothing uses, for example.
///
/// # Errors
/// Every mistake in the text at once.
pub fn parse_with_warnings(path: &str, text: &str) -> Result<(System, Mistakes), Mistakes> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let document = document.get_ref();
    let syntax = syntax::mistakes(text, document, &errors);
    let notes = Notes::default();
    let read = system(&Fields::new(&shape::SYSTEM, document, 0..0, &notes));
    let mistakes = notes.into_inner();
    match read {
        Some((system, warnings)) if syntax.is_empty() && mistakes.is_empty() => {
            Ok((system, Mistakes::warnings(path, text, warnings)))
        }
        _ if syntax.is_empty() => Err(Mistakes::errors(path, text, mistakes)),
        _ => {
            let others = syntax::unrelated(text, &syntax, mistakes);
            Err(Mistakes::errors(path, text, [syntax, others].concat()))
        }
    }
}

fn system(fields: &Fields<'_>) -> Option<(System, Vec<Mistake>)> {
    let name = fields.require("name").and_then(|item| texts::name(&item));
    let objective = fields.share("objective");
    let zones = hosts::zones(fields);
    let assumptions = failures::assumptions(fields);
    let repair_of = |of: &Option<Failing>, usual| of.as_ref().and_then(|of| of.repair).unwrap_or(usual);
    let hosts = hosts::hosts(fields, &zones.names, repair_of(&assumptions.host, usual_repair::HOST));
    let (several, notes) = (zones.names.len(), fields.notes());
    let mut pools = pools::pools(fields, &hosts);
    let mut ports = Ports::default();
    let databases = databases::databases(fields, &hosts, several, &pools.names, &mut ports);
    let (coordination, mut warnings) =
        coordination::coordination(fields, name, &hosts, several, &databases, &mut ports);
    let mut reached = Reached::new(pools.names.len());
    let mut around = Around {
        hosts: &hosts,
        pools: &pools,
        databases: &databases.named,
        ports: &mut ports,
        reached: &mut reached,
    };
    let (load_balancers, of_virtual_ips) = load_balancers::load_balancers(fields, &mut around);
    ports.check_members(&hosts, &pools, notes);
    pools.extend(reached.pools(&databases.named, &hosts, notes));
    warnings.extend(of_virtual_ips);
    warnings.extend(databases.warnings);
    let names = dns_names::names(fields, &load_balancers.names);
    let shared = shared::shared(
        fields,
        &hosts.names,
        &zones.names,
        repair_of(&assumptions.shared, usual_repair::SHARED),
    );
    let accepted = accepted::accepted(fields, &zones, &hosts.names, &shared.names, coordination.as_ref());
    let (zones, zone_names) = zones.all();
    let (hosts, host_names) = hosts.all();
    let (names, _) = names.all();
    let (shared, _) = shared.all();
    let (pools, pool_names) = pools.all();
    let (databases, _) = databases.named.all();
    let (load_balancers, _) = load_balancers.all();
    let system = System {
        name: name?.to_owned(),
        objective: Objective { text: units::write_share(objective), fraction: objective },
        zones: zones?,
        hosts: hosts?,
        load_balancers: load_balancers?,
        pools: pools?,
        databases: databases?,
        coordination: coordination?,
        names: names?,
        shared: shared?,
        assumptions,
        accepted,
    };
    warnings.extend(unused::warnings(&system, &zone_names, &host_names, &pool_names));
    Some((system, warnings))
}
