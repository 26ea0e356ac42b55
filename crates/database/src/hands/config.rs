//! PostgreSQL's settings: rendered whole from what the file says and what the state is. What nines must have in its own hands is refused
//! in the file, with a reason.

use std::fmt::Write;
use std::net::SocketAddr;

use nines_control::failover::{Cohort, Host};
use nines_system::{GateTls, refused_parameter};

use super::place::Place;
use super::servant::User;
use super::{REPLICATOR, SUPERUSER, Settings};

/// Nobody is called so: who goes by this rule acknowledges nothing.
pub(super) const NOBODY: &str = "nines:nobody";

/// What a server is to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    /// `None`: it acknowledges nothing yet.
    Primary { cohort: Option<Cohort> },
    /// `None`: it streams from nobody.
    Standby { source: Option<SocketAddr>, term: u64 },
}

/// Why that may not be set so, if it may not: where the file is read the same is said, and this is for settings from elsewhere too.
pub(super) fn refusal(name: &str, value: &str) -> Option<String> {
    if name.to_ascii_lowercase().starts_with("nines.") {
        return Some(format!("{name} is no parameter of PostgreSQL's"));
    }
    if value.contains(['\n', '\r', '\0']) {
        return Some(format!("{name} has more than one line"));
    }
    refused_parameter(name, value).map(|why| format!("{name} can't be {value}: {why}"))
}

fn quote(value: &str) -> String {
    // A backslash would begin an escape.
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// `ANY 1 ("db2", "db3")` of the primary's others; nothing if it needs nobody.
pub(super) fn names(cohort: Option<&Cohort>, me: &Host) -> String {
    let Some(cohort) = cohort else { return format!("ANY 1 (\"{NOBODY}\")") };
    let others: Vec<String> =
        cohort.others(me).map(|host| format!("\"{}\"", host.name().replace('"', "\"\""))).collect();
    match cohort.confirmations(me) {
        0 => String::new(),
        // More than there are: nothing is acknowledged.
        count if others.is_empty() => format!("ANY {count} (\"{NOBODY}\")"),
        count => format!("ANY {count} ({})", others.join(", ")),
    }
}

/// What a slot of this host's is called on the primary.
pub(super) fn slot(host: &Host) -> String {
    let mut name = "nines_".to_owned();
    for byte in host.name().bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => name.push(char::from(byte)),
            // So that no two are called the same.
            other => {
                let _ = write!(name, "_{other:02x}");
            }
        }
    }
    name.truncate(63);
    name
}

/// What a standby, or who copies, shows the primary's gate.
pub(super) fn conninfo(settings: &Settings, place: &Place, at: SocketAddr, term: u64, name: &str) -> String {
    let value = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let tls = match settings.tls {
        // Through TLS that it only passes on, the gate could not tell a standby from a client.
        GateTls::Off | GateTls::PassThrough { .. } => "disable",
        GateTls::Terminate { .. } => "require",
    };
    let patience = milliseconds(settings).to_string();
    format!(
        "host={} port={} user={REPLICATOR} dbname=postgres application_name={} passfile={} options='-c nines.term={term}' \
         sslmode={tls} gssencmode=disable connect_timeout=2 tcp_user_timeout={patience} \
         keepalives_idle=1 keepalives_interval=1 keepalives_count=2",
        at.ip(),
        at.port(),
        value(name),
        value(&place.passfile().to_string_lossy()),
    )
}

/// How long a connection for replication may be silent.
fn milliseconds(settings: &Settings) -> u128 {
    (nines_system::UNHEARD_FOR_LEASES * settings.lease).as_millis().max(1000)
}

