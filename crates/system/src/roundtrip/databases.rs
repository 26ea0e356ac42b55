//! Any databases, and any coordination.

use std::path::PathBuf;

use proptest::sample::select;

use super::*;

/// Hosts by number; names, ports and directories are dealt out later.
pub(super) fn database() -> impl Strategy<Value = Database> {
    let basics = (name(), vec(any::<usize>(), 1..5), any::<usize>(), any::<bool>(), option::of(address()));
    let times = (200_u64..=60_000, 20_u64..=20_000, 1000_u64..=3_600_000, option::of(60_u64..=100_000_000));
    (basics, times, 0_u64..=1 << 40, tls(), postgresql()).prop_map(
        |(
            (name, hosts, confirm, strict, admin),
            (lease, heartbeat, switchover_within, keep),
            lag,
            tls,
            engine,
        )| {
            Database {
                name,
                engine: Engine::PostgreSql(engine),
                hosts: hosts.into_iter().map(HostId).collect(),
                port: 0,
                read_port: 0,
                admin: admin.map(|address| SocketAddr::new(address, 1)),
                data: PathBuf::new(),
                confirm,
                durability: if strict { Durability::Strict } else { Durability::Available },
                lease: Duration::from_millis(lease),
                heartbeat: Duration::from_millis(heartbeat.min(lease / 3)),
                lag,
                switchover_within: Duration::from_millis(switchover_within),
                tls,
                keep: keep.map(Duration::from_secs),
            }
        },
    )
}

fn postgresql() -> impl Strategy<Value = PostgreSql> {
    let user = (name(), secret(), vec(name(), 0..3));
    let parameter = ("x_[a-z0-9_]{0,8}", option::of("[a-z]{1,8}"), "[^\\p{Cc}]{0,12}");
    let access =
        vec(select(&["local all report reject", "local \"a b\", c all ldap ldapserver=\"x\""][..]), 0..3);
    let rest = (option::of(path()), option::of(13_u16..=99), "[a-z_][a-z0-9_-]{0,10}x", option::of(secret()));
    (vec(user, 0..3), vec(parameter, 0..4), access, rest).prop_map(
        |(users, parameters, access, (programs, version, user, replication_password))| PostgreSql {
            programs,
            version,
            user,
            parameters: parameters
                .into_iter()
                .enumerate()
                .map(|(i, (name, of, value))| {
                    let name = format!("{name}{i}");
                    (of.map_or_else(|| name.clone(), |of| format!("{of}.{name}")), value)
                })
                .collect(),
            access: access.into_iter().map(str::to_owned).collect(),
            users: users
                .into_iter()
                .enumerate()
                .map(|(i, (name, password, owns))| DatabaseUser {
                    name: format!("u {name}{i}"),
                    password,
                    owns: owns.into_iter().enumerate().map(|(j, name)| format!("{name}{i}.{j}")).collect(),
                })
                .collect(),
            replication_password,
        },
    )
}

fn tls() -> impl Strategy<Value = GateTls> {
    prop_oneof![
        Just(GateTls::Off),
        (path(), path()).prop_map(|(certificate, key)| GateTls::Terminate { certificate, key }),
        (path(), path()).prop_map(|(certificate, key)| GateTls::PassThrough { certificate, key }),
    ]
}

fn secret() -> impl Strategy<Value = Secret> {
    prop_oneof!["[^\\p{Cc}]{1,12}".prop_map(Secret::Text), path().prop_map(Secret::File)]
}

fn path() -> impl Strategy<Value = PathBuf> {
    "(/[^\\p{Cc}/.]{1,6}){1,3}".prop_map(PathBuf::from)
}

pub(super) fn coordination() -> impl Strategy<Value = Coordination> {
    let member = prop_oneof![
        any::<usize>().prop_map(|host| EtcdMember::Host { host: HostId(host), port: 0 }),
        (1_u8..250, 1_u16..).prop_map(|(last, port)| {
            EtcdMember::Address(SocketAddr::new(IpAddr::from([203, 0, 113, last]), port))
        }),
        ("[a-z]{1,5}", 1_u16..)
            .prop_map(|(name, port)| EtcdMember::Name { name: format!("{name}.example"), port }),
    ];
    let tls = (path(), option::of((path(), path()))).prop_map(|(ca, identity)| EtcdTls { ca, identity });
    let user = ("[^\\p{Cc}]{1,12}", secret());
    let etcd = (vec(member, 1..5), option::of(tls), option::of(user))
        .prop_map(|(members, tls, user)| Store::Etcd(Etcd { members, tls, user }));
    let store = prop_oneof![path().prop_map(|path| Store::Embedded { path }), etcd];
    ("[a-z0-9_-]{1,10}", store).prop_map(|(prefix, store)| Coordination { prefix, store })
}

