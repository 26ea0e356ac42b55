//! Settings of PostgreSQL. Whether PostgreSQL likes a value is its own to say, before anything is restarted; here are those
//! that nines must have in its own hands, and those with which acknowledged writes could be lost.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fields::Fields;
use crate::item::Item;
use crate::mistake::{Mistake, Span};

/// What nines says about a setting.
enum Rule {
    /// It sets this itself.
    Own,
    /// One of these values and no other.
    Only(&'static [&'static str]),
    /// A number that is no smaller.
    AtLeast(u64),
}

use Rule::{AtLeast, Only, Own};

const ON: Rule = Only(&["on"]);
const OFF: Rule = Only(&["off"]);

/// Settings that are not free, and why.
const RULES: &[(&[&str], Rule, &str)] = &[
    (
        &[
            "listen_addresses",
            "port",
            "unix_socket_directories",
            "unix_socket_group",
            "unix_socket_permissions",
        ],
        Own,
        "PostgreSQL listens for nines alone; clients come to the gate, at `port` and `read_port` of the database",
    ),
    (
        &["data_directory", "config_file", "hba_file", "ident_file", "external_pid_file"],
        Own,
        "nines keeps these files, in `data` of the database; lines of pg_hba.conf are its `access`",
    ),
    (
        &["include", "include_if_exists", "include_dir"],
        Own,
        "what another file sets could not be checked: write the settings here",
    ),
    (&["ssl", "ssl_cert_file", "ssl_key_file"], Own, "`tls` of the database says it"),
    (
        &["synchronous_standby_names"],
        Own,
        "it changes with who is there, in step with the coordination: `confirm` says how many standbys",
    ),
    (
        &["primary_conninfo", "primary_slot_name", "promote_trigger_file", "trigger_file", "standby_mode"],
        Own,
        "who is the primary, and who follows it, is decided by nines",
    ),
    (
        &[
            "restore_command",
            "recovery_target",
            "recovery_target_action",
            "recovery_target_inclusive",
            "recovery_target_lsn",
            "recovery_target_name",
            "recovery_target_time",
            "recovery_target_timeline",
            "recovery_target_xid",
        ],
        Own,
        "a standby gets the log from the primary alone, to its end: an archive may have another history",
    ),
    (&["recovery_min_apply_delay"], Own, "a standby that lags on purpose could not take over in time"),
    (&["hot_standby"], Own, "it is always on: a standby answers how far it is"),
    (&["wal_log_hints"], Own, "it is always on: a former primary is rewound by them"),
    (&["restart_after_crash"], Own, "whether and as what a server starts again is decided by nines"),
    (&["max_wal_senders", "max_replication_slots"], Own, "they follow from the number of hosts"),
    (
        &[
            "wal_sender_timeout",
            "wal_receiver_timeout",
            "wal_receiver_status_interval",
            "wal_retrieve_retry_interval",
        ],
        Own,
        "they follow from the lease: a standby that is lost or back is noticed in time",
    ),
    (&["logging_collector", "log_destination", "lc_messages"], Own, "nines keeps the log, and reads it"),
    (&["password_encryption"], Own, "clients show scram-sha-256"),
    (&["fsync", "full_page_writes"], ON, "without it, acknowledged writes can be lost with the power"),
    (
        &["synchronous_commit"],
        Only(&["on", "remote_apply"]),
        "with less, writes are acknowledged that are on no standby's disk, and lost with the primary",
    ),
    (
        &["data_sync_retry"],
        OFF,
        "after a failed write to its disk PostgreSQL would go on as if nothing was lost",
    ),
    (&["zero_damaged_pages", "ignore_invalid_pages"], OFF, "it throws data away to be able to go on"),
    (&["wal_level"], Only(&["replica", "logical"]), "with less, standbys can't follow"),
    (
        &["superuser_reserved_connections"],
        AtLeast(8),
        "nines itself must get in, several times, when all other connections are taken",
    ),
];

/// Why PostgreSQL may not be set so under nines, if it may not. For settings from elsewhere than the system file, too: of a
/// server that is adopted, for example.
pub fn refused_parameter(name: &str, value: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    if !is_setting(&name) {
        return Some("it is not the name of a setting");
    }
    broken(&name, value).map(|broken| match broken {
        Broken::Own(why) | Broken::Value(_, why) => why,
    })
}

/// Names and values in the file's order.
pub(super) fn parameters(fields: &Fields<'_>) -> Option<Vec<(String, String)>> {
    let Some(item) = fields.get("parameters") else { return Some(Vec::new()) };
    let Some(table) = item.value.get_ref().as_table() else {
        item.wrong_type();
        return None;
    };
    let mut reader = Reader { settings: Vec::new(), whole: true };
    reader.table(&item, table, "");
    let settings = reader.settings.into_iter().map(|(name, value, _)| (name, value)).collect();
    reader.whole.then_some(settings)
}

