//! Secrets are read, and never shown.

use nines_system::{explain, explain_with_secrets};

use super::{said, system, with};

const SECRETS: [&str; 5] = [
    "the-secret-of-the-standbys",
    "the-secret-of-the-shop",
    "the-secret-of-nines-in-etcd",
    "s3cr3t-v",
    "the-secret-of-a-virtual-router-and-its-peers",
];

fn text() -> String {
    let [standbys, shop, etcd, old, router] = SECRETS;
    let virtual_ips = format!(
        "virtual_ips = [\n\
         {{ address = \"10.0.1.100\", version = 2, password = \"{old}\" }},\n\
         {{ address = \"10.0.1.101\", keys = [{{ id = 1, key = \"{router}\" }}] }},\n]\nlisteners ="
    );
    let users = format!(
        "replication_password = \"{standbys}\"\nusers = [\n\
         {{ name = \"shop\", password = \"{shop}\" }},\n\
         {{ name = \"report\", password = {{ file = \"/etc/nines/report\" }} }},\n]"
    );
    let etcd = format!("[coordination]\nuser = {{ name = \"nines\", password = \"{etcd}\" }}");
    with(&[
        ("listeners =", &virtual_ips),
        ("replication_password = \"secret\"", &users),
        ("[coordination]", &etcd),
    ])
}

#[test]
fn an_explanation_has_no_secret_in_it() {
    let system = system(&text());
    let (shown, whole) = (explain(&system), explain_with_secrets(&system));
    for secret in SECRETS {
        assert!(whole.contains(secret), "{whole}");
        assert!(!shown.contains(secret), "{shown}");
    }
    assert_eq!(shown.matches("\"(hidden)\"").count(), SECRETS.len());
    assert!(shown.contains("{ file = \"/etc/nines/report\" }"), "where a file is, is no secret");
}

#[test]
fn who_uses_an_explanation_as_a_file_is_told_what_is_missing() {
    let told = said(&explain(&system(&text())));
    assert_eq!(told.matches("hidden by `nines check --explain`").count(), SECRETS.len(), "{told}");
    assert_eq!(told.matches("error: ").count(), SECRETS.len(), "{told}");
}

#[test]
fn neither_has_what_is_printed_of_a_system_for_developers() {
    let printed = format!("{:?}", system(&text()));
    for secret in SECRETS {
        assert!(!printed.contains(secret), "{secret}");
    }
    assert!(printed.contains("/etc/nines/report"));
}