/// `nines.conf`.
pub(super) fn render(
    settings: &Settings,
    place: &Place,
    part: &Part,
    revision: &str,
    adopted: bool,
    port: u16,
) -> String {
    let mut text = String::from(
        "# Written by nines, whole, whenever something changes: what you change here is lost.\n\
         # The system file's `parameters` are the place for settings.\n",
    );
    let senders = (2 * settings.hosts.len() + 4).max(10).to_string();
    let mut set = |name: &str, value: &str| {
        let _ = writeln!(text, "{name} = {}", quote(value));
    };
    // Only defaults so far: the file may say otherwise.
    for (name, value) in [
        ("wal_level", "replica"),
        ("wal_keep_size", "1GB"),
        ("max_slot_wal_keep_size", "16GB"),
        ("log_line_prefix", "%m [%p] %q%u@%d "),
        ("hot_standby_feedback", "off"),
        // The watch, an effect with its trial, users, slots: each has a connection of its own.
        ("superuser_reserved_connections", "8"),
        ("max_standby_streaming_delay", "5s"),
        ("max_wal_senders", &senders),
        ("max_replication_slots", &senders),
    ] {
        set(name, value);
    }
    if adopted {
        set("include", &place.adopted().to_string_lossy());
    }
    for (name, value) in &settings.parameters {
        set(name, value);
    }
    let patience = format!("{}ms", milliseconds(settings));
    let asks = format!("{}ms", (settings.lease * 4 / 3).as_millis().max(1000));
    let sockets = place.run();
    let (address, tls) = match settings.tls {
        GateTls::PassThrough { .. } => ("127.0.0.1", true),
        GateTls::Off | GateTls::Terminate { .. } => ("", false),
    };
    let port = port.to_string();
    let (hba, identities) = (place.access(), place.identities());
    for (name, value) in [
        ("listen_addresses", address),
        ("port", &port),
        ("unix_socket_directories", &sockets.to_string_lossy()),
        ("unix_socket_permissions", "0700"),
        ("hba_file", &hba.to_string_lossy()),
        ("ident_file", &identities.to_string_lossy()),
        ("hot_standby", "on"),
        ("wal_log_hints", "on"),
        ("restart_after_crash", "off"),
        ("recovery_target_timeline", "latest"),
        ("restore_command", ""),
        ("cluster_name", settings.me.name()),
        ("wal_retrieve_retry_interval", "20ms"),
        // It asks for an answer when half of it is over.
        ("wal_receiver_timeout", &asks),
        ("wal_sender_timeout", &patience),
        ("wal_receiver_status_interval", "1s"),
        ("logging_collector", "off"),
        ("log_destination", "stderr"),
        ("lc_messages", "C"),
        ("password_encryption", "scram-sha-256"),
        ("ssl", if tls { "on" } else { "off" }),
        ("nines.revision", revision),
    ] {
        set(name, value);
    }
    if let GateTls::PassThrough { certificate, key } = &settings.tls {
        set("ssl_cert_file", &certificate.to_string_lossy());
        set("ssl_key_file", &key.to_string_lossy());
    }
    let (rule, source) = match part {
        Part::Primary { cohort } => (names(cohort.as_ref(), &settings.me), String::new()),
        Part::Standby { source, term } => {
            let me = settings.me.name();
            (
                names(None, &settings.me),
                source.map_or_else(String::new, |at| conninfo(settings, place, at, *term, me)),
            )
        }
    };
    set("synchronous_standby_names", &rule);
    set("primary_conninfo", &source);
    let slot = if source.is_empty() { String::new() } else { slot(&settings.me) };
    set("primary_slot_name", &slot);
    text
}

/// Lines for what is set to less than a standby must have, by the file or by the server that was adopted.
pub(super) fn at_least(least: &[(&str, u64)], parameters: &[(String, String)], adopted: &str) -> String {
    let mut text = String::new();
    for &(name, least) in least {
        let of_file = parameters.iter().rev().find(|(one, _)| one.eq_ignore_ascii_case(name));
        let wanted = match of_file {
            Some((_, value)) => value.trim().parse().ok(),
            None => adopted.lines().rev().find_map(|line| number(line, name)),
        };
        // What nobody set is PostgreSQL's default, and may be less: no matter, to have more than one needs is no mistake.
        if wanted.is_none_or(|wanted: u64| wanted < least) && (wanted.is_some() || name != "max_wal_senders")
        {
            let _ =
                writeln!(text, "# The primary had so much: a standby starts with no less.\n{name} = {least}");
        }
    }
    text
}

/// Of `name = 5`.
fn number(line: &str, name: &str) -> Option<u64> {
    let rest = line.trim_start().strip_prefix(name)?.trim_start();
    let value = rest.strip_prefix('=').unwrap_or(rest).split('#').next()?;
    value.trim().trim_matches('\'').parse().ok()
}

/// `pg_hba.conf`: to PostgreSQL all come over its socket, those from outside through the gate, which lets nobody be the superuser.
pub(super) fn access(settings: &Settings) -> String {
    let mut text = format!("# Written by nines.\nlocal all {SUPERUSER} peer map=nines\n");
    for line in &settings.access {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "local replication {REPLICATOR} scram-sha-256\nlocal all all scram-sha-256");
    if matches!(settings.tls, GateTls::PassThrough { .. }) {
        let _ = writeln!(
            text,
            "host all {SUPERUSER} 127.0.0.1/32 reject\n\
             host replication {REPLICATOR} 127.0.0.1/32 scram-sha-256\n\
             hostssl all all 127.0.0.1/32 scram-sha-256"
        );
    }
    text
}

/// `pg_ident.conf`: who is the superuser.
pub(super) fn identities(user: &User) -> String {
    let mut text = format!("# Written by nines.\nnines {} {SUPERUSER}\n", user.name);
    if user.name != "root" {
        let _ = writeln!(text, "nines root {SUPERUSER}");
    }
    text
}

