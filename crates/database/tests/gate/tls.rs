//! Encrypted clients: ended at the gate, or passed through.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use nines_database::gate::{Gate, Settings};
use nines_system::GateTls;

use crate::postgresql::{PASSWORD, PostgreSql, ROLE, output};
use crate::stage::{CLOSE, Client, HOUR, open_for, settings, until};

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// A certificate of its own making in that directory, over what was there.
fn certificate(directory: &Path) -> Option<Files> {
    let files = Files { certificate: directory.join("gate.pem"), key: directory.join("gate.key") };
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    openssl.args(["-subj", "/CN=gate", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"]).arg(&files.key);
    openssl.arg("-out").arg(&files.certificate);
    if openssl.output().is_ok_and(|output| output.status.success()) {
        return Some(files);
    }
    assert!(std::env::var_os("CI").is_none(), "there is no openssl, and CI is set");
    println!("SKIPPED: there is no openssl to make certificates with");
    None
}

fn psql(server: &PostgreSql, gate: &Gate, words: &str, text: &str) -> Result<String, String> {
    let mut psql = server.program("psql");
    let port = gate.addresses().0.port();
    psql.env("PGPASSWORD", PASSWORD).args(["-XAtq", "-c", text]);
    psql.arg(format!("host=127.0.0.1 port={port} user={ROLE} dbname=postgres {words}"));
    output(psql)
}

#[test]
fn tls_ends_at_the_gate_which_takes_a_new_certificate_by_itself() {
    let Some(server) = PostgreSql::start(&[]) else { return };
    let Some(files) = certificate(&server.home()) else { return };
    let tls = GateTls::Terminate { certificate: files.certificate.clone(), key: files.key.clone() };
    let gate = server.gate(Settings { tls, ..settings() });
    let trusted = server.home().join("trusted.pem");
    let verify = format!("sslmode=verify-full sslrootcert={}", trusted.display());
    fs::copy(&files.certificate, &trusted).unwrap();
    let big = "select length(string_agg(repeat('x', 1000), '')) from generate_series(1, 3000)";
    assert_eq!(psql(&server, &gate, &verify, big), Ok("3000000".to_owned()));
    let rows =
        psql(&server, &gate, &verify, "select repeat('x', 1000) from generate_series(1, 3000)").unwrap();
    assert_eq!(rows.lines().count(), 3000);
    // Without it, as PostgreSQL does that has a certificate.
    assert_eq!(psql(&server, &gate, "sslmode=disable", "select 1"), Ok("1".to_owned()));
    // PostgreSQL behind it knows of no TLS and offers nothing that is bound to it.
    psql(&server, &gate, "sslmode=require channel_binding=require", "select 1").unwrap_err();

    certificate(&server.home()).unwrap();
    // It looks once in a second.
    until("the new certificate is in force", || psql(&server, &gate, &verify, "select 1").is_err());
    fs::copy(&files.certificate, &trusted).unwrap();
    assert_eq!(psql(&server, &gate, &verify, "select 1"), Ok("1".to_owned()));
    // One that is no good leaves the one before in force.
    fs::write(&files.certificate, "not a certificate").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(psql(&server, &gate, &verify, "select 1"), Ok("1".to_owned()));

    gate.set(&CLOSE);
    let shown = psql(&server, &gate, &verify, "select 1").unwrap_err();
    assert!(shown.contains("this host does not serve the database now"), "{shown}");
}

#[test]
fn a_client_is_told_in_its_encrypted_stream_that_it_ends() {
    let Some(server) = PostgreSql::start(&[]) else { return };
    let Some(files) = certificate(&server.home()) else { return };
    let tls = GateTls::Terminate { certificate: files.certificate, key: files.key };
    let gate = server.gate(Settings { tls, ..settings() });
    let shown = std::thread::scope(|scope| {
        let waits = scope.spawn(|| psql(&server, &gate, "sslmode=require", "select pg_sleep(60)"));
        until("it sleeps", || {
            server.sql("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == "1"
        });
        gate.set(&CLOSE);
        waits.join().unwrap().unwrap_err()
    });
    assert!(shown.contains("this host serves the database no longer: not the primary"), "{shown}");
}

#[test]
fn what_is_no_tls_after_all_ends_and_bytes_that_came_before_it_count_for_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let Some(files) = certificate(directory.path()) else { return };
    let tls = GateTls::Terminate { certificate: files.certificate, key: files.key };
    let gate = Gate::open(Settings { tls, ..settings() }).unwrap();
    gate.set(&open_for(HOUR));
    let request = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    let mut client = Client::to(gate.addresses().0);
    client.say(&[request.as_slice(), &crate::stage::startup(&[("user", "app")])].concat());
    client.hears(b"S");
    let rest = client.rest();
    assert_ne!(rest.first(), Some(&b'E'), "it was taken for encrypted");
    let mut client = Client::to(gate.addresses().0);
    client.say(&[0x16, 3, 1, 0, 1, 0]);
    client.rest();
}

#[test]
fn tls_that_is_postgresqls_passes_through_until_the_gate_shuts() {
    let Some(files) = tempfile::tempdir().ok().and_then(|directory| {
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).ok()?;
        certificate(directory.path()).map(|files| (files, directory))
    }) else {
        return;
    };
    let (files, directory) = files;
    if rustix::process::geteuid().is_root() {
        let owner = fs::read_to_string("/etc/passwd").unwrap();
        let line = owner.lines().find(|line| line.starts_with("postgres:")).unwrap().to_owned();
        let id = line.split(':').nth(2).unwrap().parse().unwrap();
        chown(&files.key, Some(id), None).unwrap();
    }
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    let trusted = files.certificate.clone();
    let certificate = format!("ssl_cert_file={}", files.certificate.display());
    let key = format!("ssl_key_file={}", files.key.display());
    let Some(server) = PostgreSql::start(&["ssl=on", &certificate, &key, "listen_addresses=127.0.0.1"])
    else {
        return;
    };
    let tls = GateTls::PassThrough { certificate: files.certificate, key: files.key };
    let gate = server.gate(Settings { tls, ..settings() });
    let words = format!("sslmode=verify-full sslrootcert={} channel_binding=require", trusted.display());
    assert_eq!(
        psql(&server, &gate, &words, "select ssl from pg_stat_ssl where pid = pg_backend_pid()"),
        Ok("t".to_owned())
    );
    let shown = std::thread::scope(|scope| {
        let waits = scope.spawn(|| psql(&server, &gate, &words, "select pg_sleep(60)"));
        until("it sleeps", || {
            server.sql("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == "1"
        });
        gate.set(&CLOSE);
        waits.join().unwrap().unwrap_err()
    });
    assert!(shown.contains("closed") || shown.contains("SSL"), "{shown}");
    psql(&server, &gate, &words, "select 1").unwrap_err();
    // Who does not insist is told why.
    let shown = psql(&server, &gate, "sslmode=disable", "select 1").unwrap_err();
    assert!(shown.contains("this host does not serve the database now"), "{shown}");
    drop(directory);
}
