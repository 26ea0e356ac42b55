//! A gate by hand, that stays open: `gate PORT SOCKET`, to measure what it costs.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use nines_control::failover;
use nines_database::gate::{Engine, Gate, Settings};
use nines_system::GateTls;

fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let (Some(port), Some(socket)) = (words.next().and_then(|port| port.parse().ok()), words.next()) else {
        return Err(std::io::Error::other("gate PORT SOCKET [WORKERS]"));
    };
    let workers = words.next().and_then(|workers| workers.parse().ok());
    let gate = Gate::open(Settings {
        name: "by-hand".to_owned(),
        address: Some(Ipv4Addr::LOCALHOST.into()),
        port,
        read_port: 0,
        workers,
        connections: 1000,
        tls: GateTls::Off,
        replication_user: "replication".to_owned(),
        withheld: Vec::new(),
    })?;
    gate.set_engine(Some(Engine { socket: socket.into(), tls_port: None, replicates: None }));
    loop {
        gate.set(&failover::Gate::Open { until: Instant::now() + Duration::from_millis(1500), term: 1 });
        std::thread::sleep(Duration::from_millis(250));
    }
}
