//! nines, on the hosts of the database and on the load balancer, by one system file.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::contender::{CONFIRM, Cluster, PARAMETERS, RUN, Standing, ask_unix};
use super::etcd;
use super::network::{Host, PORT};

/// Where nines' gates are.
const GATE: u16 = 5432;
/// How often, and how long apart, it is tried to resume what was paused just now.
const TRIES: u32 = 50;
const AGAIN: Duration = Duration::from_millis(100);

pub(crate) fn manager(cluster: &Cluster<'_>, host: Host) -> Result<Command> {
    part(cluster, host)
}

pub(crate) fn balancer(cluster: &Cluster<'_>) -> Result<Command> {
    part(cluster, Host::Lb1)
}

fn part(cluster: &Cluster<'_>, host: Host) -> Result<Command> {
    let file = cluster.configuration(host, "toml", &system(cluster, host))?;
    let mut nines = host.command(&cluster.place.nines, None);
    nines.arg("run").arg(file).args(["--host", host.name(), "--admin-socket", &socket(host)]);
    nines.args(["--state", &format!("{}.state", socket(host))]);
    Ok(nines)
}

/// Every default; where data are is the only thing that differs from host to host, since all of them have one disk.
fn system(cluster: &Cluster<'_>, host: Host) -> String {
    let hosts = Host::DATABASES.map(|host| format!("{} = \"{}\"\n", host.name(), host.address())).concat();
    let parameters = PARAMETERS.map(|(name, value)| format!("{name} = \"{value}\"\n")).concat();
    format!(
        "name = \"bench\"

[hosts]
{hosts}lb1 = \"{lb1}\"

[load_balancers.front]
hosts = [\"lb1\"]
listeners = [{{ bind = \":{PORT}\", database = \"orders\" }}]

[coordination]
etcd = [{etcd}]

[databases.orders]
hosts = [\"db1\", \"db2\", \"db3\"]
port = {GATE}
data = \"{data}/postgresql\"
programs = \"{programs}\"
confirm = {CONFIRM}
replication_password = \"replicator\"
users = [{{ name = \"bench\", password = \"bench\", owns = [\"bench\"] }}]

[databases.orders.parameters]
{parameters}",
        lb1 = Host::Lb1.address(),
        etcd = etcd::endpoints(|host, port| format!("\"{}:{port}\"", host.name())),
        data = cluster.data(host).display(),
        programs = cluster.place.programs.display(),
    )
}

pub(crate) fn switchover(cluster: &Cluster<'_>, from: Host) -> Command {
    let mut order = Command::new(&cluster.place.nines);
    order.args(["switchover", "orders", "--admin-socket", &socket(from)]);
    order
}

/// Paused, and resumed once that is known.
pub(crate) fn forget_failures(cluster: &Cluster<'_>) -> Result<()> {
    let order = |verb: &str| {
        let mut order = Command::new(&cluster.place.nines);
        order.args([verb, "orders", "--admin-socket", &socket(Host::DATABASES[0])]);
        anyhow::Ok(order.output()?.status.success())
    };
    order("pause")?;
    for _ in 0..TRIES {
        if order("resume")? {
            return Ok(());
        }
        std::thread::sleep(AGAIN);
    }
    anyhow::bail!("the database can't be resumed")
}

/// Who serves says who streams from it.
pub(crate) fn standing() -> Standing {
    for host in Host::DATABASES {
        let Some((200, said)) = ask_unix(&socket(host), "/status") else { continue };
        let database = &said["databases"][0];
        if database["serves"] != true {
            continue;
        }
        let streams = |standby: &Host| {
            database["members"].as_array().is_some_and(|all| {
                all.iter().any(|one| one["host"] == standby.name() && one["streaming"] == true)
            })
        };
        return Standing {
            primary: Some(host),
            streaming: Host::DATABASES.into_iter().filter(streams).collect(),
        };
    }
    Standing::default()
}

fn socket(host: Host) -> String {
    format!("{RUN}/{}.sock", host.name())
}
