//! A database asked from outside: by a stand-in for what can go wrong, and by a real PostgreSQL for what must be right. Without PostgreSQL
//! (or openssl) the latter are skipped, with a line that says so, unless `CI` is set.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// What a PostgreSQL says to whom it lets in, and to `SELECT 1`; or that it is starting.
fn postgres(lets_in: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move |mut stream: TcpStream| -> std::io::Result<()> {
        let mut said = [0; 1024];
        let _ = stream.read(&mut said)?;
        if said.starts_with(b"\0\0\0\x08\x04\xd2\x16\x2f") {
            stream.write_all(b"N")?;
            let _ = stream.read(&mut said)?;
        }
        if !lets_in {
            let fields = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";
            stream.write_all(&[b"E", &(fields.len() as u32 + 4).to_be_bytes()[..], fields].concat())?;
            return Ok(());
        }
        stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")?;
        let _ = stream.read(&mut said)?;
        assert!(said.starts_with(b"Q\0\0\0\x0dSELECT 1\0"));
        stream.write_all(b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I")
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || drop(serve(stream)));
        }
    });
    address
}

#[test]
fn a_database_is_asked_for_an_answer_and_its_password_is_not_told() {
    let url = |address| format!("postgres://shop:geheim@{address}/orders");
    let seen = target(&[&url(postgres(true))]);
    assert!(seen["good"].as_u64().unwrap() >= 10 && seen["failed"] == serde_json::json!({}), "{seen}");
    assert!(!seen.to_string().contains("geheim"), "{seen}");
    let seen = target(&[&url(postgres(false))]);
    assert!(seen["good"] == 0 && seen["failed"]["database"].as_u64().unwrap() >= 10, "{seen}");
    assert!(
        seen["outages"][0]["why"].as_str().unwrap().contains("57P03: the database system is starting"),
        "{seen}"
    );
}

#[test]
fn who_wishes_tls_does_not_speak_without_it() {
    let address = postgres(true);
    for mode in ["require", "verify-full"] {
        let seen = target(&[&format!("postgres://shop:geheim@{address}/orders?sslmode={mode}")]);
        assert!(seen["good"] == 0 && seen["failed"]["tls"].as_u64().unwrap() >= 10, "{mode}: {seen}");
    }
    for mode in ["prefer", "disable"] {
        let seen = target(&[&format!("postgres://shop:geheim@{address}/orders?sslmode={mode}")]);
        assert!(seen["good"].as_u64().unwrap() >= 10, "{mode}: {seen}");
    }
}

/// A real one on 127.0.0.1 that wants passwords, and TLS for user `safe`.
struct PostgreSql {
    home: TempDir,
    port: u16,
    server: Killed,
}

fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> =
        fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|it| it.path().join("bin")).collect();
    versions.sort();
    versions.into_iter().rfind(|bin| bin.join("initdb").is_file())
}

/// Root can't be PostgreSQL.
fn as_its_user(command: &mut Command, home: &TempDir) {
    command.current_dir("/").env("HOME", home.path()).stdin(Stdio::null());
    if let Some((user, group)) = its_user() {
        command.uid(user).gid(group);
    }
}

fn its_user() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
    rustix::process::geteuid().is_root().then(|| (fields.next().unwrap(), fields.next().unwrap()))
}

