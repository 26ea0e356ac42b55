//! `cargo xtask bench`: HAProxy, nginx and nines side by side in one run, the proxy on a core of its own.
//!
//! The main figure is the CPU time that the proxy spends on a request, which a noisy machine blurs least.
//! docs/benchmarks.md says how to read the rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use self::load::Load;
use self::proxy::{BODIES, Backend, Kind, Place, Proxy};
use self::report::{Outcome, Row, Sample};
use self::scenario::{Measure, SCENARIOS, Scenario};
use crate::setup::{self, For};
use crate::shell;

mod client;
mod failover;
mod gate;
mod load;
mod namespace;
mod process;
mod proxy;
mod report;
mod scenario;
mod seen;
mod vip;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    /// Which scenarios; all of them if none is named
    #[arg(value_parser = SCENARIOS.each_ref().map(|scenario| scenario.name))]
    scenarios: Vec<String>,
    /// How often each proxy is measured, in turns
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each measurement takes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Measure this binary instead of building one
    #[arg(long, value_name = "FILE")]
    nines: Option<PathBuf>,
}

/// What is not about load.
#[derive(clap::Subcommand)]
enum Other {
    /// Put keepalived and nines through the same faults, and measure what clients of a virtual address see
    Vip(vip::Args),
    /// The same, in namespaces of its own
    #[command(hide = true)]
    VipInside(vip::Args),
    /// The clients
    #[command(hide = true)]
    VipClient,
    /// Put Patroni and nines through the same faults of a database's primary, and measure what writers see
    Failover(failover::Args),
    /// The same, in namespaces of its own
    #[command(hide = true)]
    FailoverInside(failover::Args),
    /// The writers
    #[command(hide = true)]
    FailoverWriters(failover::writers::Args),
    /// Measure what it costs to reach PostgreSQL through nines' gate, beside PgBouncer and HAProxy
    Gate(gate::Args),
    /// The same, in namespaces of its own
    #[command(hide = true)]
    GateInside(gate::Args),
}

/// Benchmarks inform: what was missed is said, and is no failure.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let done = match &args.other {
        None => load(args),
        Some(Other::Vip(args)) => vip::run(args),
        Some(Other::VipInside(args)) => vip::inside(args),
        Some(Other::VipClient) => vip::client(),
        Some(Other::Failover(args)) => failover::run(args),
        Some(Other::FailoverInside(args)) => return failover::inside(args),
        Some(Other::Gate(args)) => gate::run(args),
        Some(Other::GateInside(args)) => return gate::inside(args),
        Some(Other::FailoverWriters(args)) => failover::writers::run(args),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// The proxies under load.
fn load(args: &Args) -> Result<()> {
    setup::prepare(For::Bench)?;
    let place = place(args)?;
    let versions = versions(&place);
    if !args.json {
        println!("{}", versions.join("\n"));
    }
    let backend = Backend::start(&place).context("the backend")?;
    let chosen = |scenario: &&Scenario| {
        args.scenarios.is_empty() || args.scenarios.iter().any(|name| name == scenario.name)
    };
    let mut outcomes = Vec::new();
    for scenario in SCENARIOS.iter().filter(chosen) {
        let outcome = measure(scenario, args, &backend, &place).with_context(|| scenario.name)?;
        if !args.json {
            println!("\n{}", outcome.table());
        }
        outcomes.push(outcome.json());
    }
    if args.json {
        println!("{:#}", json!({ "version": 1, "machine": versions, "scenarios": outcomes }));
    }
    Ok(())
}

fn measure(scenario: &'static Scenario, args: &Args, backend: &Backend, place: &Place) -> Result<Outcome> {
    let mut rows: Vec<Row> = Vec::new();
    let mut proxies = Vec::new();
    for &kind in scenario.proxies {
        match Proxy::start(kind, backend, place) {
            Ok(proxy) => {
                let ours = matches!(kind, Kind::Nines { .. });
                rows.push(Row { proxy: kind.name(), ours, samples: Vec::new() });
                proxies.push(proxy);
            }
            Err(error) => eprintln!("bench: {} is left out: {error:#}", kind.name()),
        }
    }
    // Round 0 warms up. Memory is measured once: what one round took would be there for the next.
    let rounds = match scenario.measure {
        Measure::Idle => 1..=1,
        _ => 0..=args.rounds,
    };
    for round in rounds {
        for turn in 0..proxies.len() {
            // Each round begins with another one, so that none is always after the same.
            let n = (turn + round as usize) % proxies.len();
            eprintln!("bench: {}, round {round}, {}", scenario.name, proxies[n].kind.name());
            let sample = match &scenario.measure {
                Measure::Http(load) => under_load(&proxies[n], proxies[n].http, load, args.seconds, place)?,
                Measure::Tcp(load) => under_load(&proxies[n], proxies[n].tcp, load, args.seconds, place)?,
                Measure::Idle => idle(&proxies[n], place.idle_clients)?,
            };
            if round > 0 {
                rows[n].samples.push(sample);
            }
        }
    }
    Ok(Outcome { scenario, rows })
}

