//! The gate, as the hands and the shell use it.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nines_control::failover::{self, Report, Role, Term};
use nines_control::gate::{Serves, Standing};
use nines_database::gate::{Counts, Engine, Gate, Lineage, Reads, Settings};
use nines_database::hands::{Doorkeeper, Listens, REPLICATOR, Records, SUPERUSER};
use nines_system::{DatabaseId, HostAddress, HostId, System};

/// Clients at one time: far more than PostgreSQL would take.
const CONNECTIONS: usize = 10_000;

pub(super) struct Door {
    gate: Gate,
    listens: Mutex<Option<Listens>>,
}

impl Doorkeeper for Door {
    fn close_replication(&self) {
        self.gate.close_replication();
    }

    fn engine(&self, listens: &Listens) {
        *self.listens() = Some(listens.clone());
        self.lead_to(None);
    }
}

impl Door {
    /// # Errors
    /// A port is taken, for example.
    pub(super) fn open(system: &System, id: DatabaseId, host: HostId) -> anyhow::Result<Self> {
        let database = &system[id];
        let address = match system[host].address {
            HostAddress::Ip(ip) => Some(ip),
            HostAddress::Dns(_) => None,
        };
        let settings = Settings {
            name: database.name.clone(),
            address,
            port: database.port,
            read_port: database.read_port,
            workers: None,
            connections: CONNECTIONS,
            tls: database.tls.clone(),
            replication_user: REPLICATOR.to_owned(),
            withheld: vec![SUPERUSER.to_owned()],
        };
        let gate = Gate::open(settings).map_err(|error| {
            anyhow::anyhow!(
                "the gate of {} can't listen on ports {} and {}: {error}",
                database.name,
                database.port,
                database.read_port
            )
        })?;
        Ok(Self { gate, listens: Mutex::new(None) })
    }

    fn listens(&self) -> std::sync::MutexGuard<'_, Option<Listens>> {
        self.listens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lead_to(&self, replicates: Option<Term>) {
        let engine = self.listens().as_ref().map(|listens| Engine {
            socket: listens.socket.clone(),
            tls_port: listens.address.map(|address: SocketAddr| address.port()),
            replicates,
        });
        self.gate.set_engine(engine);
    }

    pub(super) fn set(&self, gate: &failover::Gate) {
        self.gate.set(gate);
    }

    pub(super) async fn idle(&self) {
        self.gate.idle().await;
    }

    pub(super) fn counts(&self) -> Counts {
        self.gate.counts()
    }

    /// From now on standbys may stream what this report says that it is the primary of.
    pub(super) fn replicate(&self, report: &Report, records: &Records) {
        let term = report.serves.filter(|_| report.role == Role::Primary);
        let lineage = term.and_then(|term| {
            let ancestry = records.ancestry(term);
            Some(Lineage { term, branches: ancestry.branches?, system: ancestry.system })
        });
        self.gate.set_lineage(lineage);
        self.lead_to(term);
    }

    /// What others are told, and readers let through for so long.
    pub(super) fn stand(&self, standing: &Standing, lasts: Duration) {
        self.gate.set_reads(match standing.serves {
            Serves::Reads => Reads::Allow { until: Instant::now() + lasts },
            Serves::Everything | Serves::Handover => Reads::Deny { why: "it is the primary".to_owned() },
            Serves::Nobody => Reads::Deny { why: standing.why.clone() },
        });
        self.gate.set_standing(standing.serves, standing.term, standing.lag, &standing.why);
    }
}
