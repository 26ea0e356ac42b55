//! The cases of databases: by what a host is to one when the fault comes, since the primary moves; and those of etcd.

use std::sync::Arc;
use std::time::Duration;

use nines_system::{
    Access, Database, DatabaseId, Engine, EtcdMember, GateTls, HostId, PoolId, Store, System,
};

use super::doors::ways_to_databases;
use super::servers::pools_with;
use super::{Case, Component, ComponentKind, Promise, Whom, Writes};
use crate::fault::Fault;

/// How long no write may be acknowledged…
/// …while another server is started where one was killed, or a standby takes over from one that says so.
const AT_ONCE: Duration = Duration::from_secs(1);
/// …while a primary hands over.
const HANDED_OVER: Duration = Duration::from_millis(500);

const OF_STANDBYS: [Fault; 2] = [Fault::Kill, Fault::CutOff];

/// All of its hosts.
const OF_ALL: [Fault; 2] = [Fault::PowerOff, Fault::RollingRestart];

/// By role rather than by host: who is the primary changes with nearly every case.
pub(super) fn cases(system: &System, id: DatabaseId) -> Result<Vec<Case>, String> {
    let database = &system[id];
    let writes = writes(system, id)?;
    let all = |whom, faults: &[Fault]| -> Vec<Case> {
        let kind = if whom == Whom::Each { ComponentKind::WholeDatabase } else { ComponentKind::Database };
        let component = Arc::new(Component {
            whom,
            zone: None,
            members: members(system, id),
            writes: Some(writes.clone()),
            ..Component::of(system, database.name.clone(), kind, &database.hosts)
        });
        let case = |&fault| {
            Case::new(&component, fault, Promise::KeepsWrites { within: within(database, whom, fault) })
        };
        faults.iter().map(case).collect()
    };
    let of_any = Fault::of_hosts_and(&Fault::OF_DATABASES);
    // One that has no standby has nobody to hand over to.
    let of_primary = Fault::of_hosts_and(&[&Fault::OF_DATABASES[..], &[Fault::Switchover]].concat());
    let several = || [all(Whom::Primary, &of_primary), all(Whom::Standby, &of_any)].concat();
    Ok(match database.hosts.len() {
        0 | 1 => all(Whom::Primary, &of_any),
        2 => [several(), all(Whom::Each, &OF_ALL)].concat(),
        _ => [several(), all(Whom::Standbys, &OF_STANDBYS), all(Whom::Each, &OF_ALL)].concat(),
    })
}

/// etcd's leader, and all of it, where it is on hosts of the system, and the hosts that have nothing else to do; the first
/// database that can be written into is looked at. Or why none of it is broken.
pub(super) fn of_coordination(system: &System) -> Result<Vec<Case>, String> {
    let Some(coordination) = &system.coordination else { return Ok(Vec::new()) };
    if matches!(coordination.store, Store::Embedded { .. }) {
        return Err("its store is a directory that all hosts of a rehearsal see, and no program".to_owned());
    }
    let hosts: Vec<HostId> = members_of_store(system).map(|(host, _)| host).collect();
    if hosts.is_empty() {
        return Err("its members are on no host of the system".to_owned());
    }
    let Some((database, writes)) = written(system) else {
        return Err("there is no database to write into, and nothing else depends on it".to_owned());
    };
    let component = |name: String, whom, hosts: &[HostId]| {
        Arc::new(Component {
            whom,
            zone: None,
            writes: Some(writes.clone()),
            ..Component::of(system, name, ComponentKind::Coordination, hosts)
        })
    };
    let case = |component: &Arc<Component>, fault, within| {
        Case::new(component, fault, Promise::KeepsWrites { within })
    };
    let name = "coordination".to_owned();
    let mut cases = Vec::new();
    // The others elect another leader before the lease has run out, or soon after.
    let bound = database.lease.max(AT_ONCE);
    if hosts.len() > 2 {
        let leader = component(name.clone(), Whom::Leader, &hosts);
        cases.push(case(&leader, Fault::KillStore, Some(bound)));
        cases.push(case(&leader, Fault::FreezeStore, Some(2 * bound)));
    }
    let all = component(name, Whom::Each, &hosts);
    cases.push(case(&all, Fault::KillStore, None));
    cases.push(case(&all, Fault::FreezeStore, None));
    for &host in hosts.iter().filter(|&&host| has_only_the_store(system, host)) {
        let own = component(system[host].name.clone(), Whom::Each, &[host]);
        let within = (hosts.len() > 2).then_some(2 * bound);
        cases
            .extend(Fault::OF_HOSTS.map(|fault| case(&own, fault, within.filter(|_| fault != Fault::Lossy))));
    }
    Ok(cases)
}

fn has_only_the_store(system: &System, host: HostId) -> bool {
    pools_with(system, host).is_empty()
        && system.load_balancers_on(host).next().is_none()
        && system.databases_on(host).next().is_none()
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
        Fault::Slow | Fault::Lossy => 1,
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
        // What is lost is sent again, each time after twice as long; nothing says when it gets through.
        (Whom::Primary, Fault::Lossy) => None,
        // One after the other, and each hands over if it is the primary.
        (Whom::Each, Fault::RollingRestart) => Some(AT_ONCE),
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