fn under_load(
    proxy: &Proxy,
    target: std::net::SocketAddr,
    load: &Load,
    seconds: u32,
    place: &Place,
) -> Result<Sample> {
    let before = proxy.process.cpu()?;
    let script = shell::root().join("xtask/src/bench/summary.lua");
    let seen =
        load::wrk(load, target, seconds, &place.load_core, &script).with_context(|| proxy.kind.name())?;
    let cpu = proxy.process.cpu()?.saturating_sub(before);
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    Ok(Sample::Load {
        cpu_us: micros(cpu) / seen.requests as f64,
        per_second: seen.requests as f64 / seen.took.as_secs_f64(),
        p50_us: micros(seen.p50),
        p99_us: micros(seen.p99),
        errors: seen.errors,
    })
}

/// They make a proxy load code and connect to its members, which is no client's memory.
const WARM_UP_CLIENTS: usize = 64;

/// How much the proxy grows by, for each of many clients that are connected and silent.
fn idle(proxy: &Proxy, clients: usize) -> Result<Sample> {
    let _first =
        load::idle_clients(proxy.http, WARM_UP_CLIENTS, BODIES[0]).with_context(|| proxy.kind.name())?;
    let before = proxy.process.memory()?;
    let _held = load::idle_clients(proxy.http, clients, BODIES[0]).with_context(|| proxy.kind.name())?;
    thread::sleep(Duration::from_secs(1));
    let after = proxy.process.memory()?;
    Ok(Sample::Memory(after.saturating_sub(before) as f64 / clients as f64))
}

/// How many clients can be idle here, each a file of ours and one of the proxy's, which takes over our limit.
/// HAProxy sets two files aside for each client.
fn idle_clients() -> Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, wanted).context("cannot raise the limit of open files")?;
    let files = limit.maximum.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    Ok((files.saturating_sub(500) / 2).saturating_sub(WARM_UP_CLIENTS).min(10_000))
}

fn place(args: &Args) -> Result<Place> {
    let cores = allowed_cores();
    let [proxy, second, ..] = cores[..] else {
        bail!("the proxy and the load need a core each, and this machine has one");
    };
    let idle_clients = idle_clients()?;
    // With four cores nobody shares one; with two, the load, the backend and a second worker do.
    let (load, backend) =
        if let [_, _, load, backend, ..] = cores[..] { (load, backend) } else { (second, second) };
    let nines = nines_binary(args.nines.as_deref())?;
    // Under the target directory, and emptied at each start: an interrupted run leaves nothing elsewhere.
    let dir = shell::target().join("bench");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(Place {
        dir,
        nines,
        proxy_cores: [proxy, second],
        load_core: load.to_string(),
        backend_core: backend.to_string(),
        idle_clients,
    })
}

/// The binary that was given, or one that is built now.
fn nines_binary(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(file) = given {
        return file.canonicalize().with_context(|| format!("no {}", file.display()));
    }
    shell::run(shell::cargo().args(["build", "--release", "--locked", "--package", "nines"]))?;
    Ok(shell::target().join("release/nines"))
}

/// The cores that we may run on: `0-1,4` in `/proc/self/status`.
fn allowed_cores() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// What runs here, one line each.
fn versions(place: &Place) -> Vec<String> {
    vec![
        machine(),
        first_line("haproxy", &["-v"]),
        first_line("nginx", &["-v"]),
        first_line(&place.nines.to_string_lossy(), &["--version"]),
        first_line("wrk", &["-v"]),
    ]
}

/// The processor and the kernel.
fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!(
        "{} cores of {}, {}",
        allowed_cores().len(),
        model.map_or("an unknown processor", |(_, name)| name),
        first_line("uname", &["-sr"])
    )
}

/// What a program says first, as when it is asked for its version.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(shell::find(program).unwrap_or_else(|| program.into())).args(arguments).output();
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn scenarios_and_what_is_not_about_load_are_told_apart() {
        let line = Line::try_parse_from(["bench", "keep-alive", "--rounds", "9"]).unwrap();
        assert_eq!((line.args.scenarios.as_slice(), line.args.rounds), (&["keep-alive".to_owned()][..], 9));
        assert!(line.args.other.is_none());

        let line = Line::try_parse_from(["bench", "vip", "--rounds", "9", "--json"]).unwrap();
        assert!(matches!(line.args.other, Some(Other::Vip(_))));

        let line =
            Line::try_parse_from(["bench", "failover", "--only", "cut-off", "--contender", "nines"]).unwrap();
        assert!(matches!(line.args.other, Some(Other::Failover(_))));
        let line = Line::try_parse_from(["bench", "gate", "select-only", "--way", "haproxy"]).unwrap();
        assert!(matches!(line.args.other, Some(Other::Gate(_))));

        assert!(Line::try_parse_from(["bench", "vip", "keep-alive"]).is_err());
        assert!(Line::try_parse_from(["bench", "failover", "--only", "select-only"]).is_err());
        assert!(Line::try_parse_from(["bench", "cut-off"]).is_err());
    }
}
