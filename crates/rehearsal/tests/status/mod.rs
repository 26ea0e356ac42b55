//! What a load balancer that is well says about itself, for tests to spoil.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use nines_control::statistics::Statistics;
use nines_control::status::{
    FileStatus, Health, ListenerStatus, MemberStatus, Phase, PoolStatus, Standing, Status, VirtualIpStatus,
    Wish,
};

pub(crate) const VIRTUAL_IP: &str = "front/10.0.1.100";

/// A load balancer that reaches the pool `web`.
pub(crate) fn status(members: Vec<MemberStatus>) -> Status {
    Status {
        version: 1,
        system: "shop".to_owned(),
        objective: "99.99 %".to_owned(),
        objective_fraction: 0.9999,
        not_kept: None,
        slow: false,
        measured: Vec::new(),
        host: "lb1".to_owned(),
        program: String::new(),
        pid: 1,
        uptime_s: 1,
        phase: Phase::Serving,
        file: FileStatus { path: String::new(), generation: 1, loaded_us: 0, refused: None },
        wish: Wish::Ready,
        virtual_ips: Vec::new(),
        databases: Vec::new(),
        listeners: vec![ListenerStatus {
            name: "front/http-80".to_owned(),
            address: "0.0.0.0:80".to_owned(),
            protocol: "http".to_owned(),
            open: true,
            pools: vec!["web".to_owned()],
        }],
        pools: vec![pool("web", members)],
        events: std::collections::BTreeMap::new(),
        statistics: Statistics::default(),
    }
}

/// What lb1 and lb2 of the shop say about their virtual address.
pub(crate) fn pair(lb1: Standing, lb2: Standing) -> Vec<Status> {
    let one = |(host, state): (&str, Standing)| {
        let it = VirtualIpStatus { name: VIRTUAL_IP.to_owned(), state, ..VirtualIpStatus::default() };
        let all_well = status(vec![member("app1", Health::Up)]);
        Status { host: host.to_owned(), virtual_ips: vec![it], ..all_well }
    };
    [("lb1", lb1), ("lb2", lb2)].map(one).to_vec()
}

pub(crate) fn pool(name: &str, members: Vec<MemberStatus>) -> PoolStatus {
    PoolStatus { name: name.to_owned(), serving: "healthy".to_owned(), who: None, members }
}

pub(crate) fn member(host: &str, health: Health) -> MemberStatus {
    MemberStatus {
        name: format!("{host}:8080"),
        host: host.to_owned(),
        zone: "a".to_owned(),
        address: None,
        health,
        wish: Wish::Ready,
        eligible: true,
        backup: false,
        ejected_ms: None,
        ejections: 0,
        why: "connection refused".to_owned(),
        since_ms: 0,
        check: None,
    }
}
