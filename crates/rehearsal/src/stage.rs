//! Where a rehearsal is played: a running copy of the system whose hosts can be broken and healed.

use std::future::Future;
use std::io;
use std::net::IpAddr;

use nines_control::event::Event;
use nines_control::status::Status;

use crate::fault::Fault;

/// Why the stage could not do as asked: what, to whom, and why.
pub type StageError = Box<dyn std::error::Error + Send + Sync>;

/// Moves the thread that calls it to the place of the clients, for as long as that thread lives.
pub type Enter = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// Where a fault is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Victim<'a> {
    /// Its name in the system file.
    pub host: &'a str,
    /// The database that is meant, where the fault is one of a database.
    pub database: Option<&'a str>,
    /// The members that are meant, of all that run there, where the fault is one of members: `web/app1:8080`.
    pub members: &'a [String],
    /// All hosts that are hit at the same stroke, itself among them: by a [`Fault::Partition`] they stay together.
    pub company: &'a [String],
}

/// A running copy of a system. Dropping it takes everything down.
///
/// Hosts are called by their names in the system file.
pub trait Stage {
    /// Starts every host's processes. Returns once they have been started, healthy or not.
    fn bring_up(&mut self) -> impl Future<Output = Result<(), StageError>>;

    /// Puts a fault in: when it returns, the fault is there. A [`Fault::Restart`] returns once the
    /// processes have ended, a [`Fault::Reload`] once all the reloads have been made, and a
    /// [`Fault::Switchover`] once another host serves.
    fn inflict(&mut self, fault: Fault, victim: Victim<'_>) -> impl Future<Output = Result<(), StageError>>;

    /// Undoes what [`Stage::inflict`] did with the same arguments. What it starts need not answer yet.
    fn heal(&mut self, fault: Fault, victim: Victim<'_>) -> impl Future<Output = Result<(), StageError>>;

    /// Lets a database fail over as if the cases before had not been: one that fails over again and again backs off. An operator
    /// does it by pausing and resuming.
    fn forget_failures(&mut self, database: &str) -> impl Future<Output = Result<(), StageError>>;

    /// Programs that have ended badly by themselves, and why: nobody starts them again.
    fn ended(&mut self) -> impl Future<Output = Vec<String>>;

    /// What each host of a load balancer or a database says about itself. Those that can't answer because of a fault that is in are left
    /// out; that another one does not answer is an error.
    fn status(&mut self) -> impl Future<Output = Result<Vec<Status>, StageError>>;

    /// The host on which etcd's leader is, if it runs on hosts of the system.
    fn store_leader(&mut self) -> impl Future<Output = Result<String, StageError>>;

    /// The events of all those hosts that have not been returned before, of those that answer.
    fn new_events(&mut self) -> impl Future<Output = Result<Vec<Event>, StageError>>;

    /// The address at which clients reach a host.
    fn address(&self, host: &str) -> Option<IpAddr>;

    /// The way into the clients' place, for a thread of their own.
    fn clients_place(&self) -> Result<Enter, StageError>;
}
