//! etcd on the hosts that the file names: real ones, on the hosts' own disks, that die and freeze with their host.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nines_lab::Lab;
use nines_rehearsal::StageError;
use nines_system::{Etcd, EtcdMember, HostId, Store, System};
use serde_json::Value;

use super::{LOOK, LabStage};

const PROGRAM: &str = "etcd";

/// A leader that is gone is missed after this, and replaced after up to twice as long: sooner than a lease of 1.5 s runs out. The
/// default, 100 ms and 1 s, is for members that are further apart than those of one region.
const HEARTBEAT: Duration = Duration::from_millis(50);
const ELECTION: Duration = Duration::from_millis(500);

/// How long all members together may take until they have a leader.
const START: Duration = Duration::from_secs(20);
/// For one answer.
const ANSWER: Duration = Duration::from_millis(500);
const LONGEST: u64 = 64 * 1024;

/// What must be started where, for the members that are hosts of the system.
pub(super) fn commands(lab: &Lab, system: &System) -> Result<Vec<(HostId, Vec<OsString>)>, StageError> {
    let Some(etcd) = etcd(system) else { return Ok(Vec::new()) };
    possible(system)?;
    let hosts: Vec<(HostId, u16)> = members(etcd).collect();
    let program = find().ok_or("the file wants etcd, and there is no `etcd` here (Debian: etcd-server)")?;
    let url = |host, port| format!("http://{}", SocketAddr::new(lab.address(host), port));
    let name = |host: HostId, port: u16| format!("{}-{port}", system[host].name);
    let peers: Vec<String> =
        hosts.iter().map(|&(host, port)| format!("{}={}", name(host, port), url(host, port + 1))).collect();
    let mut commands = Vec::new();
    for &(host, port) in &hosts {
        let disk = lab.disk(host).ok_or("the lab has no disks, and etcd needs some")?;
        let (client, peer) = (url(host, port), url(host, port + 1));
        let mut words: Vec<OsString> = vec![program.clone().into()];
        let mut say = |option: &str, value: &dyn AsRef<std::ffi::OsStr>| {
            words.extend([option.into(), value.as_ref().to_owned()]);
        };
        say("--name", &name(host, port));
        say("--data-dir", &disk.join(name(host, port)));
        say("--listen-client-urls", &client);
        say("--advertise-client-urls", &client);
        say("--listen-peer-urls", &peer);
        say("--initial-advertise-peer-urls", &peer);
        say("--initial-cluster", &peers.join(","));
        say("--heartbeat-interval", &HEARTBEAT.as_millis().to_string());
        say("--election-timeout", &ELECTION.as_millis().to_string());
        // A member that was cut off and comes back must not make the others elect a leader anew.
        words.push("--pre-vote".into());
        commands.push((host, words));
    }
    Ok(commands)
}

fn etcd(system: &System) -> Option<&Etcd> {
    match system.coordination.as_ref().map(|it| &it.store) {
        Some(Store::Etcd(etcd)) => Some(etcd),
        Some(Store::Embedded { .. }) | None => None,
    }
}

fn members(etcd: &Etcd) -> impl Iterator<Item = (HostId, u16)> {
    etcd.members.iter().filter_map(|member| match member {
        EtcdMember::Host { host, port } => Some((*host, *port)),
        EtcdMember::Address(_) | EtcdMember::Name { .. } => None,
    })
}

/// What is not of this system is not in its copy; and there is nobody here to make certificates and users.
pub(super) fn possible(system: &System) -> Result<(), StageError> {
    let Some(etcd) = etcd(system) else { return Ok(()) };
    let outside = etcd.members.iter().find_map(|member| match member {
        EtcdMember::Host { .. } => None,
        EtcdMember::Address(address) => Some(address.to_string()),
        EtcdMember::Name { name, port } => Some(format!("{name}:{port}")),
    });
    if let Some(outside) = outside {
        return Err(format!(
            "etcd at {outside} is on no host of the system, and the hosts of a rehearsal reach nothing else: \
             rehearse a copy of the file in which [coordination] names hosts"
        )
        .into());
    }
    if etcd.tls.is_some() || etcd.user.is_some() {
        return Err(
            "a rehearsal's etcd has no certificates and no users: rehearse a copy of the file in which \
                    [coordination] has neither `tls` nor `user`"
                .into(),
        );
    }
    if members(etcd).any(|(_, port)| port == u16::MAX) {
        return Err(
            "etcd's members speak with each other one port above that of their clients, so it can't be \
                    65535 in a rehearsal"
                .into(),
        );
    }
    Ok(())
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(PROGRAM)).find(|file| file.is_file())
}

impl LabStage {
    /// Until every member has a leader.
    pub(super) async fn wait_for_store(&mut self) -> Result<(), StageError> {
        let all: Vec<(HostId, u16)> = etcd(&self.system).into_iter().flat_map(members).collect();
        let begin = Instant::now();
        for (host, port) in all {
            while let Err(why) = self.ask_store(host, port, "GET", "/health").and_then(|it| healthy(&it)) {
                let ended = nines_rehearsal::Stage::ended(self).await;
                if !ended.is_empty() {
                    return Err(ended.join("; ").into());
                }
                if begin.elapsed() > START {
                    let name = &self.system[host].name;
                    return Err(format!("etcd on {name} is not healthy: {why}").into());
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// The host whose member says that it is the leader itself.
    pub(super) fn leader(&self) -> Result<String, StageError> {
        for (host, port) in etcd(&self.system).into_iter().flat_map(members) {
            let Ok(status) = self.ask_store(host, port, "POST", "/v3/maintenance/status") else { continue };
            let own = &status["header"]["member_id"];
            if own.is_string() && *own == status["leader"] {
                return Ok(self.system[host].name.clone());
            }
        }
        Err("no member of etcd says that it is the leader".into())
    }

    /// From where clients are, while the caller waits: a few milliseconds, or [`ANSWER`].
    fn ask_store(&self, host: HostId, port: u16, method: &str, path: &str) -> io::Result<Value> {
        let address = SocketAddr::new(self.lab.address(host), port);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        let asked = self.lab.client_place().run_in_thread("etcd", move || ask(address, &request))?;
        asked.join().map_err(|_| io::Error::other("the thread that asked died"))??
    }
}

fn ask(address: SocketAddr, request: &str) -> io::Result<Value> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    // An object and nothing else, in one chunk or in none.
    let text = String::from_utf8_lossy(&answer);
    let (begin, end) = (text.find('{').unwrap_or_default(), text.rfind('}').map_or(0, |at| at + 1));
    serde_json::from_str(text.get(begin..end).unwrap_or_default()).map_err(io::Error::other)
}

fn healthy(answer: &Value) -> io::Result<()> {
    if answer["health"] == "true" { Ok(()) } else { Err(io::Error::other(answer.to_string())) }
}
