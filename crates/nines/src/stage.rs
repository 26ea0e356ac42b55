//! The stage of a rehearsal: the real programs on the hosts of a lab, asked by the daemons' own admin client.

mod databases;
mod etcd;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nines_admin::{Client, ClientError};
use nines_control::event::Event;
use nines_control::status::{Status, Wish};
use nines_lab::{Direction, Inside, Lab, LabError, Place, ProcessId, Pulse, Running, SpawnOptions};
use nines_rehearsal::stage::{Enter, Victim};
use nines_rehearsal::{Fault, Stage, StageError};
use nines_system::{HostId, System};
use tokio::task::JoinSet;

/// How long a daemon may take until it answers its operator.
const START: Duration = Duration::from_secs(10);
/// How long a process may take to end after SIGTERM: a load balancer has half a minute, by default, for what is connected.
const END: Duration = Duration::from_secs(40);
/// How long a daemon may take to answer while clients are running. It answers in milliseconds or not at all.
const ANSWER: Duration = Duration::from_secs(1);
/// How often is looked whether something has come about.
const LOOK: Duration = Duration::from_millis(10);
/// How a slow host is slow: it stands still for four fifths of the time, and never for so long that it seems to be gone.
const PULSE: Pulse = Pulse { stands: Duration::from_millis(200), runs: Duration::from_millis(50) };
/// Lines of a process's output that are worth telling when it has ended.
const LAST_LINES: usize = 5;
/// Where daemons have their sockets, and what they measure: private to the lab.
const SOCKETS: &str = "/run/nines";

/// A system in a lab.
pub(crate) struct LabStage {
    lab: Lab,
    system: Arc<System>,
    /// What runs on each host, in the order of starting.
    programs: BTreeMap<HostId, Vec<Program>>,
    daemons: Vec<Daemon>,
    /// Hosts that are broken so that no daemon of theirs can answer.
    silent: BTreeSet<HostId>,
    logs: Option<PathBuf>,
}

struct Program {
    kind: Kind,
    /// Of a member: as events call it.
    member: Option<String>,
    words: Vec<OsString>,
    process: Option<ProcessId>,
}

impl Program {
    fn new(kind: Kind, words: Vec<OsString>) -> Self {
        Self { kind, member: None, words, process: None }
    }

    /// Whether it is one of these members.
    fn is_of(&self, members: &[String]) -> bool {
        self.member.as_ref().is_some_and(|member| members.contains(member))
    }
}

/// What a program is, in the order of starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Store,
    Member,
    Nines,
}

/// The `nines run` of a host of a load balancer or a database.
struct Daemon {
    host: HostId,
    /// It has a picture of the pools' members.
    balances: bool,
    /// Its place among the host's programs.
    program: usize,
    client: Client,
    /// The last event that was read, of the process that runs now.
    sequence: u64,
}

/// Why a system can't be had in any lab, if it can't; what this machine lacks is another question.
pub(crate) fn refused(system: &System) -> Option<StageError> {
    etcd::possible(system).err().or_else(|| Some(nines_lab::refused(system)?.into()))
}

