//! What is done to PostgreSQL: start, stop, clone, follow, rewind, promote; and what is known of it.
//!
//! `nines_control::failover` decides, and says in [`Effect`] what an effect must have done when it ends. Two things run side by
//! side: the *watch*, which reports all the time ([`watch`]), and the *worker*, which carries out one effect after the other ([`worker`]). What
//! must outlive nines is in a file beside the data ([`state`]), and what an earlier nines began is tidied up first ([`tidy`]).

mod adopt;
mod ask;
mod body;
mod config;
mod control_file;
mod effects;
mod examine;
mod history;
mod place;
mod probe;
mod process;
mod programs;
mod reconfigure;
mod replay;
mod servant;
mod server;
mod settings;
mod sql;
mod state;
mod tidy;
mod users;
mod watch;
mod worker;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nines_control::failover::{Effect, Failure, Host, Id, Lsn, Report, Term};
use nines_control::gate::Ancestry;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use adopt::{Adopted, Plan, adopt, plan};
pub use ask::system;
use body::Body;
pub use examine::{Examined, Found, examine};
pub use reconfigure::Checked;
use reconfigure::Wanted;
pub use settings::{Peers, Role, Settings};

/// PostgreSQL's superuser, whom nobody but nines may be: it comes in by who its process is to the kernel. **The gate must refuse any client that
/// names this user**, since to PostgreSQL whoever comes through the gate is nines' process.
pub const SUPERUSER: &str = "postgres";

/// Who standbys are to the primary. It may replicate and read what pg_rewind reads, no more.
pub const REPLICATOR: &str = "nines_replication";

/// What the hands want of the gate in front of this host's PostgreSQL.
pub trait Doorkeeper: Send + Sync {
    /// Ends every connection for replication: when it returns, no byte of one passes any more.
    fn close_replication(&self);

    /// Where PostgreSQL listens from now on.
    fn engine(&self, listens: &Listens);
}

/// Where PostgreSQL listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listens {
    pub socket: PathBuf,
    /// Only if encrypted connections are passed through: PostgreSQL encrypts none on a socket of the machine.
    pub address: Option<SocketAddr>,
}

/// What the hands tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The latest about the engine: with every heartbeat, and at once when something changes.
    Report(Report),
    /// The end of what [`Hands::perform`] began, and how the engine is after it.
    Done { id: Id, result: Result<(), Failure>, report: Report },
    /// For the operator: progress, or what is odd.
    Note(String),
}

/// Why a database can't be taken in hand. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl Refusal {
    fn at(path: &Path, why: impl fmt::Display) -> Self {
        Self(format!("{}: {why}", path.display()))
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self(failure.0)
    }
}

fn fail(why: impl fmt::Display) -> Failure {
    Failure(why.to_string())
}

/// Nothing that is done under a lock can leave it half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known beside the report, for people.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    pub version: String,
    pub data_directory: PathBuf,
    /// Of the server's first process.
    pub pid: Option<i32>,
    /// For so long the server has been running.
    pub running: Option<Duration>,
    pub timeline: Option<Term>,
    /// Of a standby: what it has flushed, and what can be seen in it.
    pub received: Option<Lsn>,
    pub replayed: Option<Lsn>,
    /// Of a standby: since the latest transaction that can be seen in it was committed.
    pub behind: Option<Duration>,
    pub confirming: Vec<Confirming>,
    /// What the effect under way is at.
    pub doing: Option<String>,
    /// Parameters that go into force with the next start only.
    pub pending_restart: Vec<String>,
    /// What was set aside, and its size in bytes.
    pub set_aside: Vec<(PathBuf, u64)>,
}

/// A standby, as its primary sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirming {
    pub host: Host,
    pub pid: i32,
    pub flushed: Lsn,
    /// How far it lags in time, as PostgreSQL has it.
    pub lag: Option<Duration>,
}

/// How PostgreSQL is left when nines leaves for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It runs on: a later nines takes it in hand again.
    Running,
    /// Cleanly shut down.
    Stopped,
}

/// What may be asked from other threads, at any time.
#[derive(Clone)]
pub struct Records(Arc<Body>);

impl Records {
    /// What is told to a standby that wants to follow this host as the primary of that term.
    pub fn ancestry(&self, term: Term) -> Ancestry {
        self.0.ancestry(term)
    }

    pub fn facts(&self) -> Facts {
        self.0.facts()
    }
}

/// One database's PostgreSQL on this host.
///
/// Made and used on one tokio runtime. If it is dropped, PostgreSQL runs on.
pub struct Hands {
    body: Arc<Body>,
    orders: mpsc::UnboundedSender<Order>,
    told: mpsc::Receiver<Told>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the worker does, one after the other.
enum Order {
    Do(Id, Effect),
    Reconfigure(Arc<Wanted>),
}

/// What has been told, and not been listened to: a report more or less is no loss.
const UNHEARD: usize = 256;

impl Hands {
    /// Tidies up what an earlier process left, adopts a PostgreSQL that runs, refuses what is foreign.
    ///
    /// It can be broken off at any moment and tried again.
    ///
    /// # Errors
    /// It can't be taken in hand, and why; nothing was overwritten.
    pub async fn take(settings: Settings, door: Arc<dyn Doorkeeper>) -> Result<Self, Refusal> {
        let (tell, told) = mpsc::channel(UNHEARD);
        let body = Arc::new(Body::new(settings, door, tell).await?);
        tidy::tidy(&body).await?;
        let (orders, queue) = mpsc::unbounded_channel();
        let tasks =
            vec![tokio::spawn(watch::watch(body.clone())), tokio::spawn(worker::work(body.clone(), queue))];
        Ok(Self { body, orders, told, tasks })
    }

    /// Begins it; its end is told. The next one is only to be asked for after that.
    pub fn perform(&self, id: Id, effect: Effect) {
        // The worker is there as long as this is.
        let _ = self.orders.send(Order::Do(id, effect));
    }

    /// Whether PostgreSQL could go by other settings; nothing goes by them yet. Only what [`Hands::reconfigure`] changes is looked at.
    ///
    /// # Errors
    /// It could not, and why.
    pub fn check(&self, settings: Settings) -> impl Future<Output = Result<Checked, Refusal>> + Send + use<> {
        let body = self.body.clone();
        async move { reconfigure::check(&body, settings).await.map(Checked) }
    }

    /// Goes by other parameters, access, users, passwords and `keep` from now on, as soon as what is under way has ended. What takes a
    /// restart of PostgreSQL waits for the next one, and a note says so. All else stays as it was.
    pub fn reconfigure(&self, checked: Checked) {
        let _ = self.orders.send(Order::Reconfigure(checked.0));
    }

    pub async fn next(&mut self) -> Told {
        match self.told.recv().await {
            Some(told) => told,
            None => std::future::pending().await,
        }
    }

    pub fn facts(&self) -> Facts {
        self.body.facts()
    }

    /// What the gate answers to [`nines_control::gate::Ask::Ancestry`].
    pub fn ancestry(&self, term: Term) -> Ancestry {
        self.body.ancestry(term)
    }

    pub fn records(&self) -> Records {
        Records(self.body.clone())
    }

    /// Leaves it: what is under way is broken off, as if the process had ended.
    pub async fn stop(mut self, how: Leaving) {
        for task in self.tasks.drain(..) {
            task.abort();
            let _ = task.await;
        }
        if how == Leaving::Stopped
            && let Err(failure) = self.body.shut_down().await
        {
            tracing::warn!(why = failure.0, "PostgreSQL was not shut down cleanly");
        }
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
