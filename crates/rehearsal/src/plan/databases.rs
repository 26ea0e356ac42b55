//! The cases of databases: by what a host is to one when the fault comes, since the primary moves; and those of etcd.

use std::sync::Arc;
use std::time::Duration;

use nines_system::{
    Access, Database, DatabaseId, Engine, EtcdMember, GateTls, HostId, PoolId, Store, System,
};

use super::doors::ways_to_databases;
use super::{Case, Component, ComponentKind, Promise, Whom, Writes};
use crate::fault::Fault;

/// How long no write may be acknowledged…
/// …while another server is started where one was killed, or a standby takes over from one that says so.
const AT_ONCE: Duration = Duration::from_secs(1);
/// …while a primary hands over.
const HANDED_OVER: Duration = Duration::from_millis(500);

/// What a primary meets.
const OF_PRIMARY: [Fault; 13] = [
    Fault::Kill,
    Fault::PowerOff,
    Fault::Freeze,
    Fault::KillServer,
    Fault::FreezeServer,
    Fault::KillNines,
    Fault::FreezeNines,
    Fault::CutOff,
    Fault::CutIn,
    Fault::CutOut,
    Fault::Switchover,
    Fault::Restart,
    Fault::Reload,
];

/// A primary that has no standby has nobody to hand over to.
const OF_ONLY_ONE: [Fault; 4] = [Fault::Kill, Fault::KillServer, Fault::KillNines, Fault::Restart];

const OF_STANDBY: [Fault; 5] =
    [Fault::PowerOff, Fault::Freeze, Fault::KillServer, Fault::CutOff, Fault::Restart];

const OF_STANDBYS: [Fault; 2] = [Fault::Kill, Fault::CutOff];

/// By role rather than by host: who is the primary changes with nearly every case.
pub(super) fn cases(system: &System, id: DatabaseId) -> Result<Vec<Case>, String> {
    let database = &system[id];
    let writes = writes(system, id)?;
    let component = |whom| {
        Arc::new(Component {
            name: database.name.clone(),
            kind: ComponentKind::Database,
            whom,
            zone: None,
            hosts: writes.hosts.clone(),
            members: members(system, id),
            alone_in: Vec::new(),
            virtual_ips: Vec::new(),
            doors: Vec::new(),
            writes: Some(writes.clone()),
        })
    };
    let all = |whom, faults: &[Fault]| -> Vec<Case> {
        let component = component(whom);
        let case = |&fault| Case {
            component: Arc::clone(&component),
            fault,
            promise: Promise::KeepsWrites { within: within(database, whom, fault) },
        };
        faults.iter().map(case).collect()
    };
    Ok(match database.hosts.len() {
        0 | 1 => all(Whom::Primary, &OF_ONLY_ONE),
        2 => [all(Whom::Primary, &OF_PRIMARY), all(Whom::Standby, &OF_STANDBY)].concat(),
        _ => [
            all(Whom::Primary, &OF_PRIMARY),
            all(Whom::Standby, &OF_STANDBY),
            all(Whom::Standbys, &OF_STANDBYS),
        ]
        .concat(),
    })
}

/// etcd's leader, and all of it, where it is on hosts of the system; the first database that can be written into is looked at.
pub(super) fn of_coordination(system: &System) -> Vec<Case> {
    let hosts: Vec<String> = members_of_store(system).map(|(host, _)| system[host].name.clone()).collect();
    let (Some((database, writes)), false) = (written(system), hosts.is_empty()) else { return Vec::new() };
    let component = |whom| {
        Arc::new(Component {
            name: "coordination".to_owned(),
            kind: ComponentKind::Coordination,
            whom,
            zone: None,
            hosts: hosts.clone(),
            members: Vec::new(),
            alone_in: Vec::new(),
            virtual_ips: Vec::new(),
            doors: Vec::new(),
            writes: Some(writes.clone()),
        })
    };
    let case = |component: &Arc<Component>, fault, within| Case {
        component: Arc::clone(component),
        fault,
        promise: Promise::KeepsWrites { within },
    };
    let all = component(Whom::Each);
    let mut cases = Vec::new();
    if hosts.len() > 2 {
        // The others elect another leader before the lease has run out, or soon after.
        let (leader, bound) = (component(Whom::Leader), database.lease.max(AT_ONCE));
        cases.push(case(&leader, Fault::KillStore, Some(bound)));
        cases.push(case(&leader, Fault::FreezeStore, Some(2 * bound)));
    }
    cases.push(case(&all, Fault::KillStore, None));
    cases
}