/// `postgresql.conf` in the data directory: for people, and for PostgreSQL's own programs.
pub(super) fn pointer(place: &Place) -> String {
    format!(
        "# Written by nines. Its settings are elsewhere, and not to be changed there either.\ninclude {}\n",
        quote(&place.config().to_string_lossy())
    )
}

/// The lines of somebody's settings that may stay: what nines sets itself goes, and what would break its promises.
pub(super) fn without_own(text: &str) -> String {
    let keeps = |line: &&str| {
        let trimmed = line.trim_start();
        let end = trimmed.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(trimmed.len());
        let (name, rest) = trimmed.split_at(end);
        let value = rest.trim_start_matches(|c: char| c == '=' || c.is_whitespace());
        let value = value.split('#').next().unwrap_or("").trim().trim_matches('\'');
        name.is_empty() || name.starts_with('#') || refusal(name, value).is_none()
    };
    text.lines().filter(keeps).fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cohort(members: &[&str], copies: usize) -> Cohort {
        Cohort { members: members.iter().map(|&name| Host::from(name)).collect(), copies }
    }

    #[test]
    fn a_cohort_is_what_postgresql_waits_for() {
        let me = Host::from("db1");
        let names = |members: &[&str], copies| names(Some(&cohort(members, copies)), &me);
        assert_eq!(names(&["db1", "db2", "db3"], 2), "ANY 1 (\"db2\", \"db3\")");
        assert_eq!(
            names(&["db2", "db3"], 2),
            "ANY 2 (\"db2\", \"db3\")",
            "the primary's own copy is none of theirs"
        );
        assert_eq!(names(&["db1"], 1), "");
        assert_eq!(names(&["db1"], 2), format!("ANY 1 (\"{NOBODY}\")"));
        assert_eq!(
            super::names(None, &me),
            format!("ANY 1 (\"{NOBODY}\")"),
            "no rule lets nothing be acknowledged"
        );
    }

    #[test]
    fn what_nines_must_have_in_its_hands_is_refused_with_a_reason() {
        for (name, value) in [
            ("listen_addresses", "*"),
            ("Synchronous_Standby_Names", "*"),
            ("restore_command", "cp"),
            ("fsync", "off"),
            ("synchronous_commit", "local"),
            ("wal_level", "minimal"),
            ("include", "x"),
            ("nines.term", "3"),
            ("a b", "c"),
            ("work_mem", "4MB\nfsync = off"),
        ] {
            assert!(refusal(name, value).is_some_and(|why| why.len() > name.len() + 8), "{name}");
        }
        for (name, value) in
            [("work_mem", "64MB"), ("fsync", "on"), ("wal_level", "logical"), ("pg_stat_statements.max", "5")]
        {
            assert_eq!(refusal(name, value), None);
        }
    }

    #[test]
    fn a_standby_has_no_less_than_its_primary_had_and_more_if_the_file_says_so() {
        let least = [("max_connections", 100), ("max_wal_senders", 10), ("max_worker_processes", 8)];
        let lines = |parameters: &[(&str, &str)], adopted: &str| -> Vec<String> {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let parameters: Vec<_> = parameters.iter().map(own).collect();
            let text = at_least(&least, &parameters, adopted);
            text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        let rest = "max_worker_processes = 8".to_owned();
        assert_eq!(
            lines(&[("max_connections", "60")], ""),
            ["max_connections = 100".to_owned(), rest.clone()]
        );
        assert_eq!(lines(&[("Max_Connections", "200")], ""), std::slice::from_ref(&rest));
        assert_eq!(lines(&[], "max_connections = '300' # many\n"), [rest]);
        let all = [("max_connections", "200"), ("max_worker_processes", "9"), ("max_wal_senders", "4")];
        assert_eq!(lines(&all, ""), ["max_wal_senders = 10"]);
    }

    #[test]
    fn a_value_cannot_end_its_own_quotes() {
        assert_eq!(quote(r"it's \n"), r"'it''s \\n'");
    }

    #[test]
    fn hosts_of_different_names_have_different_slots() {
        assert_eq!(slot(&"db1".into()), "nines_db1");
        assert_ne!(slot(&"db-1".into()), slot(&"db_1".into()));
        assert!(
            slot(&"DB".into())
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
        );
    }

    #[test]
    fn settings_of_somebody_else_lose_only_what_is_nines_own() {
        let theirs = "# port = 1\nport = 5433\n\nwork_mem=4MB # some\n  primary_conninfo = 'x'\nFsync on\nfsync = 'off' # fast\n";
        assert_eq!(without_own(theirs), "# port = 1\n\nwork_mem=4MB # some\nFsync on\n");
    }
}
