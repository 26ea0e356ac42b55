//! What nines' metrics can tell is wrong, and what to do about it.
//!
//! An answer that takes all hosts together (`sum by`) is right only if the scrapes of all hosts are: they are some seconds apart, so nothing is
//! told that lasts less than a minute. And what `increase` says of five may be a little more than five, since it reckons beyond the first and last
//! sample: who counts asks for half a one more. What the system file names is missed by its name, since of what is gone there is nothing to sum.

use nines_availability::nines::AlertSeverity::{self, Page, Ticket};

use super::rules::Alert;
use super::{About, databases};

pub(super) fn all(about: &About) -> Vec<Alert> {
    let mut all = instances(about);
    all.push(measured_down(about));
    all.extend(listeners(about));
    all.extend(pools(about));
    all.extend(members(about));
    all.extend(virtual_ips(about));
    all.extend(restless_virtual_ips(about));
    all.extend(databases::all(about));
    all.extend(nines_itself(about));
    all
}

pub(super) fn told(
    name: &'static str,
    severity: AlertSeverity,
    lasts: &'static str,
    expr: String,
    [summary, description, action]: [&str; 3],
) -> Alert {
    let [summary, description, action] = [summary, description, action].map(str::to_owned);
    Alert { name, expr, lasts, severity, summary, description, action, labels: Vec::new() }
}

/// One alert for each name, each with the name as a label: of what is gone there is no label left.
pub(super) fn by_name<'a>(
    names: impl Iterator<Item = &'a str>,
    label: &'static str,
    alert: impl Fn(&str) -> Alert,
) -> Vec<Alert> {
    let named = |name: &str| {
        let mut alert = alert(name);
        let template = format!("{{{{ $labels.{label} }}}}");
        alert.summary = alert.summary.replace(&template, name);
        alert.labels.push((label, name.to_owned()));
        alert
    };
    names.map(named).collect()
}

fn instances(about: &About) -> Vec<Alert> {
    vec![
        told(
            "NinesNobodyAnswers",
            Page,
            "2m",
            format!("absent({} == 1)", about.of("up", "")),
            [
                "No nines of the system answers Prometheus",
                "Either all of its hosts are gone, or Prometheus can't reach them, or it is not told of them. Nothing else can be judged from here.",
                "Look at the service from outside with `nines probe URL`, then at Prometheus' targets, then `nines status` on a host.",
            ],
        ),
        told(
            "NinesInstanceGone",
            Ticket,
            "2m",
            format!("{} == 0", about.of("up", "")),
            [
                "nines on {{ $labels.instance }} does not answer",
                "The process or its host is gone, or can't be reached by Prometheus. Others do its work, and there is one less of them.",
                "On the host, type `systemctl status nines` and `nines doctor FILE --host NAME`; if the host is lost, replace it.",
            ],
        ),
        told(
            "NinesStartsAgain",
            Ticket,
            "0s",
            format!("resets({}[1h]) >= 3", about.of("nines_uptime_seconds", "")),
            [
                "nines on {{ $labels.instance }} has started {{ $value }} times within an hour",
                "It ends again and again, or is ended.",
                "On the host, type `journalctl -u nines` and read what was said before each end.",
            ],
        ),
    ]
}