/// Where etcd is to be started.
pub(super) fn members_of_store(system: &System) -> impl Iterator<Item = (HostId, u16)> + '_ {
    let etcd = system.coordination.as_ref().and_then(|coordination| match &coordination.store {
        Store::Etcd(etcd) => Some(&etcd.members),
        Store::Embedded { .. } => None,
    });
    etcd.into_iter().flatten().filter_map(|member| match member {
        EtcdMember::Host { host, port } => Some((*host, *port)),
        EtcdMember::Address(_) | EtcdMember::Name { .. } => None,
    })
}

/// The gentle ones first; last what leaves data behind that must be rewound or copied.
pub(super) fn rank(fault: Fault) -> u8 {
    match fault {
        Fault::Switchover | Fault::Restart | Fault::Reload => 0,
        Fault::KillServer | Fault::KillNines | Fault::KillStore => 1,
        _ => 2,
    }
}

/// How long writes may stop; `None` where too few are left to confirm them, or nobody to take over.
fn within(database: &Database, whom: Whom, fault: Fault) -> Option<Duration> {
    let enough = database.hosts.len().saturating_sub(2) >= database.confirm && database.hosts.len() > 1;
    let lease = database.lease;
    match (whom, fault) {
        (_, Fault::Reload) => Some(HANDED_OVER),
        (_, _) if !enough => None,
        (Whom::Primary, Fault::Switchover) => Some(HANDED_OVER),
        (Whom::Primary, Fault::KillServer | Fault::Restart) | (Whom::Standby, _) => Some(AT_ONCE),
        // Nobody hears of it but by the lease. A host that is deaf or mute is found out later.
        (Whom::Primary, Fault::CutIn | Fault::CutOut) => Some((lease * 10 / 3).max(AT_ONCE)),
        (Whom::Primary, _) => Some((2 * lease).max(AT_ONCE)),
        (Whom::Standbys | Whom::Each | Whom::Leader, _) => None,
    }
}

/// The first database that can be written into, and how.
pub(super) fn written(system: &System) -> Option<(&Database, Writes)> {
    system.database_ids().find_map(|id| Some((&system[id], writes(system, id).ok()?)))
}

fn writes(system: &System, id: DatabaseId) -> Result<Writes, String> {
    let database = &system[id];
    if database.tls != GateTls::Off {
        return Err("its clients use TLS, which those of a rehearsal don't".to_owned());
    }
    let Engine::PostgreSql(engine) = &database.engine else {
        return Err("its engine is not PostgreSQL".to_owned());
    };
    let owner = engine.users.iter().find_map(|user| Some((user, user.owns.first()?)));
    let (user, inside) = owner.ok_or("it has no user that owns a database, so nobody can write")?;
    let pools: Vec<PoolId> =
        system.pool_ids().filter(|&pool| system[pool].reaches == Some((id, Access::ReadWrite))).collect();
    let doors = ways_to_databases(system, |_| true, &pools);
    if doors.is_empty() {
        return Err("no listener leads to it".to_owned());
    }
    Ok(Writes {
        database: database.name.clone(),
        doors,
        user: user.name.clone(),
        password: user.password.clone(),
        inside: inside.clone(),
        hosts: database.hosts.iter().map(|&host| system[host].name.clone()).collect(),
        read_port: database.read_port,
    })
}

/// As load balancers call its hosts, whichever way they reach them.
fn members(system: &System, id: DatabaseId) -> Vec<String> {
    let reaching = system.pools.iter().filter(|pool| pool.reaches.is_some_and(|(reached, _)| reached == id));
    reaching
        .flat_map(|pool| pool.members.iter().map(move |member| format!("{}/{}", pool.name, member.name)))
        .collect()
}