impl LabStage {
    /// Makes the hosts; nothing runs on them yet. `file` must be what `system` was read from.
    pub(crate) async fn build(
        inside: &Inside,
        system: Arc<System>,
        file: &Path,
        logs: Option<PathBuf>,
    ) -> Result<Self, StageError> {
        databases::possible(inside, &system)?;
        let lab = Lab::build_with(inside, &system, &databases::furniture(&system)).await?;
        let program = std::env::current_exe()?.into_os_string();
        fs::create_dir_all(SOCKETS)?;
        let mut programs: BTreeMap<HostId, Vec<Program>> = BTreeMap::new();
        for (host, words) in etcd::commands(&lab, &system)? {
            programs.entry(host).or_default().push(Program::new(Kind::Store, words));
        }
        for pool in system.pools.iter().filter(|pool| pool.reaches.is_none()) {
            for member in &pool.members {
                let address = SocketAddr::new(lab.address(member.host), member.port);
                let host = &system[member.host].name;
                let words = match &pool.command {
                    Some(words) => words.iter().map(|word| fill(word, host, address).into()).collect(),
                    None => stand_in(&program, &member.name, address),
                };
                let label = Some(format!("{}/{}", pool.name, member.name));
                let program = Program { member: label, ..Program::new(Kind::Member, words) };
                programs.entry(member.host).or_default().push(program);
            }
        }
        let mut daemons = Vec::new();
        for host in system.host_ids() {
            let balances = system.load_balancers_on(host).next().is_some();
            if !balances && system.databases_on(host).next().is_none() {
                continue;
            }
            let name = &system[host].name;
            let socket = Path::new(SOCKETS).join(format!("{name}.sock"));
            let words = daemon(&program, file, name, &socket);
            let there = programs.entry(host).or_default();
            let client = Client::new(socket);
            daemons.push(Daemon { host, balances, program: there.len(), client, sequence: 0 });
            there.push(Program::new(Kind::Nines, words));
        }
        Ok(Self { lab, system, programs, daemons, silent: BTreeSet::new(), logs })
    }

    /// Starts all programs of a host.
    fn start(&mut self, host: HostId) -> Result<(), LabError> {
        self.start_some(host, &|_| true)
    }

    fn start_kind(&mut self, host: HostId, which: &dyn Fn(Kind) -> bool) -> Result<(), LabError> {
        self.start_some(host, &|program| which(program.kind))
    }

    fn start_some(&mut self, host: HostId, which: &dyn Fn(&Program) -> bool) -> Result<(), LabError> {
        let log = self
            .logs
            .as_deref()
            .map(|_| log_path(self.logs.as_deref(), &self.lab, host, &self.system[host].name));
        let all = self.programs.entry(host).or_default();
        let mut nines_is_new = false;
        for program in all.iter_mut().filter(|program| which(program)) {
            nines_is_new |= program.kind == Kind::Nines;
            let mut options = SpawnOptions::default();
            options.output.clone_from(&log);
            program.process = Some(self.lab.spawn(host, &program.words, options)?);
        }
        for daemon in self.daemons.iter_mut().filter(|daemon| daemon.host == host && nines_is_new) {
            // It counts its events from one again.
            daemon.sequence = 0;
        }
        Ok(())
    }

    /// Ends all programs of a host as a machine does that goes down: SIGTERM to nines, then to everything else, then to
    /// what nines left running. Returns once they have ended.
    async fn end(&mut self, host: HostId) -> Result<(), StageError> {
        for nines_is_meant in [true, false] {
            let programs = self.programs.entry(host).or_default().iter();
            let running: Vec<ProcessId> = programs
                .filter(|program| (program.kind == Kind::Nines) == nines_is_meant)
                .filter_map(|program| program.process)
                .collect();
            for &process in &running {
                self.lab.terminate(process)?;
            }
            for process in running {
                if tokio::time::timeout(END, self.lab.exited(process)).await.is_err() {
                    return Err(format!("it did not end within {} s after SIGTERM", END.as_secs()).into());
                }
            }
        }
        if self.system.databases_on(host).next().is_some() {
            self.end_what_is_left(host).await?;
        }
        Ok(())
    }