/// Also where nobody asks, and where all members are dead and get requests all the same. What has just come into being (a new host, a new
/// Prometheus) is not down because the first thing known of it is a second down: there must be a minute of it.
fn measured_down(about: &About) -> Alert {
    let seconds = |function: &str, state: &str| {
        let labels = format!(r#"kind=~"listener|database",{state}"#);
        let seconds = about.of("nines_measured_seconds_total", &labels);
        format!("by (job, kind, subject) ({function}({seconds}[5m]))")
    };
    let (down, known) = (r#"state="down""#, r#"state=~"up|down""#);
    let expr = format!(
        "sum {}\n/ (sum {} > 0)\n> 0.5\nand\nmax {} > 60",
        seconds("rate", down),
        seconds("rate", known),
        seconds("increase", down)
    );
    let text = [
        "{{ $labels.kind }} {{ $labels.subject }} was down for {{ $value | humanizePercentage }} of the latest five minutes",
        "As its hosts measure it: requests fail or get no answer, or nobody could serve one that came. What nobody can know does not count.",
        "Type `nines report` on its hosts for since when and why, `nines status` for who can't serve, and `nines events` for what changed first.",
    ];
    told("NinesMeasuredDown", Page, "0s", expr, text)
}

fn listeners(about: &About) -> Vec<Alert> {
    let text = [
        "{{ $labels.listener }}: no host accepts connections",
        "Clients can't get in: the load balancers are stopped, drained all at the same time, still starting, or can't have the port.",
        "Type `nines status` on each host of the load balancer; `nines ready` takes back a drain, `nines doctor FILE --host NAME` finds who has the port.",
    ];
    match &about.names {
        Some(names) => by_name(names.listeners.iter().map(String::as_str), "listener", |name| {
            let open = about.of("nines_listener_open", &format!(r#"listener="{name}""#));
            told("NinesListenerClosed", Page, "1m", format!("absent({open} == 1)"), text)
        }),
        None => {
            let open = about.of("nines_listener_open", "");
            let expr = format!("max by (job, listener) ({open}) == 0");
            vec![told("NinesListenerClosed", Page, "1m", expr, text)]
        }
    }
}

fn pools(about: &About) -> Vec<Alert> {
    let nobody = about.of("nines_pool_serving", r#"serving="nobody""#);
    let other = about.of("nines_pool_serving", r#"serving!="healthy""#);
    vec![
        told(
            "NinesPoolServesNobody",
            Page,
            "1m",
            format!("min by (job, pool) ({nobody}) == 1"),
            [
                "Pool {{ $labels.pool }}: no load balancer has anybody to send requests to",
                "Requests are refused. Of a pool that reaches a database: it has no primary, or no standby that is up to date.",
                "Type `nines status` on a load balancer: it says of each member why it does not serve. `nines ready MEMBER` takes back a drain.",
            ],
        ),
        told(
            "NinesPoolServesByAnotherRule",
            Ticket,
            "2m",
            format!("sum by (job, pool, serving) ({other}) > 0"),
            [
                "Pool {{ $labels.pool }} serves {{ $labels.serving }} on {{ $value }} load balancers, not its healthy members",
                "So few members are healthy that the rule for too few applies, as seen from these hosts.",
                "Type `nines status` on the load balancers: if they disagree about the members, it is the network between; else it is the members.",
            ],
        ),
        told(
            "NinesRequestsQueue",
            Ticket,
            "5m",
            format!("sum by (job, pool) ({}) > 0", about.of("nines_queue_length", "")),
            [
                "Pool {{ $labels.pool }}: requests wait for a place",
                "Every member has as many requests as its limit allows.",
                "Add members, or raise `limits` of the pool in the system file and reload; `nines status` shows who is slow.",
            ],
        ),
        told(
            "NinesRetryBudgetEmpty",
            Ticket,
            "5m",
            format!("sum by (job, pool) (rate({}[5m])) > 0", about.of("nines_retry_budget_empty_total", "")),
            [
                "Pool {{ $labels.pool }}: more fails than further tries may hide",
                "The budget for further tries has been empty for minutes, so that failures of members reach clients.",
                "Type `nines status` to see whose tries fail and how, and `nines drain MEMBER` if it is one of them.",
            ],
        ),
    ]
}

fn members(about: &About) -> Vec<Alert> {
    let (health, ready) = (about.of("nines_member_health", ""), about.of("nines_member_ready", ""));
    let ejections = about.of("nines_ejections_total", "");
    vec![
        told(
            "NinesMemberDown",
            Ticket,
            "5m",
            format!("count by (job, pool, member) ({health} == 0 and {ready} == 1)"),
            [
                "{{ $labels.member }} of pool {{ $labels.pool }} is down for {{ $value }} load balancers",
                "The operator wants it to serve and its checks fail.",
                "Type `nines status` for why its checks fail; mend it, or `nines maintenance MEMBER` while it is worked on.",
            ],
        ),
        told(
            "NinesMemberFails",
            Ticket,
            "0s",
            format!("sum by (job, pool, member) (increase({ejections}[1h])) > 10.5"),
            [
                "{{ $labels.member }} of pool {{ $labels.pool }} was ejected more than ten times within an hour",
                "Its checks are good and its traffic is not, again and again.",
                "Type `nines events` for how it failed; `nines drain MEMBER` until that is mended.",
            ],
        ),
        told(
            "NinesMemberOutForLong",
            Ticket,
            "1d",
            format!("min by (job, pool, member) ({ready}) == 0"),
            [
                "{{ $labels.member }} of pool {{ $labels.pool }} has been drained for a day",
                "Somebody took it out and may have forgotten it; the pool is smaller than the file says.",
                "Type `nines ready MEMBER` on the load balancers if it may serve again.",
            ],
        ),
    ]
}

fn virtual_ips(about: &About) -> Vec<Alert> {
    let master = |more: &str| about.of("nines_virtual_ip_state", &format!(r#"{more}state="master""#));
    let either = |more: &str| about.of("nines_virtual_ip_state", &format!(r#"{more}state=~"master|backup""#));
    let nobody = [
        "{{ $labels.virtual_ip }}: no host answers on this virtual address",
        "None of those that Prometheus can ask is its master. Clients that use it get no answer.",
        "Type `nines status` on its hosts: it says why each does not take it; `nines ready` takes back a drain, `nines doctor FILE --host NAME` finds what is missing.",
    ];
    let alone = [
        "{{ $labels.virtual_ip }}: nobody would take this virtual address over",
        "One host answers on it, and none of the others stands by.",
        "Type `nines status` on the others: a drain, a stopped process, or a problem with the address keeps each from it.",
    ];
    let at = |name: &str| format!(r#"virtual_ip="{name}","#);
    let standing = "sum by (job, virtual_ip)";
    match &about.names {
        Some(names) => {
            let named = names.virtual_ips.iter().map(|(name, _)| name.as_str());
            let paired =
                names.virtual_ips.iter().filter(|(_, hosts)| *hosts > 1).map(|(name, _)| name.as_str());
            let mut all = by_name(named, "virtual_ip", |name| {
                let expr = format!("absent({} == 1)", master(&at(name)));
                told("NinesVirtualAddressWithoutMaster", Page, "1m", expr, nobody)
            });
            all.extend(by_name(paired, "virtual_ip", |name| {
                let expr = format!("{standing} ({}) == 1", either(&at(name)));
                told("NinesVirtualAddressWithoutBackup", Ticket, "10m", expr, alone)
            }));
            all
        }
        None => {
            let hosts = format!("count by (job, virtual_ip) ({}) > 1", master(""));
            let expr = format!("{standing} ({}) == 1\nand {hosts}", either(""));
            vec![
                told(
                    "NinesVirtualAddressWithoutMaster",
                    Page,
                    "1m",
                    format!("{standing} ({}) == 0", master("")),
                    nobody,
                ),
                told("NinesVirtualAddressWithoutBackup", Ticket, "10m", expr, alone),
            ]
        }
    }
}

/// Two have it, something is wrong with it, or it moves and moves.
fn restless_virtual_ips(about: &About) -> Vec<Alert> {
    let master = about.of("nines_virtual_ip_state", r#"state="master""#);
    let standing = "sum by (job, virtual_ip)";
    vec![
        told(
            "NinesVirtualAddressWithTwoMasters",
            Page,
            "1m",
            format!("{standing} ({master}) > 1"),
            [
                "{{ $labels.virtual_ip }}: {{ $value }} hosts answer on this virtual address",
                "They don't hear each other. Clients reach the one or the other; connections may break as neighbours change their minds.",
                "Look at the network between the hosts (VRRP, protocol 112, must pass); type `nines status` on each. Until then, `nines drain` on all but one.",
            ],
        ),
        told(
            "NinesVirtualAddressProblem",
            Ticket,
            "2m",
            format!("max by (job, instance, virtual_ip) ({}) > 0", about.of("nines_virtual_ip_problems", "")),
            [
                "{{ $labels.virtual_ip }}: something is wrong as seen from {{ $labels.instance }}",
                "Two masters, a stranger that answers, an interface that is missing, or packets that are refused.",
                "Type `nines status` there: it has the words.",
            ],
        ),
        told(
            "NinesVirtualAddressMoves",
            Ticket,
            "0s",
            format!("{standing} (increase({}[1h])) > 5.5", about.of("nines_virtual_ip_taken_total", "")),
            [
                "{{ $labels.virtual_ip }} has moved more than five times within an hour",
                "Its hosts lose each other, or the one that has it stalls, again and again.",
                "Type `nines events` on its hosts: each move says why.",
            ],
        ),
    ]
}

fn nines_itself(about: &About) -> Vec<Alert> {
    let builds = format!("count by (job, version) ({})", about.of("nines_build_info", ""));
    vec![
        told(
            "NinesFileRefused",
            Ticket,
            "5m",
            format!("{} == 1", about.of("nines_file_refused", "")),
            [
                "{{ $labels.instance }}: the latest system file was refused",
                "An older file is in force there, and what was changed since is not.",
                "Type `nines check FILE` for every mistake in it, mend them, and reload.",
            ],
        ),
        told(
            "NinesStalls",
            Ticket,
            "1m",
            format!("{} > 1", about.of("nines_worker_stall_seconds", "")),
            [
                "{{ $labels.instance }}: a worker has stood still for {{ $value | humanizeDuration }}",
                "The machine gives nines too little time: it is overloaded, starved or swapping.",
                "Look at the host's processors and memory; `nines drain` on it sends clients elsewhere meanwhile.",
            ],
        ),
        told(
            "NinesHostSlow",
            Ticket,
            "2m",
            format!("{} == 1", about.of("nines_host_slow", "")),
            [
                "{{ $labels.instance }} stands still again and again",
                "Its turns come late, so that answers by way of it are late as well. It has left its virtual addresses to others, if others could take them.",
                "Look at the host's processors and memory, and at what else runs there; `nines drain` on it keeps clients away meanwhile.",
            ],
        ),
        told(
            "NinesStartsForLong",
            Ticket,
            "5m",
            format!(r#"{} == 1"#, about.of("nines_phase", r#"phase="starting""#)),
            [
                "{{ $labels.instance }}: nines is still starting",
                "Its first checks are not in, so that its listeners are closed.",
                "Type `nines status` there: it says what is waited for; `nines doctor FILE --host NAME` finds what is missing.",
            ],
        ),
        told(
            "NinesDrainedForLong",
            Ticket,
            "1d",
            format!("{} == 0", about.of("nines_host_ready", "")),
            [
                "{{ $labels.instance }} has been drained for a day",
                "Somebody took this load balancer out and may have forgotten it.",
                "Type `nines ready` there if it may serve again.",
            ],
        ),
        told(
            "NinesVersionsDiffer",
            Ticket,
            "1d",
            format!("count by (job) ({builds}) > 1"),
            [
                "The system's hosts have run {{ $value }} versions of nines for a day",
                "An update was begun and not finished.",
                "Update the others one after the other: `nines drain`, restart, `nines ready`.",
            ],
        ),
    ]
}
