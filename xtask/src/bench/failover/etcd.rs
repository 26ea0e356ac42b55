//! etcd: a member on each host of the database, the same for every contender.

use std::process::Command;

use super::contender::{Cluster, USER};
use super::network::Host;
use crate::bench::namespace::program;

const CLIENTS: u16 = 2379;
const PEERS: u16 = 2380;

/// Every default but names and places, and one that newer versions have: without `--pre-vote` a member that comes back from a cut
/// makes the others elect anew, which has taken seconds.
pub(crate) fn member(cluster: &Cluster<'_>, host: Host) -> Command {
    let url = |host: Host, port: u16| format!("http://{}:{port}", host.address());
    let all = Host::DATABASES.map(|host| format!("{}={}", host.name(), url(host, PEERS))).join(",");
    let mut etcd = host.command(program("etcd"), Some(USER));
    etcd.args(["--pre-vote", "--name", host.name(), "--data-dir"]).arg(cluster.data(host).join("etcd"));
    for (option, value) in [
        ("--listen-client-urls", url(host, CLIENTS)),
        ("--advertise-client-urls", url(host, CLIENTS)),
        ("--listen-peer-urls", url(host, PEERS)),
        ("--initial-advertise-peer-urls", url(host, PEERS)),
        ("--initial-cluster", all),
    ] {
        etcd.args([option, &value]);
    }
    etcd
}

/// As configurations name them.
pub(crate) fn endpoints(written: impl Fn(Host, u16) -> String) -> String {
    Host::DATABASES.map(|host| written(host, CLIENTS)).join(", ")
}
