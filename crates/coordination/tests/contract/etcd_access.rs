//! Who may speak with etcd, and how: users, tokens that run out, TLS with certificates on both sides.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nines_coordination::settings::{Etcd, Identity, Tls, User};
use nines_coordination::{Error, Registers, Settings};

use crate::cluster::{Cluster, Member, find, must, there_is_etcd};
use crate::support::{claim, key, open, present, put, sees, soon, text, within};

fn as_user(cluster: &Cluster, name: &str, password: &str) -> Settings {
    let user = Some(User { name: name.to_owned(), password: password.to_owned() });
    Settings::Etcd(Etcd { user, ..cluster.etcd() })
}

/// With the user `nines`, who may touch one system's keys only.
fn protect(member: &Member) {
    must(member.etcdctl(&["user", "add", "root:secret"]));
    must(member.etcdctl(&["user", "grant-role", "root", "root"]));
    must(member.etcdctl(&["role", "add", "shop"]));
    must(member.etcdctl(&["role", "grant-permission", "shop", "--prefix=true", "readwrite", "nines/shop/"]));
    must(member.etcdctl(&["user", "add", "nines:word"]));
    must(member.etcdctl(&["user", "grant-role", "nines", "shop"]));
    must(member.etcdctl(&["auth", "enable"]));
}

#[tokio::test]
async fn a_user_with_the_right_to_one_prefix_is_enough() {
    if !there_is_etcd() {
        return;
    }
    let cluster = Cluster::start(1);
    protect(&cluster.members[0]);
    let registers = open(&as_user(&cluster, "nines", "word")).await;
    let mut watch = registers.watch(None);
    put(&registers, "a", "1").await;
    sees(&mut watch, "a", Some("1")).await;

    for (what, settings, prefix) in [
        ("a wrong password", as_user(&cluster, "nines", "wrong"), "shop"),
        ("no such user", as_user(&cluster, "nobody", "word"), "shop"),
        ("no user at all", cluster.settings(), "shop"),
        ("not its prefix", as_user(&cluster, "nines", "word"), "warehouse"),
    ] {
        let began = std::time::Instant::now();
        let error = Registers::open(&settings, &claim(prefix), soon()).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{what}: {error}");
        assert!(!error.to_string().contains("word\"") && began.elapsed() < Duration::from_secs(5), "{what}");
    }
}

#[tokio::test]
async fn a_token_that_runs_out_is_made_anew() {
    if !there_is_etcd() {
        return;
    }
    let cluster = Cluster::start_with(1, &["--auth-token-ttl", "1"]);
    protect(&cluster.members[0]);
    let registers = open(&as_user(&cluster, "nines", "word")).await;
    put(&registers, "a", "1").await;
    // Nobody asks anything while it runs out.
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert!(registers.get(&key("a"), soon()).await.unwrap().is_some());
    let mut watch = registers.watch(None);
    present(&mut watch).await;
    // A new password ends the tokens of the old one, at once and while a watch is open.
    must(cluster.members[0].etcdctl(&["--user", "root:secret", "user", "grant-role", "nines", "root"]));
    put(&registers, "a", "2").await;
    sees(&mut watch, "a", Some("2")).await;
    assert_eq!(text(&registers, "a").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn tls_with_a_certificate_on_each_side() {
    if !there_is_etcd() {
        return;
    }
    if find("openssl").is_none() {
        println!("SKIPPED: there is no openssl to make certificates with");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (ours, other) = (Authority::new(dir.path(), "ours"), Authority::new(dir.path(), "other"));
    let server = ours.issue("server");
    let words = [
        ("--cert-file", &server.certificate),
        ("--key-file", &server.key),
        ("--trusted-ca-file", &ours.certificate),
    ];
    let mut extra: Vec<&str> =
        words.iter().flat_map(|(word, path)| [*word, path.to_str().unwrap()]).collect();
    extra.push("--client-cert-auth");
    let cluster = Cluster::start_with(1, &extra);
    let settings = |authority: &Authority, identity: Option<Identity>| {
        let tls = Some(Tls { ca: authority.certificate.clone(), identity });
        Settings::Etcd(Etcd { tls, ..cluster.etcd() })
    };

    let registers = open(&settings(&ours, Some(ours.issue("client")))).await;
    let mut watch = registers.watch(None);
    put(&registers, "a", "1").await;
    sees(&mut watch, "a", Some("1")).await;

    for (what, settings) in [
        ("a member that another authority vouches for", settings(&other, Some(ours.issue("client-2")))),
        ("no certificate", settings(&ours, None)),
        ("a certificate of another authority", settings(&ours, Some(other.issue("client-3")))),
        ("no TLS", cluster.settings()),
    ] {
        let error = Registers::open(&settings, &claim("shop"), within(1500)).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{what}: {error}");
    }
    let missing = Identity { certificate: dir.path().join("none.pem"), key: dir.path().join("none.key") };
    let error = Registers::open(&settings(&ours, Some(missing)), &claim("shop"), soon()).await.unwrap_err();
    assert!(matches!(&error, Error::Settings { why } if why.contains("none.pem")), "{error}");
}

/// Who vouches for certificates; made with openssl's own program.
struct Authority {
    dir: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new(dir: &Path, name: &str) -> Self {
        let dir = dir.join(name);
        fs::create_dir(&dir).unwrap();
        let authority = Self { certificate: dir.join("ca.pem"), key: dir.join("ca.key"), dir };
        let mut command = authority.request(name, &authority.key);
        command.arg("-x509").args(["-days", "2", "-out"]).arg(&authority.certificate);
        must(command);
        authority
    }

    fn issue(&self, name: &str) -> Identity {
        let identity = Identity {
            certificate: self.dir.join(format!("{name}.pem")),
            key: self.dir.join(format!("{name}.key")),
        };
        let request = self.dir.join(format!("{name}.csr"));
        let mut command = self.request(name, &identity.key);
        command.arg("-out").arg(&request);
        must(command);
        let names = self.dir.join("names");
        fs::write(&names, "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:false\n").unwrap();
        let mut command = Command::new("openssl");
        command.args(["x509", "-req", "-days", "2", "-CAcreateserial", "-in"]).arg(&request);
        command.arg("-CA").arg(&self.certificate).arg("-CAkey").arg(&self.key);
        command.arg("-extfile").arg(&names).arg("-out").arg(&identity.certificate);
        must(command);
        identity
    }

    fn request(&self, name: &str, key: &Path) -> Command {
        let mut command = Command::new("openssl");
        command.args(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        command.args(["-subj", &format!("/CN={name}"), "-keyout"]).arg(key);
        command
    }
}
