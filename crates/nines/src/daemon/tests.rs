//! The daemon and a thread of virtual addresses that fails it, which the real data plane gives no cause for. The interface
//! of the address does not exist, so that nothing here touches a network.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use nines_control::event::Kind;
use nines_virtual_ip::Surroundings;

use super::addresses::Addresses;
use super::part::Part;
use super::{Daemon, Orders};
use crate::EXIT_BAD;

/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(30);
const VIRTUAL_IP: &str = "virtual_ips = [{ address = \"192.0.2.1\", interface = \"no-such-link\" }]";

/// Whatever is asked of the data plane.
struct Asked<F>(F);

impl<F: Fn() + Send + 'static> Surroundings for Asked<F> {
    fn able(&self) -> Result<(), String> {
        (self.0)();
        Ok(())
    }

    fn retire(&self) {}

    fn hush(&self, _: bool) {}
}

struct World {
    runtime: tokio::runtime::Runtime,
    directory: tempfile::TempDir,
    port: u16,
    daemon: Daemon,
}

impl World {
    /// A daemon without virtual addresses of its own, whose thread of them then asks `able`.
    fn new(able: impl Fn() + Send + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = nines_trial::port::free().unwrap();
        write(&directory, port, "");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let orders = Orders {
            file: directory.path().join("shop.toml"),
            host: "lb1".to_owned(),
            admin_socket: directory.path().join("lb1.sock"),
            state: directory.path().join("state"),
        };
        let part = Part::read(&orders.file, "lb1").unwrap();
        let mut daemon = runtime.block_on(async { Daemon::start(orders, part) }).unwrap();
        write(&directory, port, VIRTUAL_IP);
        daemon.part = Part::read(&daemon.orders.file, "lb1").unwrap();
        daemon.addresses = Addresses::among(&daemon.part, Asked(able)).unwrap();
        Self { runtime, directory, port, daemon }
    }
}

fn write(directory: &tempfile::TempDir, port: u16, virtual_ips: &str) {
    let text = format!(
        "name = \"shop\"\n[hosts]\nlb1 = \"127.0.0.1\"\napp1 = \"127.0.0.2\"\n\
         [load_balancers.front]\nhosts = [\"lb1\"]\nworkers = 1\n{virtual_ips}\n\
         listeners = [{{ bind = \"127.0.0.1:{port}\", pool = \"web\" }}]\n\
         [pools.web]\nmembers = [\"app1:8080\"]\ncheck = \"none\"\n"
    );
    std::fs::write(directory.path().join("shop.toml"), text).unwrap();
}

#[test]
fn a_daemon_whose_addresses_nobody_minds_ends_to_be_started_anew() {
    let World { runtime, mut daemon, directory: _directory, .. } = World::new(|| panic!("meant by the test"));
    let code = runtime.block_on(async { tokio::time::timeout(PATIENCE, daemon.until_told()).await });
    assert_eq!(format!("{:?}", code.unwrap()), format!("{:?}", std::process::ExitCode::from(EXIT_BAD)));
    let last = daemon.journal.after(0).pop().unwrap();
    assert_eq!((last.kind, last.subject.as_str()), (Kind::Daemon, "lb1"));
    assert_eq!(
        last.why,
        "the thread of the virtual addresses has ended by itself: stops, to be started anew"
    );
}

#[test]
fn addresses_that_leave_the_file_do_not_hold_up_the_loop() {
    let (release, released) = mpsc::channel::<()>();
    let (told, asked) = mpsc::channel();
    let mut world = World::new(move || {
        let _ = told.send(());
        let _ = released.recv_timeout(PATIENCE);
    });
    asked.recv_timeout(PATIENCE).unwrap();
    // The thread hangs now.
    write(&world.directory, world.port, "");
    let began = Instant::now();
    let part = Part::read(&world.daemon.orders.file, &world.daemon.orders.host).unwrap();
    world.runtime.block_on(async { world.daemon.try_reload(part, None) }).unwrap();
    let took = began.elapsed();
    drop(release);
    assert!(took < Duration::from_secs(3), "it took {took:?}");
}

#[test]
fn a_thread_that_hangs_holds_up_the_end_once_and_not_for_ever() {
    let (release, released) = mpsc::channel::<()>();
    let (told, asked) = mpsc::channel();
    let World { runtime, mut daemon, directory: _directory, .. } = World::new(move || {
        let _ = told.send(());
        let _ = released.recv_timeout(PATIENCE);
    });
    asked.recv_timeout(PATIENCE).unwrap();
    let began = Instant::now();
    runtime.block_on(async {
        daemon.let_addresses_go().await;
        drop(daemon);
    });
    let took = began.elapsed();
    drop(release);
    // Twice would be ten.
    assert!(took < Duration::from_secs(8), "it took {took:?}");
}
