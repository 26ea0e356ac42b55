//! What befalls the primary, and what writers see of it until all is whole again.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::contender::{Cluster, Contender, Kind as Who, Place};
use super::network::{Host, Network, PORT};
use super::writers::LOOK;
use crate::bench::client::Client;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// As the command line calls it.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    PostmasterKilled,
    CutOff,
    HostKilled,
    ManagerKilled,
    ManagerFrozen,
    Switchover,
    Restart,
}

const fn fault(name: &'static str, about: &'static str, kind: Kind) -> Fault {
    Fault { name, about, kind }
}

pub(crate) static FAULTS: [Fault; 7] = [
    fault("postmaster-killed", "SIGKILL to the primary's postmaster", Kind::PostmasterKilled),
    fault("cut-off", "its host's link goes down, and comes up again once writes go on", Kind::CutOff),
    fault(
        "host-killed",
        "its host's link goes down and all its processes are killed; it boots once writes go on",
        Kind::HostKilled,
    ),
    fault(
        "manager-killed",
        "SIGKILL to Patroni, or nines, which is started again once another host is the primary, or after 60 s",
        Kind::ManagerKilled,
    ),
    fault("manager-frozen", "SIGSTOP to Patroni, or nines, for 20 s", Kind::ManagerFrozen),
    fault("switchover", "`patronictl switchover`, `nines switchover`", Kind::Switchover),
    fault("restart", "its host is shut down cleanly (SIGTERM first), and boots 5 s later", Kind::Restart),
];

/// Until a new cluster is whole and writes go through, and an old one is so again.
const SETTLED: Duration = Duration::from_secs(90);
/// How long an outage is watched at most, before it is called endless.
pub(crate) const WATCHED: Duration = Duration::from_secs(60);
/// How long the old primary has for coming back.
pub(crate) const BACK: Duration = Duration::from_secs(90);
const FROZEN: Duration = Duration::from_secs(20);
/// Without power between a clean shutdown and the boot.
const OFF: Duration = Duration::from_secs(5);
/// How long a clean shutdown may take.
const SHUT_DOWN: Duration = Duration::from_secs(60);
/// Commits in a row, before a case begins and before an outage is over.
const BEFORE: u32 = 200;
const AFTER: u32 = 400;
/// How long all is well on the record before the fault.
const LEAD: Duration = Duration::from_millis(300);
const LOOK_ROUND: Duration = Duration::from_millis(50);

/// A contender in a network of its own, in the order in which they go.
pub(crate) struct World<'a> {
    cluster: Cluster<'a>,
    network: Network,
    cases: u32,
}

/// What a case was like, apart from what writers saw.
#[derive(Default)]
struct Course {
    /// Nobody else became the primary.
    unnoticed: bool,
    /// When the old primary could begin to come back.
    healed: Option<Instant>,
}

impl<'a> World<'a> {
    pub(crate) fn new(contender: Contender, place: &'a Place) -> Result<Self> {
        let network = Network::new().context("the network")?;
        let cluster = Cluster::start(contender, place)?;
        let mut world = Self { cluster, network, cases: 0 };
        world.settle()?;
        Ok(world)
    }

    /// One primary, and all others follow it; for a while, so that nothing is left of what was before.
    fn settle(&mut self) -> Result<Host> {
        let cluster = &mut self.cluster;
        let mut whole = 0;
        let mut standing = cluster.standing();
        let settled = wait_for(SETTLED, || {
            cluster.all_run()?;
            standing = cluster.standing();
            whole = if standing.is_whole() { whole + 1 } else { 0 };
            Ok(whole >= 20)
        })?;
        match standing.primary {
            Some(primary) if settled => Ok(primary),
            _ => bail!("it does not settle within {} s: {standing}", SETTLED.as_secs()),
        }
    }

    /// Puts the primary through it.
    pub(crate) fn put(&mut self, fault: Fault, round: u32) -> Result<Value> {
        self.settle()?;
        self.cases += 1;
        let mut client = Client::start(writers(self.cases)?)?;
        if !client.steady(BEFORE, SETTLED)? {
            bail!("writes are not acknowledged steadily within {} s", SETTLED.as_secs());
        }
        self.cluster.forget_failures()?;
        let old = self.settle()?;
        client.begin()?;
        thread::sleep(LEAD + interval(self.cluster.contender).mul_f64(phase(round)));
        let course = self.strike(fault.kind, old, &mut client)?;

        let healed = course.healed.unwrap_or_else(Instant::now);
        let mut standing = self.cluster.standing();
        let back = wait_for(BACK.saturating_sub(healed.elapsed()), || {
            standing = self.cluster.standing();
            Ok(standing.is_member(old))
        })?;
        let took = healed.elapsed();
        client.steady(AFTER, WATCHED)?;
        let mut seen = client.told("end")?;
        let found = client.told_within("look", LOOK * 2)?;
        if let Some(error) = found["error"].as_str() {
            bail!("what was acknowledged cannot be looked for: {error}");
        }
        seen["found"] = found;
        seen["back_ms"] = if back { json!(took.as_secs_f64() * 1e3) } else { Value::Null };
        seen["unnoticed"] = json!(course.unnoticed);
        seen["primaries"] = json!([old.name(), standing.primary.map(Host::name)]);
        Ok(seen)
    }

