//! A load balancer in front of a database of three hosts: the machine that decides, probes and data plane, as the daemon
//! joins them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nines_control::event::Kind;
use nines_control::pools::{Input, Output, Pools};
use nines_control::statistics::Statistics;
use nines_load_balancer::DataPlane;
use nines_load_balancer::probe::Prober;
use nines_system::System;

use crate::gate::Gate;
use crate::support::{Client, eventually, free_port, parse};

pub(crate) const HOSTS: [&str; 3] = ["db1", "db2", "db3"];

pub(crate) struct Shell {
    pub(crate) plane: Arc<DataPlane>,
    /// Listeners for everything, and for reads.
    writes: SocketAddr,
    reads: SocketAddr,
    pub(crate) events: std::sync::mpsc::Receiver<(Kind, String)>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Where the gates of one database are: addresses that no other test has, since of a host whose gate is played anew the port
/// must still be free.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    network: [u8; 3],
    port: u16,
    read_port: u16,
}

impl Place {
    pub(crate) fn new() -> Self {
        static PLACES: AtomicU8 = AtomicU8::new(64);
        let process = u8::try_from(std::process::id() % 256).unwrap();
        let network = [127, PLACES.fetch_add(1, Ordering::Relaxed), process];
        let port = free_port();
        Self { network, port, read_port: if port == u16::MAX { port - 1 } else { port + 1 } }
    }

    pub(crate) fn gate(self, place: usize) -> Gate {
        let addresses = [self.port, self.read_port].map(|port| SocketAddr::from((self.ip(place), port)));
        Gate::start(HOSTS[place], addresses)
    }

    fn ip(self, place: usize) -> [u8; 4] {
        let [a, b, c] = self.network;
        [a, b, c, u8::try_from(place).unwrap() + 1]
    }

    pub(crate) fn gates(self) -> [Gate; 3] {
        [0, 1, 2].map(|place| self.gate(place))
    }
}

/// No check ends by time, and no client waits in vain, unless a test sets it so.
pub(crate) const LONG: Duration = Duration::from_secs(60);

impl Shell {
    pub(crate) fn start(place: Place, check_timeout: Duration, queue_timeout: Duration) -> Self {
        let writes = free_port();
        let reads = std::iter::repeat_with(free_port).find(|port| *port != writes).unwrap();
        let address = |n| std::net::Ipv4Addr::from(place.ip(n));
        let hosts: String = (0..3).map(|n| format!("{} = \"{}\"\n", HOSTS[n], address(n))).collect();
        let text = format!(
            "name = \"test\"\n[hosts]\nlb = \"127.0.0.1\"\n{hosts}\n[load_balancers.front]\nhosts = [\"lb\"]\n\
             listeners = [\n  {{ bind = \"127.0.0.1:{writes}\", database = \"orders\" }},\n  \
             {{ bind = \"127.0.0.1:{reads}\", database = \"orders\", access = \"read-only\" }},\n]\n\
             [databases.orders]\nhosts = [\"db1\", \"db2\", \"db3\"]\nport = {}\nread_port = {}\n\
             replication_password = \"not-to-be-guessed\"\n\
             [coordination]\netcd = [\"db1:2379\", \"db2:2379\", \"db3:2379\"]\n",
            place.port, place.read_port
        );
        let mut system = System::clone(&parse(&text));
        for pool in &mut system.pools {
            pool.check.timeout = check_timeout;
            pool.limits.queue_timeout = queue_timeout;
        }
        let system = Arc::new(system);
        let now = Instant::now();
        let pools = Pools::new(now, system.clone(), system.pool_ids().collect(), 1);
        let host = system.host_named("lb").unwrap();
        let (plane, reports) = DataPlane::start(system, host, pools.view(), 1).unwrap();
        let (plane, end) = (Arc::new(plane), Arc::new(AtomicBool::new(false)));
        let (tell, events) = std::sync::mpsc::channel();
        let thread = std::thread::spawn({
            let (plane, end) = (plane.clone(), end.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(turn(pools, &plane, reports, &end, &tell));
            }
        });
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let shell =
            Self { plane, writes: address(writes), reads: address(reads), events, end, thread: Some(thread) };
        eventually("the listeners open", || shell.plane.listeners().iter().all(|listener| listener.open));
        eventually("the listeners accept", || {
            [shell.writes, shell.reads].iter().all(|address| std::net::TcpStream::connect(address).is_ok())
        });
        shell
    }

    /// A client that has said what a client says first.
    pub(crate) fn client(&self) -> Client {
        greeted(self.writes)
    }

    pub(crate) fn reader(&self) -> Client {
        greeted(self.reads)
    }

    pub(crate) fn silent_client(&self) -> Client {
        Client::connect(self.writes)
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.plane.statistics()
    }

    /// Clients that wait for somebody to serve them.
    pub(crate) fn waiting(&self) -> u64 {
        self.statistics().pools.iter().map(|pool| pool.queued).sum()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn startup() -> Vec<u8> {
    let words = b"user\0shop\0database\0shop\0\0";
    let length = u32::try_from(words.len() + 8).unwrap();
    [&length.to_be_bytes(), &[0, 3, 0, 0], &words[..]].concat()
}

fn greeted(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    client.send(startup());
    client
}

async fn turn(
    mut pools: Pools,
    plane: &DataPlane,
    mut reports: nines_load_balancer::Reports,
    end: &AtomicBool,
    tell: &std::sync::mpsc::Sender<(Kind, String)>,
) {
    let prober = Prober::default();
    let mut begun = tokio::task::JoinSet::new();
    while !end.load(Ordering::Relaxed) {
        while let Some(output) = pools.poll() {
            match output {
                Output::Probe(order) => {
                    let prober = prober.clone();
                    begun.spawn(async move { (order.ticket, prober.probe(&order).await) });
                }
                Output::Publish(view) => plane.publish(view),
                Output::Event { kind, subject, why } => drop(tell.send((kind, format!("{subject}: {why}")))),
                Output::FirstChecksIn => plane.open(),
                Output::Resolve { .. } => {}
            }
        }
        let deadline = pools.deadline().unwrap_or(Instant::now() + LONG);
        let input = tokio::select! {
            Some(Ok((ticket, result))) = begun.join_next() => Input::Probed { ticket, result },
            Some((member, traffic)) = reports.recv() => Input::Traffic { member, traffic },
            () = tokio::time::sleep_until(deadline.into()) => Input::Timer,
            () = tokio::time::sleep(Duration::from_millis(20)) => Input::Timer,
        };
        pools.handle(Instant::now(), input);
    }
}
