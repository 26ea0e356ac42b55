//! The databases of this host, between the daemon's loop and a thread for each of them.

mod door;
mod names;
mod registers;
mod reload;
mod shell;
mod standing;
pub(crate) mod store;
mod trouble;

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use nines_admin::api::{DatabaseOrder, DatabaseVerb, Problem};
use nines_control::event::Kind;
use nines_control::status::DatabaseStatus;
use nines_system::Secret;
use tokio::sync::{mpsc, oneshot, watch};

use super::part::Part;
use reload::Change;
pub(super) use reload::Changes;
use shell::Shell;

/// What happened to one of them.
#[derive(Debug)]
pub(super) struct Happened {
    pub(super) kind: Kind,
    /// `orders`.
    pub(super) subject: String,
    pub(super) why: String,
}

/// What a shell is told.
#[derive(Debug)]
pub(super) enum Order {
    Verb {
        verb: DatabaseVerb,
        reply: oneshot::Sender<Result<String, Problem>>,
    },
    /// Whether it could go by that.
    Check {
        change: Box<Change>,
        reply: oneshot::Sender<Result<Box<Change>, String>>,
    },
    /// Goes by it from now on.
    Change(Box<Change>),
    /// The daemon stops: hand over what there is, and stop PostgreSQL.
    Leave,
}

/// Orders that may wait, and events: a person gives few, and a shell that is held up for long is broken.
const WAITING: usize = 64;
const EVENTS: usize = 1024;
const LOOK: Duration = Duration::from_millis(20);
/// How long a database may take to hand over and stop.
pub(super) const LEAVE: Duration = Duration::from_secs(20);

pub(super) struct Databases {
    all: Vec<Running>,
    happened: mpsc::Receiver<Happened>,
}

struct Running {
    name: String,
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<DatabaseStatus>,
    thread: Option<JoinHandle<()>>,
}

impl Databases {
    /// # Errors
    /// A gate's port is taken, or a thread can't be started.
    pub(super) fn start(part: &Part) -> anyhow::Result<Self> {
        let (news, happened) = mpsc::channel(EVENTS);
        let mut all = Vec::new();
        for id in part.system.databases_on(part.host) {
            let (orders, asked) = mpsc::channel(WAITING);
            let (shell, status) = Shell::open(part, id, asked, news.clone())?;
            let name = part.system[id].name.clone();
            let thread = std::thread::Builder::new().name(format!("db-{name}")).spawn(move || shell.run())?;
            all.push(Running { name, orders, status, thread: Some(thread) });
        }
        Ok(Self { all, happened })
    }

    /// The next thing that happened to one of them; never, if there are none.
    pub(super) async fn happened(&mut self) -> Option<Happened> {
        match self.all.is_empty() {
            true => std::future::pending().await,
            false => self.happened.recv().await,
        }
    }

    pub(super) fn status(&self) -> Vec<DatabaseStatus> {
        self.all.iter().map(|one| one.status.borrow().clone()).collect()
    }

    /// Passes an order on; the shell answers.
    pub(super) fn order(&self, order: DatabaseOrder, reply: oneshot::Sender<Result<String, Problem>>) {
        let Some(running) = self.all.iter().find(|one| one.name == order.database) else {
            let known: Vec<String> = self.all.iter().map(|one| one.name.clone()).collect();
            let none =
                if known.is_empty() { ": it has none. Ask the daemon of one of its hosts" } else { "" };
            let problem = Problem::new(format!("this host has no database {:?}{none}", order.database));
            let _ = reply.send(Err(Problem { known, ..problem }));
            return;
        };
        if let Err(error) = running.orders.try_send(Order::Verb { verb: order.verb, reply })
            && let Order::Verb { reply, .. } = error.into_inner()
        {
            let _ = reply
                .send(Err(Problem::new(format!("{} takes no orders: it does not keep up", order.database))));
        }
    }

    /// The end: each hands over and stops; what happens meanwhile still has to be asked for. Resolves when all have, or had the
    /// time to; `None` if there are none.
    pub(super) fn leave(&mut self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let threads: Vec<JoinHandle<()>> = self.all.iter_mut().filter_map(|one| one.thread.take()).collect();
        for running in &self.all {
            let _ = running.orders.try_send(Order::Leave);
        }
        let end = tokio::time::Instant::now() + LEAVE;
        (!threads.is_empty()).then_some(async move {
            while !threads.iter().all(JoinHandle::is_finished) && tokio::time::Instant::now() < end {
                tokio::time::sleep(LOOK).await;
            }
        })
    }
}

/// A secret of the file, read if it stands in another.
///
/// # Errors
/// It can't be read, or is empty.
fn secret(secret: &Secret) -> anyhow::Result<String> {
    let path = match secret {
        Secret::Text(text) => return Ok(text.clone()),
        Secret::File(path) => path,
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the password in {}", path.display()))?;
    let password = Secret::in_file(&text).map(str::to_owned);
    password.with_context(|| format!("{} should have a password in its first line", path.display()))
}
