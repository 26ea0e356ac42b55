//! What befalls the pair of load balancers, and what the client sees of it: a case is one fault and one contender, both new.

use std::fmt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;

use super::contender::{Contender, Pair, Place};
use super::network::{Host, Network};
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
    CutOff,
    HostKilled,
    BalancerKilled,
    Frozen,
    Leave,
    ComeBack,
    Restart,
    Split,
}

impl Kind {
    /// Whether it is a fault of the active host. It would be none if another one were that already.
    fn strikes_lb1(self) -> bool {
        match self {
            Self::CutOff | Self::HostKilled | Self::BalancerKilled | Self::Frozen | Self::Leave => true,
            Self::ComeBack | Self::Restart | Self::Split => false,
        }
    }
}

const fn fault(name: &'static str, about: &'static str, kind: Kind) -> Fault {
    Fault { name, about, kind }
}

pub(crate) static FAULTS: [Fault; 8] = [
    fault("cut-off", "the active host's link goes down", Kind::CutOff),
    fault("host-killed", "its link goes down and all its processes are killed", Kind::HostKilled),
    fault(
        "balancer-killed",
        "HAProxy, or nines, is killed; the host and keepalived live",
        Kind::BalancerKilled,
    ),
    fault("frozen", "all its processes are stopped, and continued after 3 s", Kind::Frozen),
    fault("leave", "the active host leaves as planned: SIGTERM to keepalived, `nines drain`", Kind::Leave),
    fault(
        "come-back",
        "it comes back from there: keepalived is started again, `nines ready`",
        Kind::ComeBack,
    ),
    fault("restart", "a host that was killed starts anew, and is the preferred one", Kind::Restart),
    fault("split", "the link between both load balancers heals after both were active", Kind::Split),
];

/// Until a pair serves at all.
const SETTLED: Duration = Duration::from_secs(15);
/// How long an outage is watched at most, before it is called endless.
pub(crate) const WATCHED: Duration = Duration::from_secs(6);
const FROZEN: Duration = Duration::from_secs(3);
/// How long all must be well before a case begins, in requests of each kind.
const BEFORE: u32 = 50;
/// And before it is over.
const AFTER: u32 = 150;
/// How long all is well on the record, so that the fault does not meet the client's first request.
const LEAD: Duration = Duration::from_millis(300);
/// keepalived announces the address again 5 s after it took over, which would heal, by chance, what a fault soon after left behind.
const ANNOUNCED: Duration = Duration::from_secs(6);
const LOOK: Duration = Duration::from_millis(100);

/// In the order in which they go: the network's end is the end of all that is left on it.
struct Case<'a> {
    client: Client,
    pair: Pair<'a>,
    network: Network,
}

/// Who holds the address, and who is reached by it.
#[derive(PartialEq, Eq)]
struct Standing {
    holds: [bool; 2],
    reached: [bool; 2],
}

impl Standing {
    const LB1_ALONE: Self = Self { holds: [true, false], reached: [true, false] };

    fn now() -> Result<Self> {
        let [lb1, lb2] = Host::PAIR;
        Ok(Self { holds: [lb1.holds()?, lb2.holds()?], reached: [lb1.is_reached()?, lb2.is_reached()?] })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |which: [bool; 2]| match which {
            [true, true] => "lb1 and lb2",
            [true, false] => "lb1",
            [false, true] => "lb2",
            [false, false] => "nobody",
        };
        write!(f, "held by {}, the client reaches {}", names(self.holds), names(self.reached))
    }
}

impl Fault {
    /// Puts a contender through it.
    pub(crate) fn put(self, contender: Contender, round: u32, place: &Place) -> Result<Value> {
        let mut case = Case::settled(contender, place)?;
        case.prepare(self.kind).context("before the fault")?;
        case.client.begin()?;
        thread::sleep(LEAD + contender.interval.mul_f64(phase(round)));
        if self.kind.strikes_lb1() {
            let standing = Standing::now()?;
            if standing != Standing::LB1_ALONE {
                bail!("{standing}, before anything was done to it");
            }
        }
        let began = Instant::now();
        case.strike(self.kind)?;
        // One that can be waited for: then it is over when all has been well for a while.
        let left = WATCHED.saturating_sub(began.elapsed()).max(WATCHED / 2);
        case.client.steady(AFTER, left)?;
        case.client.told("end")
    }
}