struct Reader {
    /// Name, value, where the name stands.
    settings: Vec<(String, String, Span)>,
    whole: bool,
}

impl Reader {
    /// `prefix`: `pg_stat_statements.`, of the table `pg_stat_statements`.
    fn table(&mut self, item: &Item<'_>, table: &DeTable<'_>, prefix: &str) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref()).to_ascii_lowercase();
            if let (DeValue::Table(inner), false) = (value.get_ref(), prefix.contains('.')) {
                self.table(item, inner, &format!("{name}."));
                continue;
            }
            match self.setting(item, &name, key.span(), value) {
                Some(value) => self.settings.push((name, value, key.span())),
                None => self.whole = false,
            }
        }
    }

    fn setting(
        &self,
        item: &Item<'_>,
        name: &str,
        key: Span,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<String> {
        let note = |mistake: Mistake| {
            item.notes.add(mistake);
            None
        };
        if !is_setting(name) {
            return note(
                Mistake::new(
                    format!("`{}` is not the name of a setting", shown(name)),
                    key,
                    "not a setting's name",
                )
                .help(
                    "write it as postgresql.conf does, such as work_mem or \"auto_explain.log_min_duration\"",
                ),
            );
        }
        if let Some((_, _, first)) = self.settings.iter().find(|(other, _, _)| other == name) {
            return note(
                Mistake::new(format!("`{name}` is set twice"), key, "again")
                    .and(first.clone(), "first")
                    .help("take one out; capital and small letters are the same"),
            );
        }
        let Some(text) = written(value.get_ref()) else {
            return note(
                Mistake::new(
                    format!("`{name}` must be a text, a number, true or false"),
                    value.span(),
                    "not a setting's value",
                )
                .help(format!("write it as in postgresql.conf: {name} = \"…\"")),
            );
        };
        if text.len() > 10_000 || text.contains(char::is_control) {
            return note(
                Mistake::new(
                    format!("`{name}` can't have this value"),
                    value.span(),
                    "too long, or not in one line",
                )
                .help("write at most 10000 bytes in one line"),
            );
        }
        match broken(name, &text) {
            Some(broken) => note(match broken {
                Broken::Own(why) => {
                    Mistake::new(format!("nines sets `{name}` itself"), key, "not yours to set")
                        .help(why)
                        .help("take it out")
                }
                Broken::Value(must, why) => {
                    Mistake::new(format!("`{name}` can't be `{}`", shown(&text)), value.span(), must)
                        .help(why)
                }
            }),
            None => Some(text),
        }
    }
}

fn broken(name: &str, value: &str) -> Option<Broken> {
    if name.starts_with("nines.") {
        return Some(Broken::Own("nines' own settings begin so"));
    }
    let (_, rule, why) = RULES.iter().find(|(names, _, _)| names.contains(&name))?;
    match rule {
        Own => Some(Broken::Own(why)),
        AtLeast(least) => {
            // What is no number is PostgreSQL's to refuse.
            let less = value.trim().parse::<u64>().is_ok_and(|number| number < *least);
            less.then(|| Broken::Value(format!("must be at least {least}"), why))
        }
        Only(values) => {
            let value = value.trim().to_ascii_lowercase();
            let plain = match switch(&value) {
                Some(true) => "on",
                Some(false) => "off",
                None => value.as_str(),
            };
            let known: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
            (!values.contains(&plain)).then(|| Broken::Value(format!("must be {}", known.join(" or ")), why))
        }
    }
}

enum Broken {
    Own(&'static str),
    Value(String, &'static str),
}

/// The value as PostgreSQL writes it.
fn written(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            i128::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(|_| number.to_string()),
        DeValue::Boolean(true) => Some("on".to_owned()),
        DeValue::Boolean(false) => Some("off".to_owned()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// `work_mem`, or `auto_explain.log_min_duration` of an extension.
fn is_setting(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_$".contains(&b))
    };
    name.len() <= 128 && name.split('.').count() <= 2 && name.split('.').all(part)
}

/// What PostgreSQL takes for on and off: also the beginnings of words.
fn switch(value: &str) -> Option<bool> {
    let begins = |word: &str, least: usize| value.len() >= least && word.starts_with(value);
    if begins("true", 1) || begins("yes", 1) || value == "on" || value == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || value == "0" {
        Some(false)
    } else {
        None
    }
}

/// A text short enough for a message, without what nobody can see.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