impl PostgreSql {
    fn start() -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let programs = programs().filter(|_| certificate(home.path()));
        let Some(programs) = programs else {
            assert!(std::env::var_os("CI").is_none(), "there is no PostgreSQL or no openssl, and CI is set");
            eprintln!("skipped: there is no PostgreSQL or no openssl");
            return None;
        };
        let path = |name: &str| home.path().join(name);
        fs::write(path("password"), "ge:heim").unwrap();
        fs::set_permissions(path("key.pem"), Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = its_user() {
            for place in [home.path().to_owned(), path("key.pem"), path("password")] {
                chown(place, Some(user), Some(group)).unwrap();
            }
        }
        let mut made = Command::new(programs.join("initdb"));
        made.arg("-D").arg(path("data")).args(["-U", "shop", "-A", "scram-sha-256", "--no-sync", "--pwfile"]);
        as_its_user(made.arg(path("password")), &home);
        let made = made.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let rules = "hostssl all shop 127.0.0.1/32 scram-sha-256\n";
        fs::write(path("data/pg_hba.conf"), rules).unwrap();
        let port = nines_trial::port::free().unwrap();
        let mut server = Command::new(programs.join("postgres"));
        server.arg("-D").arg(path("data")).arg("-k").arg(home.path()).args(["-p", &port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "ssl=on", "fsync=off"] {
            server.args(["-c", setting]);
        }
        for (setting, file) in [("ssl_key_file", "key.pem"), ("ssl_cert_file", "cert.pem")] {
            server.args(["-c", &format!("{setting}={}", path(file).display())]);
        }
        as_its_user(server.stdout(Stdio::null()).stderr(Stdio::null()), &home);
        let it = Self { server: Killed(server.spawn().unwrap()), home, port };
        let begun = Instant::now();
        while !it.home.path().join(format!(".s.PGSQL.{port}")).exists()
            || target(&[&it.url("localhost", "")])["good"] == 0
        {
            assert!(begun.elapsed() < Duration::from_secs(60), "PostgreSQL does not answer");
        }
        Some(it)
    }

    fn url(&self, host: &str, wishes: &str) -> String {
        format!("postgres://shop:ge%3Aheim@{host}:{}/postgres{wishes}", self.port)
    }
}

/// In the place of `cert.pem`, for the same key.
fn old_certificate(folder: &std::path::Path) {
    let request = "req -new -key key.pem -subj /CN=localhost -out request.pem";
    for make in [request, "x509 -req -in request.pem -signkey key.pem -days 2 -out cert.pem"] {
        let made =
            Command::new("openssl").args(make.split_whitespace()).current_dir(folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

impl Drop for PostgreSql {
    fn drop(&mut self) {
        // Its children end with it, and it waits for them.
        signal(&self.server.0, rustix::process::Signal::QUIT);
        let _ = self.server.0.wait();
    }
}

#[test]
fn a_real_database_is_asked_by_tls_to_read_and_to_write() {
    let Some(database) = PostgreSql::start() else { return };
    let ca = database.home.path().join("ca.pem");
    fs::copy(database.home.path().join("cert.pem"), &ca).unwrap();
    let ca = ["--ca", ca.to_str().unwrap()];
    // All that is known of ended this way.
    let ask = |host: &str, wishes: &str, more: &[&str], what: &str| {
        let seen = target_with(&[&[database.url(host, wishes).as_str()][..], more].concat(), what);
        let known = seen["asked"].as_u64().unwrap() - seen["unknown"].as_u64().unwrap();
        assert_eq!(seen.pointer(what).unwrap().as_u64(), Some(known), "{wishes}: {seen}");
        seen
    };
    // However busy the machine is.
    let patient = ["--timeout", "30s"];

    // It takes nobody without TLS: who does not ask for it is told so, and nobody else is.
    let seen = ask("127.0.0.1", "?sslmode=disable", &patient, "/failed/database");
    assert!(seen["outages"][0]["why"].as_str().unwrap().contains("no encryption"), "{seen}");
    for wishes in ["", "?sslmode=require"] {
        ask("127.0.0.1", wishes, &patient, "/good");
    }
    let trusting = [&patient[..], &ca].concat();
    ask("localhost", "?sslmode=verify-full", &trusting, "/good");
    // The certificate is another's.
    ask("127.0.0.1", "?sslmode=verify-full", &trusting, "/failed/tls");

    // A certificate of the first version, as the manual makes them, vouches for nobody and encrypts all the same.
    old_certificate(database.home.path());
    let sql = |text: &str| {
        let mut psql = Command::new(programs().unwrap().join("psql"));
        psql.args(["-XAtq", "-h", "127.0.0.1", "-p", &database.port.to_string(), "-U", "shop"]);
        let output = psql.env("PGPASSWORD", "ge:heim").args(["-c", text, "postgres"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    sql("SELECT pg_reload_conf()");
    let begun = Instant::now();
    let checked = database.url("localhost", "?sslmode=verify-full");
    while target(&[&[checked.as_str()][..], &trusting].concat())["good"] != 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the new certificate is not shown");
    }
    ask("localhost", "?sslmode=require", &patient, "/good");
    let position = || sql("SELECT pg_current_xact_id()").parse::<u64>().unwrap();
    // A session that is kept is one session, and what it is asked to write is written.
    let begun = Instant::now();
    loop {
        let before = position();
        let url = database.url("localhost", "?write");
        let pace = ["--every", "200ms", "--for", "3s", "--keep-alive", "--json"];
        let all = json(&run_probe(&[&[url.as_str()][..], &pace, &patient].concat()));
        let seen = &all["targets"][0];
        let answered = seen["good"].as_u64().unwrap();
        assert_eq!(seen["failed"], serde_json::json!({}), "{seen}");
        assert!(position() - before > answered, "each question is a transaction");
        let [kept, sessions] = ["good", "connections"].map(|what| seen["kept_alive"][what].as_u64().unwrap());
        if sessions < kept {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{seen}");
    }

    // It is confirmed as every commit is: without the standby that must, who reads is answered and who writes is not.
    sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    sql("SELECT pg_reload_conf()");
    let begun = Instant::now();
    while sql("SHOW synchronous_standby_names") != "nobody" {
        assert!(begun.elapsed() < Duration::from_secs(60), "the setting is not taken");
    }
    ask("localhost", "?write", &["--timeout", "1s"], "/failed/timeout");
    ask("localhost", "", &patient, "/good");
}