    /// SIGHUP to a host's daemon, each time once the time before has been taken in.
    async fn reload(&mut self, host: HostId) -> Result<(), StageError> {
        let Some(daemon) = self.daemons.iter().find(|daemon| daemon.host == host) else { return Ok(()) };
        let process = self.programs.get(&host).and_then(|programs| programs.get(daemon.program)?.process);
        let process = process.ok_or("its daemon does not run")?;
        for _ in 0..Fault::RELOADS {
            let before = daemon.client.status().await?.file.generation;
            self.lab.hang_up(process)?;
            let begin = Instant::now();
            loop {
                let file = daemon.client.status().await?.file;
                if let Some(why) = file.refused {
                    return Err(format!("the file was refused: {why}").into());
                }
                if file.generation > before {
                    break;
                }
                if begin.elapsed() > START {
                    return Err(format!("the file was not loaded again within {} s", START.as_secs()).into());
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Of a load balancer's host its own daemon is asked, which is the one that leaves; of a server each of them, for each
    /// has its own picture of the members.
    async fn wish(&self, host: HostId, wish: Wish) -> Result<(), StageError> {
        let balancing = || self.daemons.iter().filter(|daemon| daemon.balances);
        let own = balancing().any(|daemon| daemon.host == host);
        for daemon in balancing().filter(|daemon| !own || daemon.host == host) {
            daemon.client.wish(&self.system[host].name, wish).await?;
        }
        Ok(())
    }

    /// Asks every daemon that can answer, all at the same time; the answers with the daemons' places.
    async fn ask<T, F>(&self, ask: impl Fn(Client, u64) -> F) -> Vec<(usize, Result<T, StageError>)>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ClientError>> + Send + 'static,
    {
        let mut asked = JoinSet::new();
        for (place, daemon) in self.daemons.iter().enumerate() {
            if self.silent.contains(&daemon.host) {
                continue;
            }
            let answer = tokio::time::timeout(ANSWER, ask(daemon.client.clone(), daemon.sequence));
            let name = self.system[daemon.host].name.clone();
            asked.spawn(async move {
                let late = |_| format!("nines on {name} does not answer").into();
                let answer = answer.await.map_err(late).and_then(|answer| answer.map_err(StageError::from));
                (place, answer)
            });
        }
        let mut answers = asked.join_all().await;
        answers.sort_unstable_by_key(|&(place, _)| place);
        answers
    }

    /// A host and the others that may hold a virtual address with it.
    fn sharing(&self, host: HostId) -> Vec<HostId> {
        let all = self.system.load_balancers.iter().flat_map(|balancer| &balancer.virtual_ips);
        let with_it = all.filter(|it| it.hosts.iter().any(|candidate| candidate.host == host));
        let hosts: BTreeSet<HostId> =
            with_it.flat_map(|it| &it.hosts).map(|candidate| candidate.host).collect();
        hosts.into_iter().collect()
    }

    /// The processes of these members, and what those started.
    fn members(
        &self,
        host: HostId,
        victim: Victim<'_>,
    ) -> Result<impl Fn(&Running) -> bool + use<>, StageError> {
        let of_them = self.programs.get(&host).into_iter().flatten();
        let of_them = of_them.filter(|program| program.is_of(victim.members));
        let roots = of_them.filter_map(|program| self.lab.pid(program.process?));
        let mut pids: BTreeSet<u32> = roots.collect();
        if pids.is_empty() {
            return Err("no such member runs there".into());
        }
        let all = self.lab.running(host)?;
        // A child is found once its parent has been.
        while let Some(child) = all.iter().find(|it| pids.contains(&it.parent) && !pids.contains(&it.pid)) {
            pids.insert(child.pid);
        }
        Ok(move |it: &Running| pids.contains(&it.pid))
    }

    async fn wait_for_daemons(&mut self) -> Result<(), StageError> {
        let begin = Instant::now();
        for index in 0..self.daemons.len() {
            while let Err(error) = self.daemons[index].client.status().await {
                let ended = self.ended().await;
                if !ended.is_empty() {
                    return Err(ended.join("; ").into());
                }
                if begin.elapsed() > START {
                    let name = &self.system[self.daemons[index].host].name;
                    return Err(format!("nines on {name} does not answer: {error}").into());
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    fn host(&self, name: &str) -> Result<HostId, StageError> {
        self.system.host_named(name).ok_or_else(|| format!("there is no host {name}").into())
    }
}

impl Stage for LabStage {
    async fn bring_up(&mut self) -> Result<(), StageError> {
        let hosts: Vec<HostId> = self.programs.keys().copied().collect();
        for &host in &hosts {
            self.start_kind(host, &|kind| kind == Kind::Store)?;
        }
        self.wait_for_store().await?;
        for host in hosts {
            self.start_kind(host, &|kind| kind != Kind::Store)?;
        }
        self.wait_for_daemons().await
    }

    async fn inflict(&mut self, fault: Fault, victim: Victim<'_>) -> Result<(), StageError> {
        let host = self.host(victim.host)?;
        if fault.silences() {
            self.silent.insert(host);
        }
        match fault {
            Fault::Kill => self.lab.kill(host)?,
            Fault::PowerOff => self.lab.power_off(host).await?,
            Fault::Freeze => self.lab.freeze(host)?,
            Fault::KillServer => self.kill_server(host, victim)?,
            Fault::FreezeServer => {
                let is_server = self.server(victim)?;
                self.lab.freeze_some(host, &is_server)?;
            }
            Fault::KillNines => self.lab.kill_some(host, &self.one(host, Kind::Nines)?)?,
            Fault::FreezeNines => self.lab.freeze_some(host, &self.one(host, Kind::Nines)?)?,
            Fault::KillStore => self.lab.kill_some(host, &self.one(host, Kind::Store)?)?,
            Fault::FreezeStore => self.lab.freeze_some(host, &self.one(host, Kind::Store)?)?,
            Fault::Switchover => self.switch_over(host, victim).await?,
            Fault::CutOff => self.lab.cut_off(host, Direction::Both).await?,
            // All at one stroke, with the first.
            Fault::Partition if victim.company.first().is_some_and(|first| first != victim.host) => {}
            Fault::Partition => {
                let company = victim.company.iter().map(|name| self.host(name));
                self.lab.part(&company.collect::<Result<Vec<_>, _>>()?)?;
            }
            Fault::CutIn => self.lab.cut_off(host, Direction::In).await?,
            Fault::CutOut => self.lab.cut_off(host, Direction::Out).await?,
            Fault::Slow => self.lab.slow_down(host, PULSE)?,
            Fault::Lossy => self.lab.lose(host, Fault::LOSES_ONE_IN)?,
            Fault::KillMember => self.lab.kill_some(host, &self.members(host, victim)?)?,
            Fault::FreezeMember => self.lab.freeze_some(host, &self.members(host, victim)?)?,
            Fault::Split => self.lab.split(&self.sharing(host)).await?,
            Fault::Drain => self.wish(host, Wish::Draining).await?,
            Fault::Maintenance => self.wish(host, Wish::Maintenance).await?,
            Fault::Restart | Fault::RollingRestart => self.end(host).await?,
            Fault::Reload => self.reload(host).await?,
        }
        Ok(())
    }

    async fn heal(&mut self, fault: Fault, victim: Victim<'_>) -> Result<(), StageError> {
        let host = self.host(victim.host)?;
        match fault {
            Fault::Kill | Fault::Restart | Fault::RollingRestart => self.start(host)?,
            Fault::PowerOff => {
                self.lab.heal(host).await?;
                self.start(host)?;
            }
            Fault::Freeze => self.lab.thaw(host)?,
            Fault::KillNines => self.start_kind(host, &|kind| kind == Kind::Nines)?,
            Fault::KillStore => self.start_kind(host, &|kind| kind == Kind::Store)?,
            Fault::FreezeServer => {
                let is_server = self.server(victim)?;
                self.lab.thaw_some(host, &is_server)?;
            }
            Fault::FreezeNines => self.lab.thaw_some(host, &self.one(host, Kind::Nines)?)?,
            Fault::FreezeStore => self.lab.thaw_some(host, &self.one(host, Kind::Store)?)?,
            Fault::CutOff | Fault::CutIn | Fault::CutOut | Fault::Lossy => self.lab.heal(host).await?,
            Fault::Partition => self.lab.join()?,
            Fault::Slow => self.lab.speed_up(host)?,
            Fault::KillMember => self.start_some(host, &|program| program.is_of(victim.members))?,
            Fault::FreezeMember => self.lab.thaw_some(host, &self.members(host, victim)?)?,
            Fault::Split => {
                for host in self.sharing(host) {
                    self.lab.heal(host).await?;
                }
            }
            Fault::Drain | Fault::Maintenance => self.wish(host, Wish::Ready).await?,
            Fault::Reload | Fault::KillServer | Fault::Switchover => {}
        }
        self.silent.remove(&host);
        Ok(())
    }

    async fn forget_failures(&mut self, database: &str) -> Result<(), StageError> {
        self.pause_and_resume(database).await
    }

    async fn ended(&mut self) -> Vec<String> {
        let mut ended = Vec::new();
        for (&host, programs) in &self.programs {
            for program in programs {
                let Some(process) = program.process.filter(|&it| !self.lab.alive(it).unwrap_or(true)) else {
                    continue;
                };
                // One that ended well may have left a daemon behind.
                if let Ok(status) = self.lab.exited(process).await
                    && !status.success()
                {
                    let name = &self.system[host].name;
                    let words: Vec<_> = program.words.iter().map(|word| word.to_string_lossy()).collect();
                    let log = log_path(self.logs.as_deref(), &self.lab, host, name);
                    ended.push(format!("{name}: `{}`: {status}{}", words.join(" "), last_words(&log)));
                }
            }
        }
        ended
    }

    async fn status(&mut self) -> Result<Vec<Status>, StageError> {
        let answers = self.ask(|client, _| async move { client.status().await }).await;
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    async fn store_leader(&mut self) -> Result<String, StageError> {
        self.leader()
    }

    async fn new_events(&mut self) -> Result<Vec<Event>, StageError> {
        let mut all = Vec::new();
        let answers =
            self.ask(|client, after| async move { client.events(after, Duration::ZERO).await }).await;
        for (place, answer) in answers {
            // One that should answer and doesn't is not healthy, which is seen by its status.
            let Ok(events) = answer else { continue };
            let daemon = &mut self.daemons[place];
            daemon.sequence = events.last().map_or(daemon.sequence, |event| event.sequence);
            all.extend(events);
        }
        Ok(all)
    }

    fn address(&self, host: &str) -> Option<IpAddr> {
        self.system.host_named(host).map(|host| self.lab.address(host))
    }

    fn clients_place(&self) -> Result<Enter, StageError> {
        let place = self.lab.client_place();
        Ok(Box::new(move || enter(&place)))
    }
}

/// Many short connections from one address to another need many ports, and those just used again.
fn enter(place: &Place) -> io::Result<()> {
    place.enter()?;
    // Each is of the thread's own network namespace. A kernel that won't is no obstacle, only sooner out of ports.
    let _ = fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65535");
    let _ = fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "1");
    Ok(())
}

fn fill(word: &str, host: &str, address: SocketAddr) -> String {
    word.replace("{host}", host)
        .replace("{address}", &address.ip().to_string())
        .replace("{port}", &address.port().to_string())
}

fn stand_in(program: &OsString, name: &str, address: SocketAddr) -> Vec<OsString> {
    let listen = address.to_string();
    let words = ["stand-in", "--listen", &listen, "--name", name];
    std::iter::once(program.clone()).chain(words.map(OsString::from)).collect()
}

fn daemon(program: &OsString, file: &Path, host: &str, socket: &Path) -> Vec<OsString> {
    vec![
        program.clone(),
        "run".into(),
        file.into(),
        "--host".into(),
        host.into(),
        "--admin-socket".into(),
        socket.into(),
        "--state".into(),
        socket.with_extension("state").into(),
    ]
}

fn log_path(logs: Option<&Path>, lab: &Lab, host: HostId, name: &str) -> PathBuf {
    logs.map_or_else(|| lab.output(host), |logs| logs.join(format!("{name}.log")))
}

/// Begins with a separator, or is empty.
fn last_words(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    if last.is_empty() { String::new() } else { format!("; it said last:\n  {}", last.join("\n  ")) }
}