impl<'a> Case<'a> {
    /// Both load balancers run, the preferred one holds the address, and the client is answered.
    fn settled(contender: Contender, place: &'a Place) -> Result<Self> {
        let network = Network::new().context("the network")?;
        let mut pair = Pair::new(contender, place)?;
        // One after the other, so that they don't contend for it.
        for host in Host::PAIR {
            pair.start(host)?;
            let serves = || {
                pair.all_run()?;
                Ok(host.listens()? && Host::Lb1.holds()?)
            };
            must(serves, "a load balancer does not begin to serve").with_context(|| host.name())?;
        }
        let client = Client::start(client()?)?;
        let mut case = Self { client, pair, network };
        if !wait_for(|| Ok(Standing::now()? == Standing::LB1_ALONE), SETTLED)? {
            bail!("it does not settle within {} s: {}", SETTLED.as_secs(), Standing::now()?);
        }
        case.answered()?;
        Ok(case)
    }

    fn answered(&mut self) -> Result<()> {
        if !self.client.steady(BEFORE, SETTLED)? {
            bail!("requests are not answered steadily within {} s", SETTLED.as_secs());
        }
        Ok(())
    }

    /// What must have happened before the client begins to count.
    fn prepare(&mut self, kind: Kind) -> Result<()> {
        match kind {
            Kind::CutOff | Kind::HostKilled | Kind::BalancerKilled | Kind::Leave => {
                return Ok(());
            }
            Kind::Frozen => thread::sleep(ANNOUNCED),
            Kind::ComeBack => {
                self.pair.leave(Host::Lb1)?;
                must(|| Host::Lb2.is_reached(), "lb2 is not reached after lb1 left")?;
                // Its last connections may be served there still.
                wait_for(|| Ok(!Host::Lb1.holds()?), WATCHED)?;
            }
            Kind::Restart => {
                self.network.plug(Host::Lb1, false)?;
                self.pair.kill(Host::Lb1)?;
                must(|| Host::Lb2.is_reached(), "lb2 is not reached after lb1 was killed")?;
                self.network.forget(Host::Lb1)?;
                self.network.plug(Host::Lb1, true)?;
            }
            Kind::Split => {
                self.network.split(true)?;
                must(
                    || Ok(Host::Lb1.holds()? && Host::Lb2.holds()?),
                    "the load balancers do not both hold it",
                )?;
                thread::sleep(ANNOUNCED);
            }
        }
        self.answered()
    }

    /// The fault itself, until it has had its effect on who holds the address, where that can be waited for.
    fn strike(&mut self, kind: Kind) -> Result<()> {
        match kind {
            Kind::CutOff => self.network.plug(Host::Lb1, false),
            Kind::HostKilled => {
                self.network.plug(Host::Lb1, false)?;
                self.pair.kill(Host::Lb1)
            }
            Kind::BalancerKilled => {
                self.pair.kill_balancer(Host::Lb1);
                Ok(())
            }
            Kind::Frozen => {
                Host::Lb1.signal(Signal::STOP)?;
                thread::sleep(FROZEN);
                Host::Lb1.signal(Signal::CONT)?;
                wait_for(|| Host::Lb1.is_reached(), WATCHED / 2).map(drop)
            }
            Kind::Leave => {
                self.pair.leave(Host::Lb1)?;
                wait_for(|| Host::Lb2.is_reached(), WATCHED).map(drop)
            }
            Kind::ComeBack => {
                self.pair.come_back(Host::Lb1)?;
                wait_for(|| Host::Lb1.is_reached(), WATCHED).map(drop)
            }
            Kind::Restart => {
                self.pair.start(Host::Lb1)?;
                wait_for(|| Host::Lb1.is_reached(), WATCHED).map(drop)
            }
            Kind::Split => {
                self.network.split(false)?;
                wait_for(|| Ok(!Host::Lb2.holds()?), WATCHED / 2)?;
                wait_for(|| Host::Lb1.is_reached(), WATCHED / 2).map(drop)
            }
        }
    }
}

/// The program that asks.
fn client() -> Result<Command> {
    let mut command = Host::Client.command(std::env::current_exe().context("who are we?")?);
    command.args(["bench", "vip-client"]);
    Ok(command)
}

/// When a fault strikes between two advertisements, as a part of the interval: how long it takes depends on that. Any number of
/// rounds is spread evenly, as the golden ratio does.
fn phase(round: u32) -> f64 {
    (f64::from(round) * 0.618_034).fract()
}

fn must(condition: impl FnMut() -> Result<bool>, otherwise: &'static str) -> Result<()> {
    if wait_for(condition, SETTLED)? { Ok(()) } else { bail!(otherwise) }
}

/// Whether `condition` came about before `patience` was over.
fn wait_for(mut condition: impl FnMut() -> Result<bool>, patience: Duration) -> Result<bool> {
    let until = Instant::now() + patience;
    loop {
        if condition()? {
            return Ok(true);
        }
        if Instant::now() > until {
            return Ok(false);
        }
        thread::sleep(LOOK);
    }
}
