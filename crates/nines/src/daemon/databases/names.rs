//! Where the other hosts' gates are that the file gives by name: looked up again and again, since what a name stands for can change, and
//! since whoever answers may not be there yet when nines starts.

use std::net::SocketAddr;
use std::time::Duration;

use nines_control::failover::Host;
use nines_database::hands::Peers;
use nines_system::{DatabaseId, HostAddress, HostId, System};
use tokio::task::JoinSet;

/// From an answer to the next question.
const EVERY: Duration = Duration::from_secs(5);

/// The names of a database's other hosts.
pub(super) struct Names {
    hosts: Vec<(Host, String)>,
    port: u16,
}

impl Names {
    pub(super) fn of(system: &System, database: DatabaseId, me: HostId) -> Self {
        let database = &system[database];
        let others = database.hosts.iter().filter(|&&host| host != me).map(|&host| &system[host]);
        let hosts = others.filter_map(|host| match &host.address {
            HostAddress::Dns(name) => Some((Host::from(host.name.as_str()), name.clone())),
            HostAddress::Ip(_) => None,
        });
        Self { hosts: hosts.collect(), port: database.port }
    }

    /// Looks them up for as long as what it returns is kept. Each by itself: one that nobody answers for holds up no other.
    pub(super) fn look_up(&self, peers: &Peers) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for (host, name) in self.hosts.clone() {
            tasks.spawn(keep(peers.clone(), host, name, self.port));
        }
        tasks
    }
}

/// The last good answer stays until there is another one.
async fn keep(peers: Peers, host: Host, name: String, port: u16) {
    let mut fails = false;
    loop {
        // Not given up: another question beside one that hangs would be one more thread.
        match tokio::net::lookup_host((name.as_str(), port)).await {
            Ok(found) => {
                let found: Vec<SocketAddr> = found.collect();
                let known = peers.get(&host);
                if let Some(at) = choose(known, &found).filter(|at| known != Some(*at)) {
                    tracing::info!(%host, name, %at, "where a host's gate is");
                    peers.set(host.clone(), at);
                }
                fails = false;
            }
            Err(error) if !fails => {
                tracing::warn!(%host, name, %error, "a host's name can't be looked up");
                fails = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The one that it is already as long as it is among them: many servers give theirs in another order each time.
fn choose(known: Option<SocketAddr>, found: &[SocketAddr]) -> Option<SocketAddr> {
    known.filter(|at| found.contains(at)).or_else(|| found.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_stays_for_as_long_as_the_name_has_it() {
        let (one, two) = (at("10.0.0.1:5432"), at("10.0.0.2:5432"));
        assert_eq!(choose(None, &[one, two]), Some(one));
        assert_eq!(choose(Some(two), &[one, two]), Some(two));
        assert_eq!(choose(Some(two), &[one]), Some(one));
        assert_eq!(choose(Some(two), &[]), None, "nothing to set: it stays");
    }

    #[tokio::test]
    async fn a_host_that_has_a_name_is_found_at_the_databases_port() {
        let text = r#"
name = "t"
[hosts]
db1 = "10.0.0.1"
db2 = "localhost"
db3 = "10.0.0.3"
[databases.orders]
hosts = ["db1", "db2"]
port = 6543
replication_password = "x"
[coordination]
etcd = ["db1:2379", "db2:2379", "db3:2379"]
"#;
        let system =
            nines_system::parse("t.toml", text).unwrap_or_else(|why| panic!("{}", why.render(false)));
        let me = system.host_named("db1").unwrap();
        let id = system.databases_on(me).next().unwrap();
        let peers = Peers::default();
        let tasks = Names::of(&system, id, me).look_up(&peers);
        assert_eq!(tasks.len(), 1, "who has an address is not looked up");
        let found = async {
            loop {
                match peers.get(&"db2".into()) {
                    Some(at) => return at,
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), found).await.unwrap();
        assert!(found.ip().is_loopback());
        assert_eq!(found.port(), 6543);
    }
}