    /// The fault and its end, each until it has had its effect.
    fn strike(&mut self, kind: Kind, old: Host, client: &mut Client) -> Result<Course> {
        let mut course = Course { healed: Some(Instant::now()), ..Course::default() };
        let cluster = &mut self.cluster;
        let taken_over = |cluster: &Cluster<'_>| {
            wait_for(WATCHED, || Ok(cluster.standing().primary.is_some_and(|primary| primary != old)))
        };
        match kind {
            Kind::PostmasterKilled => {
                old.kill_postmaster()?;
                client.steady(AFTER, WATCHED)?;
                return Ok(course);
            }
            Kind::Switchover => {
                cluster.switch_over(old)?;
                // It may only have been ordered.
                course.unnoticed = !taken_over(cluster)?;
                client.steady(AFTER, WATCHED)?;
                return Ok(course);
            }
            Kind::CutOff => {
                self.network.plug(old, false)?;
                client.steady(AFTER, WATCHED)?;
                self.network.plug(old, true)?;
            }
            Kind::HostKilled => {
                self.network.plug(old, false)?;
                cluster.kill(old)?;
                client.steady(AFTER, WATCHED)?;
                self.network.plug(old, true)?;
                cluster.boot(old)?;
            }
            Kind::ManagerKilled => {
                cluster.kill_manager(old);
                course.unnoticed = !taken_over(cluster)?;
                client.steady(AFTER, WATCHED)?;
                cluster.start_manager(old)?;
            }
            Kind::ManagerFrozen => {
                cluster.signal_manager(old, Signal::STOP)?;
                let began = Instant::now();
                course.unnoticed = !wait_for(FROZEN, || {
                    Ok(cluster.standing().primary.is_some_and(|primary| primary != old))
                })?;
                thread::sleep(FROZEN.saturating_sub(began.elapsed()));
                cluster.signal_manager(old, Signal::CONT)?;
                course.healed = Some(Instant::now());
                // Until it is known what it does now.
                wait_for(SETTLED, || Ok(cluster.standing().primary.is_some()))?;
                client.steady(AFTER, WATCHED)?;
                return Ok(course);
            }
            Kind::Restart => {
                if !cluster.shut_down(old, SHUT_DOWN)? {
                    eprintln!("bench: {} was not shut down within {} s", old.name(), SHUT_DOWN.as_secs());
                }
                self.network.plug(old, false)?;
                let off = Instant::now();
                client.steady(AFTER, WATCHED)?;
                thread::sleep(OFF.saturating_sub(off.elapsed()));
                self.network.plug(old, true)?;
                cluster.boot(old)?;
            }
        }
        course.healed = Some(Instant::now());
        Ok(course)
    }
}

/// The program that writes.
fn writers(run: u32) -> Result<Command> {
    let mut command = Host::Client.command(std::env::current_exe().context("who are we?")?, None);
    command.args(["bench", "failover-writers", "--target", &format!("{}:{PORT}", Host::Lb1.address())]);
    command.args(["--run", &run.to_string()]);
    Ok(command)
}

/// How often the right to be the primary is renewed: when a fault strikes in between counts.
fn interval(contender: Contender) -> Duration {
    match contender.kind {
        Who::Patroni { tuned: false } => Duration::from_secs(10),
        Who::Patroni { tuned: true } => Duration::from_secs(1),
        Who::Nines => Duration::from_millis(250),
    }
}

/// A part of the interval. Any number of rounds is spread evenly, as the golden ratio does.
fn phase(round: u32) -> f64 {
    (f64::from(round) * 0.618_034).fract()
}

/// Whether `condition` came about before `patience` was over.
fn wait_for(patience: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<bool> {
    let until = Instant::now() + patience;
    loop {
        if condition()? {
            return Ok(true);
        }
        if Instant::now() > until {
            return Ok(false);
        }
        thread::sleep(LOOK_ROUND);
    }
}
