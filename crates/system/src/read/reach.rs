//! The pools by which listeners reach databases. No file has them: their members and how these are asked follow from
//! the database.

use std::time::Duration;

use super::databases::READS;
use super::names::Named;
use super::pools;
use crate::fields::Fields;
use crate::mistake::Notes;
use crate::model::{
    Access, Balance, Check, Database, DatabaseId, Host, Member, Passive, Pool, PoolId, Probe, WhenTooFew,
};
use crate::shape;

/// Which databases listeners reach, and for what. In the order in which they are first named, each once.
pub(super) struct Reached {
    /// How many pools the file has.
    before: usize,
    list: Vec<(DatabaseId, Access)>,
}

impl Reached {
    pub(super) fn new(before: usize) -> Self {
        Self { before, list: Vec::new() }
    }

    pub(super) fn pool(&mut self, database: DatabaseId, access: Access) -> PoolId {
        let way = (database, access);
        let at = self.list.iter().position(|other| *other == way).unwrap_or_else(|| {
            self.list.push(way);
            self.list.len() - 1
        });
        PoolId(self.before + at)
    }

    /// Nothing where a database could not be read.
    pub(super) fn pools(
        &self,
        databases: &Named<'_, Database>,
        hosts: &Named<'_, Host>,
        notes: &Notes,
    ) -> Vec<Pool> {
        let of =
            |&(id, access): &(DatabaseId, Access)| Some(pool(databases.get(id.0)?, id, access, hosts, notes));
        self.list.iter().filter_map(of).collect()
    }
}

fn pool(database: &Database, id: DatabaseId, access: Access, hosts: &Named<'_, Host>, notes: &Notes) -> Pool {
    let (name, port) = match access {
        Access::ReadWrite => (database.name.clone(), database.port),
        Access::ReadOnly => (format!("{}{READS}", database.name), database.read_port),
    };
    let members = database.hosts.iter().map(|&host| Member {
        name: format!("{}:{port}", hosts.names.name(host.0)),
        host,
        port,
        weight: 1,
        backup: false,
        connections: None,
    });
    let fields = Fields::absent(&shape::POOL, notes);
    let passive = Fields::absent(&shape::PASSIVE, notes);
    Pool {
        name,
        members: members.collect(),
        check: Check {
            probe: Probe::Gate(access),
            // The gate answers when something changes, and within half of the time-out: the probe itself is the wait, and
            // the next one follows at once. The intervals are for a gate that can't be asked.
            interval: Duration::from_millis(200),
            fast_interval: Duration::from_millis(50),
            timeout: Duration::from_millis(500),
            jitter: Fields::absent(&shape::CHECK, notes).share("jitter"),
            // One word of the gate is enough: it knows, and does not guess. After one silence nobody is sent there, after
            // two in a row its connections are closed.
            rise: 1,
            fall: 2,
            port: None,
        },
        // Whether a database serves is the gate's to say, not the traffic's.
        passive: Passive {
            failures: None,
            eject: passive.time("eject"),
            eject_max: passive.time("eject_max"),
            max_ejected: passive.share("max_ejected"),
            server_errors: false,
        },
        balance: Balance::LeastRequests,
        // Of a primary there is one, and what does not serve must get nothing.
        minimum_healthy: 0.0,
        when_too_few: WhenTooFew::Refuse,
        needs: None,
        slow_start: Duration::ZERO,
        retries: pools::retries(&fields.table("retries")),
        limits: pools::limits(&fields.table("limits")),
        timeouts: pools::timeouts(&fields.table("timeouts")),
        // For an operator who drains a host here; what no longer serves is left at once.
        drain: fields.time("drain"),
        send_proxy: None,
        command: None,
        reaches: Some((id, access)),
    }
}