/// Hosts that are there, and names, ports and directories that nothing else has.
pub(super) fn tie(system: &mut System, next_port: &mut impl FnMut() -> u16) {
    let hosts = system.hosts.len();
    for (i, database) in system.databases.iter_mut().enumerate() {
        database.name = format!("{}-db{i}", database.name.to_ascii_lowercase());
        database.data = format!("/data/{i}").into();
        database.hosts.iter_mut().for_each(|host| host.0 %= hosts);
        let mut seen = Vec::new();
        database.hosts.retain(|host| {
            let new = !seen.contains(host);
            seen.push(*host);
            new
        });
        database.port = next_port();
        database.read_port = next_port();
        if let Some(admin) = &mut database.admin {
            admin.set_port(next_port());
        }
        let standbys = database.hosts.len() - 1;
        database.confirm = if standbys == 0 { 0 } else { 1 + database.confirm % standbys };
        let Engine::PostgreSql(engine) = &mut database.engine;
        if standbys > 0 && engine.replication_password.is_none() {
            engine.replication_password = Some(Secret::Text("needed".to_owned()));
        }
        for host in &database.hosts {
            system.hosts[host.0].name.make_ascii_lowercase();
        }
    }
    if !system.databases.is_empty() && system.coordination.is_none() {
        let path = "/of/one/machine".into();
        system.coordination = Some(Coordination { prefix: "p".to_owned(), store: Store::Embedded { path } });
    }
    if let Some(Store::Etcd(etcd)) = system.coordination.as_mut().map(|coordination| &mut coordination.store)
    {
        for member in &mut etcd.members {
            if let EtcdMember::Host { host, port } = member {
                host.0 %= hosts;
                *port = next_port();
            }
        }
        let mut seen = Vec::new();
        etcd.members.retain(|member| {
            let new = !seen.contains(member);
            seen.push(member.clone());
            new
        });
    }
}

/// Lets every third TCP listener reach a database.
pub(super) fn reach(system: &mut System) {
    let before = system.pools.len();
    let mut ways: Vec<(DatabaseId, Access)> = Vec::new();
    let databases = system.databases.len();
    let listeners = system.load_balancers.iter_mut().flat_map(|balancer| &mut balancer.listeners);
    for (i, listener) in listeners.enumerate() {
        let Protocol::Tcp(tcp) = &mut listener.protocol else { continue };
        if databases == 0 || i % 3 == 1 {
            continue;
        }
        let access = if i % 2 == 0 { Access::ReadWrite } else { Access::ReadOnly };
        let way = (DatabaseId(i % databases), access);
        let at = ways.iter().position(|other| *other == way).unwrap_or(ways.len());
        if at == ways.len() {
            ways.push(way);
        }
        tcp.pool = PoolId(before + at);
    }
    let pools: Vec<Pool> = ways.into_iter().map(|way| pool(system, way)).collect();
    system.pools.extend(pools);
}

fn pool(system: &System, (id, access): (DatabaseId, Access)) -> Pool {
    let defaults = crate::parse("", crate::example()).unwrap().pools.remove(0);
    let database = &system[id];
    let (name, port) = match access {
        Access::ReadWrite => (database.name.clone(), database.port),
        Access::ReadOnly => (format!("{}-reads", database.name), database.read_port),
    };
    let member = |&host: &HostId| Member {
        name: format!("{}:{port}", system[host].name),
        host,
        port,
        weight: 1,
        backup: false,
        connections: None,
    };
    Pool {
        name,
        members: database.hosts.iter().map(member).collect(),
        check: Check {
            probe: Probe::Gate(access),
            interval: Duration::from_millis(200),
            fast_interval: Duration::from_millis(50),
            timeout: Duration::from_millis(500),
            rise: 1,
            fall: 2,
            ..defaults.check
        },
        passive: Passive { failures: None, ..defaults.passive },
        minimum_healthy: 0.0,
        when_too_few: WhenTooFew::Refuse,
        needs: None,
        slow_start: Duration::ZERO,
        reaches: Some((id, access)),
        ..defaults
    }
}
