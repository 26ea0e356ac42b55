//! What is wrong with a database.

use nines_availability::nines::AlertSeverity::{Page, Ticket};

use super::About;
use super::rules::Alert;
use super::symptoms::{by_name, told};

pub(super) fn all(about: &About) -> Vec<Alert> {
    let mut all = primaries(about);
    all.extend(standbys(about));
    all.extend(trouble(about));
    all
}

fn primaries(about: &About) -> Vec<Alert> {
    let serves = about.of("nines_database_serves", "");
    let nobody = [
        "Database {{ $labels.database }} has no primary",
        "Nobody can write: none of the hosts that Prometheus can ask lets clients through. nines takes over within seconds if it may; that this lasts means that \
         it may not.",
        "Type `nines status` on its hosts: it says who is missing and what would be lost. Bring a host back that has everything; nothing is lost by waiting.",
    ];
    let mut all = match &about.names {
        Some(names) => by_name(names.databases.iter().map(|(name, _)| name.as_str()), "database", |name| {
            let serves = about.of("nines_database_serves", &format!(r#"database="{name}""#));
            told("NinesDatabaseWithoutPrimary", Page, "1m", format!("absent({serves} == 1)"), nobody)
        }),
        None => {
            let expr = format!("sum by (job, database) ({serves}) == 0");
            vec![told("NinesDatabaseWithoutPrimary", Page, "1m", expr, nobody)]
        }
    };
    all.push(told(
        "NinesDatabaseWithTwoPrimaries",
        Page,
        "1m",
        format!("sum by (job, database) ({serves}) > 1"),
        [
            "Database {{ $labels.database }}: {{ $value }} hosts say that they let clients write",
            "nines prevents this; a clock that runs wild, a frozen host that was scraped late, or two systems of one name look so.",
            "Type `nines status` on each of its hosts and compare term and lease; shut the one with the lower term down: `systemctl stop nines`.",
        ],
    ));
    all
}

fn standbys(about: &About) -> Vec<Alert> {
    let primary = format!("{} == 1", about.of("nines_database_serves", ""));
    // A database of one host has nobody to take it over, and the audit has said so.
    let several = match &about.names {
        Some(names) => {
            let alone: Vec<&str> = names
                .databases
                .iter()
                .filter(|(_, hosts)| *hosts < 2)
                .map(|(name, _)| name.as_str())
                .collect();
            match alone.is_empty() {
                true => String::new(),
                false => format!(r#"database!~"{}""#, alone.join("|").replace('.', "[.]")),
            }
        }
        None => String::new(),
    };
    let possible = about.of("nines_database_takeover_possible", &several);
    let hosts = format!(
        "count by (job, database) (count by (job, database, host) ({})) > 1",
        about.of("nines_database_member_in_cohort", "")
    );
    // Known of all standbys only where the primary is.
    let streams = about.of("nines_database_member_streams", "");
    vec![
        told(
            "NinesDatabaseTakeoverImpossible",
            Ticket,
            "5m",
            format!(
                "max by (job, database) ({possible} == bool 0 and {primary}) > 0\nand on (job, database) {hosts}"
            ),
            [
                "Database {{ $labels.database }}: its primary may not fail now",
                "No other host could take over without losing an acknowledged write: standbys are gone or behind, or the database is paused.",
                "Type `nines status` on the primary: it says why each standby could not. `nines resume` ends a pause, `nines reinit` makes a standby anew.",
            ],
        ),
        told(
            "NinesDatabaseStandbyMissing",
            Ticket,
            "10m",
            format!(
                "max by (job, database, host) ({streams} == bool 0 and on (job, instance, database) {primary}) > 0"
            ),
            [
                "Database {{ $labels.database }}: {{ $labels.host }} does not follow the primary",
                "There is one standby less than the file says.",
                "Type `nines status` on {{ $labels.host }}; if it can't follow any more, `nines reinit` makes it anew.",
            ],
        ),
    ]
}

fn trouble(about: &About) -> Vec<Alert> {
    let term = about.of("nines_database_term", "");
    vec![
        told(
            "NinesDatabaseProblem",
            Ticket,
            "5m",
            format!("max by (job, instance, database) ({}) > 0", about.of("nines_database_problems", "")),
            [
                "Database {{ $labels.database }}: something is wrong with the instance on {{ $labels.instance }}",
                "Its disk, its server, its data, or the store that the hosts agree by.",
                "Type `nines status` there: it has the words.",
            ],
        ),
        told(
            "NinesDatabaseUnsettled",
            Ticket,
            "1h",
            format!("max by (job, instance, database) ({}) == 0", about.of("nines_database_settled", "")),
            [
                "Database {{ $labels.database }}: something has been under way on {{ $labels.instance }} for an hour",
                "A takeover, a handover, a change of who confirms, or a copy that takes long.",
                "Type `nines status` there: it says what is being done and how far it is.",
            ],
        ),
        told(
            "NinesDatabaseChangesPrimary",
            Ticket,
            "0s",
            // Terms grow by more than one if a candidate was beaten: what counts is that it doesn't come to rest.
            format!(
                "max by (job, database) (max_over_time({term}[1h]))\n  - min by (job, database) (min_over_time({term}[1h]) > 0) > 5"
            ),
            [
                "Database {{ $labels.database }}: its primary has changed again and again within an hour",
                "The term of its rule has grown by {{ $value }}.",
                "Type `nines events` on its hosts: each change says why. `nines pause` leaves it where it is while you look.",
            ],
        ),
    ]
}
