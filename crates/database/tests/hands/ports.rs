//! Where PostgreSQL listens when its clients' TLS is its own.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

use nines_control::failover::{Effect, Role};
use nines_system::GateTls;
use rustix::process::Signal;

use crate::support::{Member, World, cohort, is_there};

/// A certificate that PostgreSQL's user may read.
fn pass_through(world: &World) -> GateTls {
    let directory = world.writable("tls");
    let (certificate, key) = (directory.join("server.pem"), directory.join("server.key"));
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=db1";
    let made = Command::new("openssl")
        .args(words.split(' '))
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let owner = fs::metadata(&directory).unwrap();
    chown(&key, Some(owner.uid()), Some(owner.gid())).unwrap();
    GateTls::PassThrough { certificate, key }
}

/// Where it listens, as its own file says.
fn port(host: &Member) -> u16 {
    let file = fs::read_to_string(host.data().join("postmaster.pid")).unwrap();
    file.lines().nth(3).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_port_that_somebody_took_while_postgresql_was_down_does_not_keep_it_from_starting() {
    if !is_there() {
        return;
    }
    let world = World::new(&["db1"]);
    let settings = nines_database::hands::Settings { tls: pass_through(&world), ..world.settings("db1") };
    let mut host = world.host_with(settings).await;
    let alone = cohort(&["db1"], 1);
    host.done(Effect::Initialise).await;
    host.done(Effect::SetSynchronous { term: 1, cohort: alone.clone() }).await;
    let before = port(&host);
    for somebody_took_it in [false, true] {
        host.signal(Signal::KILL);
        host.wait_for("is seen to be gone", |report| report.role == Role::Stopped).await;
        let taken = somebody_took_it.then(|| TcpListener::bind(("127.0.0.1", before)).unwrap());
        let report = host.done(Effect::Promote { term: 1, cohort: alone.clone() }).await;
        assert_eq!((report.role, report.serves), (Role::Primary, Some(1)));
        assert_eq!(port(&host) != before, taken.is_some());
        // The gate leads there.
        let address = host.listens_at().unwrap();
        assert_eq!(address.port(), port(&host));
        assert!(std::net::TcpStream::connect(address).is_ok());
    }
}
