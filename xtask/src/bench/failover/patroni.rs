//! Patroni, set up as its manual has it, and HAProxy that asks it where the primary is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::contender::{CONFIRM, Cluster, PARAMETERS, RUN, Standing, USER, ask_tcp};
use super::etcd;
use super::network::{Host, PORT};
use crate::bench::namespace::program;

/// Where PostgreSQL listens, and Patroni's REST interface.
const SERVER: u16 = 5432;
const REST: u16 = 8008;

pub(crate) fn manager(cluster: &Cluster<'_>, host: Host, tuned: bool) -> Result<Command> {
    let make = Path::new(RUN).join("make");
    fs::write(
        &make,
        "#!/bin/sh\nexec psql -q \"$1\" -c \"CREATE ROLE bench LOGIN PASSWORD 'bench'\" -c 'CREATE DATABASE bench OWNER bench'\n",
    )?;
    fs::set_permissions(&make, fs::Permissions::from_mode(0o755))?;
    let text = configuration(cluster, host, tuned, &make);
    let file = cluster.configuration(host, "yml", &text)?;
    let mut patroni = host.command(program("patroni"), Some(USER));
    patroni.arg(file);
    Ok(patroni)
}

/// Clones don't wait for the next checkpoint, which would take minutes; the rest is as its example has it, or as Debian sets it up.
fn configuration(cluster: &Cluster<'_>, host: Host, tuned: bool, make: &Path) -> String {
    let (name, address, data) = (host.name(), host.address(), cluster.data(host));
    let data = data.display();
    let (ttl, loop_wait, retry_timeout) = if tuned { (20, 1, 3) } else { (30, 10, 10) };
    let synchronous = if tuned {
        format!("    synchronous_mode: true\n    synchronous_node_count: {CONFIRM}\n")
    } else {
        String::new()
    };
    let parameters = PARAMETERS.map(|(name, value)| format!("        {name}: '{value}'\n")).concat();
    format!(
        "scope: bench
name: {name}
restapi:
  listen: {address}:{REST}
  connect_address: {address}:{REST}
etcd3:
  hosts: {etcd}
bootstrap:
  dcs:
    ttl: {ttl}
    loop_wait: {loop_wait}
    retry_timeout: {retry_timeout}
    maximum_lag_on_failover: 1048576
{synchronous}    postgresql:
      use_pg_rewind: true
      use_slots: true
      remove_data_directory_on_rewind_failure: true
      remove_data_directory_on_diverged_timelines: true
      parameters:
{parameters}  initdb:
  - encoding: UTF8
  - data-checksums
  pg_hba:
  - local all all trust
  - host replication replicator 10.0.2.0/24 scram-sha-256
  - host all all 10.0.2.0/24 scram-sha-256
  post_init: {make}
postgresql:
  listen: {address}:{SERVER}
  connect_address: {address}:{SERVER}
  data_dir: {data}/postgresql
  bin_dir: {programs}
  pgpass: {data}/pgpass
  authentication:
    replication: {{ username: replicator, password: replicator }}
    superuser: {{ username: postgres, password: postgres }}
    rewind: {{ username: rewinder, password: rewinder }}
  basebackup: {{ checkpoint: fast }}
  parameters:
    unix_socket_directories: '{data}'
",
        etcd = etcd::endpoints(|host, port| format!("{}:{port}", host.address())),
        make = make.display(),
        programs = cluster.place.programs.display(),
    )
}

/// The example that comes with Patroni; tuned, with checks that find out sooner.
pub(crate) fn balancer(cluster: &Cluster<'_>, tuned: bool) -> Result<Command> {
    let (check, inter) =
        if tuned { ("1s", "inter 500ms fall 2 rise 1") } else { ("5s", "inter 3s fall 3 rise 2") };
    let servers = Host::DATABASES
        .map(|host| {
            format!("    server {} {}:{SERVER} maxconn 100 check port {REST}\n", host.name(), host.address())
        })
        .concat();
    let text = format!(
        "global
    maxconn 100
defaults
    log global
    mode tcp
    retries 2
    timeout client 30m
    timeout connect 4s
    timeout server 30m
    timeout check {check}
listen bench
    bind *:{PORT}
    option httpchk
    http-check expect status 200
    default-server {inter} on-marked-down shutdown-sessions
{servers}"
    );
    let file = cluster.configuration(Host::Lb1, "cfg", &text)?;
    let mut haproxy = Host::Lb1.command(program("haproxy"), None);
    haproxy.args(["-db", "-f"]).arg(file);
    Ok(haproxy)
}

/// To whom it thinks best: synchronous, it takes only who confirms.
pub(crate) fn switchover(cluster: &Cluster<'_>, from: Host) -> Command {
    let name = format!("{}-{}.yml", cluster.contender.name, from.name());
    let mut order = from.command(program("patronictl"), Some(USER));
    order.arg("-c").arg(PathBuf::from(RUN).join(name));
    order.args(["switchover", "bench", "--master", from.name(), "--force"]);
    order
}

/// The primary, as HAProxy would know it, says who streams from it.
pub(crate) fn standing() -> Standing {
    for host in Host::DATABASES {
        let Some((200, said)) = ask_tcp((host.address(), REST).into(), "/primary") else { continue };
        let streams = |standby: &Host| {
            said["replication"].as_array().is_some_and(|all| {
                all.iter().any(|one| one["application_name"] == standby.name() && one["state"] == "streaming")
            })
        };
        return Standing {
            primary: Some(host),
            streaming: Host::DATABASES.into_iter().filter(streams).collect(),
        };
    }
    Standing::default()
}
