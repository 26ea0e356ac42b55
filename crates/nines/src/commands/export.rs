//! `nines export`: what others need to watch a system, printed ready to use.

mod dashboard;
mod databases;
mod rules;
mod symptoms;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use nines_availability::nines::Availability;
use nines_system::{HostAddress, HostId, System};

use crate::EXIT_FILE;
use crate::terminal::tell;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Recording rules and alerts for Prometheus: the objective's budget, and everything that nines can tell is wrong
    PrometheusRules(For),
    /// A dashboard for Grafana, over those rules and nines' metrics
    Grafana(For),
}

#[derive(clap::Args)]
struct For {
    /// The system file: its objective is watched, and what it names is missed when nobody has it
    file: Option<PathBuf>,
    /// The share of requests that must be answered well; without it and without a file, 99.9 %
    #[arg(long, value_name = "PERCENT", conflicts_with = "file", value_parser = objective)]
    objective: Option<f64>,
    /// What Prometheus calls the scraping of the system's hosts (`job_name`)
    #[arg(long, value_name = "NAME", default_value = "nines", value_parser = job)]
    job: String,
}

/// What a system file promises if it says nothing.
const OBJECTIVE: f64 = 0.999;

pub(super) fn objective(text: &str) -> Result<f64, String> {
    let share = nines_system::read_share(text)?;
    if share > 0.0 && share < 1.0 { Ok(share) } else { Err("more than 0 % and less than 100 %".to_owned()) }
}

/// It goes into expressions as it is.
fn job(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/ ".contains(c);
    match !text.is_empty() && text.len() <= 200 && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("letters, digits and `-_.:/`".to_owned()),
    }
}

/// What rules and dashboards are about.
struct About {
    job: String,
    objective: Availability,
    /// What the system file names, if there is one.
    names: Option<Names>,
}

struct Names {
    system: String,
    /// `front/http-80`.
    listeners: Vec<String>,
    /// `front/10.0.1.100`, and how many hosts may have it.
    virtual_ips: Vec<(String, usize)>,
    databases: Vec<(String, usize)>,
    /// Where Prometheus asks, `10.0.0.10:9009`.
    targets: Vec<String>,
}

impl About {
    /// Whether there can be any of this kind.
    fn has(&self, kind: &str) -> bool {
        self.names.as_ref().is_none_or(|names| match kind {
            "database" => !names.databases.is_empty(),
            "virtual_ip" => !names.virtual_ips.is_empty(),
            _ => true,
        })
    }

    /// A selector: `nines_phase{job="nines",phase="serving"}`.
    fn of(&self, metric: &str, labels: &str) -> String {
        let comma = if labels.is_empty() { "" } else { "," };
        format!(r#"{metric}{{job="{}"{comma}{labels}}}"#, self.job)
    }
}

impl Names {
    fn of(system: &System) -> Self {
        let listeners = system.load_balancers.iter().flat_map(|balancer| {
            balancer.listeners.iter().map(move |listener| format!("{}/{}", balancer.name, listener.name))
        });
        let virtual_ips = system.load_balancers.iter().flat_map(|balancer| {
            let named = |address: std::net::IpAddr| format!("{}/{address}", balancer.name);
            balancer
                .virtual_ips
                .iter()
                .filter_map(move |one| Some((named(*one.addresses.first()?), one.hosts.len())))
        });
        let databases = system.databases.iter().map(|one| (one.name.clone(), one.hosts.len()));
        Self {
            system: system.name.clone(),
            listeners: listeners.collect(),
            virtual_ips: virtual_ips.collect(),
            databases: databases.collect(),
            targets: admins(system).filter_map(|(host, admin)| target(system, host, admin?)).collect(),
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (wanted, print): (&For, fn(&About) -> String) = match &args.what {
        What::PrometheusRules(wanted) => (wanted, rules::text),
        What::Grafana(wanted) => (wanted, dashboard::text),
    };
    let system = match wanted.file.as_deref().map(read).transpose() {
        Ok(system) => system,
        Err(code) => return Ok(code),
    };
    let fraction =
        wanted.objective.or(system.as_ref().map(|system| system.objective.fraction)).unwrap_or(OBJECTIVE);
    let about = About {
        job: wanted.job.clone(),
        objective: Availability::from_fraction(fraction),
        names: system.as_ref().map(Names::of),
    };
    write!(anstream::stdout().lock(), "{}", print(&about))?;
    if let Some(system) = &system {
        tell_unreachable(system);
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &std::path::Path) -> Result<System, ExitCode> {
    let path = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| {
        tell(format_args!("nines: can't read {path}: {error}"));
        ExitCode::from(EXIT_FILE)
    })?;
    nines_system::parse(&path, &text).map_err(|mistakes| {
        super::tell_all(&mistakes);
        ExitCode::from(EXIT_FILE)
    })
}

/// Every host that runs something, and where it has metrics besides its Unix socket.
fn admins(system: &System) -> impl Iterator<Item = (HostId, Option<SocketAddr>)> {
    system.host_ids().filter_map(|host| {
        let mut balancers = system.load_balancers_on(host).map(|balancer| system[balancer].admin);
        let mut databases = system.databases_on(host).map(|database| system[database].admin);
        let (balancer, database) = (balancers.next(), databases.next());
        (balancer.is_some() || database.is_some()).then(|| {
            let more = balancers.chain(databases);
            (host, [balancer, database].into_iter().flatten().chain(more).flatten().next())
        })
    })
}

/// What others call it. `None`: it is there for the host itself alone.
fn target(system: &System, host: HostId, admin: SocketAddr) -> Option<String> {
    let port = admin.port();
    match &system[host].address {
        HostAddress::Ip(own) if admin.ip().is_loopback() && !own.is_loopback() => None,
        HostAddress::Dns(_) if admin.ip().is_loopback() => None,
        _ if !admin.ip().is_unspecified() => Some(admin.to_string()),
        HostAddress::Ip(own) => Some(SocketAddr::new(*own, port).to_string()),
        HostAddress::Dns(name) => Some(format!("{name}:{port}")),
    }
}

/// Of hosts that Prometheus can't ask from elsewhere.
fn tell_unreachable(system: &System) {
    let named = |wanted: &dyn Fn(HostId, Option<SocketAddr>) -> bool| -> Vec<&str> {
        let hosts = admins(system).filter(|(host, admin)| wanted(*host, *admin));
        hosts.map(|(host, _)| system[host].name.as_str()).collect()
    };
    let without = named(&|_, admin| admin.is_none());
    let inward = named(&|host, admin| admin.is_some_and(|admin| target(system, host, admin).is_none()));
    let docs = "docs/metrics.md says what to do";
    if !without.is_empty() {
        let hosts = without.join(", ");
        tell(format_args!(
            "nines: the file gives {hosts} no `admin` address, so Prometheus can't ask there: {docs}"
        ));
    }
    if !inward.is_empty() {
        let hosts = inward.join(", ");
        tell(format_args!(
            "nines: the `admin` address of {hosts} is a loopback address, so only a Prometheus on the host itself can ask there: {docs}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_an_expression_is_no_name_of_a_job() {
        assert!(job("nines/lb 1:9009").is_ok());
        assert!(job("").is_err() && job("a\"b").is_err() && job("a\nb").is_err() && job("a\\").is_err());
    }

    #[test]
    fn an_objective_is_a_percentage_that_can_be_missed() {
        assert_eq!(objective("99.99 %"), Ok(0.9999));
        assert_eq!(objective("99.9%"), Ok(0.999));
        assert!(objective("0.999").is_err() && objective("100 %").is_err() && objective("0 %").is_err());
    }
}
