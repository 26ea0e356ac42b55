//! Databases in the system file: what holds where it says little, and each mistake as an operator sees it.
#![allow(clippy::panic, reason = "a panic here is a failed test")]

mod coordination;
mod defaults;
mod hosts;
mod listeners;
mod pools;
mod postgresql;
mod secrets;
mod warnings;

use nines_system::System;

const GOOD: &str = r#"name = "shop"
zones = ["a", "b", "c"]

[hosts]
lb1 = { zone = "a", address = "10.0.1.10" }
db1 = { zone = "a", address = "10.0.1.31" }
db2 = { zone = "b", address = "10.0.2.31" }
db3 = { zone = "c", address = "10.0.3.31" }

[load_balancers.front]
hosts = ["lb1"]
listeners = [{ bind = ":5432", database = "orders" }]

[databases.orders]
hosts = ["db1", "db2", "db3"]
replication_password = "secret"

[coordination]
etcd = ["db1:2379", "db2:2379", "db3:2379"]
"#;

/// The good file with these words in the place of those.
fn with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(GOOD.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replacen(old, new, 1)
    })
}

/// With further keys of the database.
fn with_keys(keys: &str) -> String {
    let password = "replication_password = \"secret\"";
    with(&[(password, &format!("{password}\n{keys}"))])
}

#[track_caller]
fn system(text: &str) -> System {
    match nines_system::parse("shop.toml", text) {
        Ok(system) => system,
        Err(mistakes) => panic!("{mistakes}"),
    }
}

/// What `nines check` says about a text: its mistakes, or else what looks forgotten.
fn said(text: &str) -> String {
    match nines_system::parse_with_warnings("shop.toml", text) {
        Ok((_, warnings)) => warnings.render(false),
        Err(mistakes) => mistakes.render(false),
    }
}

#[track_caller]
fn assert_says(level: &str, text: &str, expected: &str) {
    let said = said(text);
    let expected = expected.trim_start_matches('\n');
    assert!(said.starts_with(level), "it says\n{said}");
    assert!(said == expected, "it says\n{said}\nand not\n{expected}");
}

macro_rules! mistake {
    ($name:ident: $($old:literal => $new:literal),+; $expected:literal) => {
        #[test]
        fn $name() {
            crate::assert_says("error: ", &crate::with(&[$(($old, $new)),+]), $expected);
        }
    };
}

macro_rules! warning {
    ($name:ident: $($old:literal => $new:literal),+; $expected:literal) => {
        #[test]
        fn $name() {
            crate::assert_says("warning: ", &crate::with(&[$(($old, $new)),+]), $expected);
        }
    };
}

use {mistake, warning};

#[test]
fn a_good_file_has_nothing_to_be_said_about() {
    assert_eq!(said(GOOD), "");
}
