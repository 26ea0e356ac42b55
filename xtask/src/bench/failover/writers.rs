//! The clients of a database: they commit a row each every 5 ms through the load balancer, remember every one that was
//! acknowledged, and look for each afterwards. A program of its own, on the client's host; it takes its orders on stdin and tells on stdout.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::bench::seen::{Failure, Seen};

const WRITERS: usize = 4;
const EVERY: Duration = Duration::from_millis(5);
/// For a connection that can be used, and for a commit.
const PATIENCE: Duration = Duration::from_secs(1);
/// Before a writer that was not let in tries again.
const PAUSE: Duration = Duration::from_millis(20);
/// For finding the table, making it, and looking for all rows.
pub(crate) const LOOK: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the database is reached
    #[arg(long)]
    target: SocketAddr,
    /// Tells rows of one run from those of others
    #[arg(long)]
    run: u32,
}

struct Shared {
    seen: Seen,
    /// An order to tell when so many in a row were acknowledged.
    steady: Option<u64>,
    stopped: bool,
    /// Rows that were acknowledged: writer and number.
    acknowledged: HashSet<(usize, u64)>,
}

/// Runs until stdin ends.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (tell, orders) = channel(16);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if tell.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, obey(args, orders))
}

async fn obey(args: &Args, mut orders: Receiver<String>) -> Result<()> {
    let shared = Rc::new(RefCell::new(Shared {
        seen: Seen::new(Instant::now()),
        steady: None,
        stopped: false,
        acknowledged: HashSet::new(),
    }));
    prepare(args).await?;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        writers.push(spawn_local(write(args.target, args.run, writer, Rc::clone(&shared))));
    }
    while let Some(order) = orders.recv().await {
        match order.split_once(' ').unwrap_or((&order, "")) {
            ("steady", count) => {
                let mut shared = shared.borrow_mut();
                shared.steady = Some(count.parse().context("steady for how long?")?);
                shared.seen.in_a_row = 0;
            }
            ("begin", _) => {
                shared.borrow_mut().seen = Seen::new(Instant::now());
                tell("begun")?;
            }
            ("end", _) => {
                shared.borrow_mut().stopped = true;
                shared.borrow_mut().seen.end(Instant::now());
                for writer in writers.drain(..) {
                    writer.await?;
                }
                tell(&shared.borrow().seen.json().to_string())?;
            }
            ("look", _) => {
                let found = within_look(|| look(args)).await;
                tell(&missing(&shared.borrow().acknowledged, found).to_string())?;
            }
            _ => bail!("no such order: {order}"),
        }
    }
    Ok(())
}

/// One row after the other, until it is stopped. A number is never used twice, so that what became of each is known.
async fn write(target: SocketAddr, run: u32, writer: usize, shared: Rc<RefCell<Shared>>) {
    let mut client: Option<Connected> = None;
    let mut next = tokio::time::Instant::now();
    for n in 0.. {
        sleep_until(next).await;
        next = (next + EVERY).max(tokio::time::Instant::now());
        if shared.borrow().stopped {
            return;
        }
        let asked = Instant::now();
        let known = match client.take() {
            Some(client) => Ok(client),
            None => connect(target).await,
        };
        let outcome = match known {
            Ok(known) => {
                let row = format!("INSERT INTO writes VALUES ({run}, {writer}, {n})");
                let outcome = bounded(known.simple_query(&row)).await.map(drop);
                if outcome.is_ok() {
                    client = Some(known);
                }
                outcome
            }
            Err(failure) => {
                next += PAUSE;
                Err(failure)
            }
        };
        let mut shared = shared.borrow_mut();
        match outcome {
            Ok(()) => {
                shared.acknowledged.insert((writer, n));
                shared.seen.answered(Instant::now());
            }
            Err(failure) => shared.seen.failed(failure, asked),
        }
        if shared.steady.is_some_and(|wanted| shared.seen.in_a_row >= wanted) {
            shared.steady = None;
            // Nobody there to be told: then stdin ends as well.
            let _ = tell("steady");
        }
    }
}

/// Its socket is closed when it is dropped, even if an answer is still awaited.
struct Connected {
    client: Client,
    connection: AbortHandle,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl std::ops::Deref for Connected {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

async fn connect(target: SocketAddr) -> Result<Connected, Failure> {
    let mut config = tokio_postgres::Config::new();
    config.host(target.ip().to_string()).port(target.port());
    config.user("bench").password("bench").dbname("bench").application_name("bench");
    let (client, connection) = match bounded(config.connect(NoTls)).await {
        Ok(connected) => connected,
        Err(Failure::Closed) => return Err(Failure::Refused),
        Err(failure) => return Err(failure),
    };
    let connection = spawn_local(async move {
        let _ = connection.await;
    });
    Ok(Connected { client, connection: connection.abort_handle() })
}

async fn bounded<T>(work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Failure> {
    match timeout(PATIENCE, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) if error.as_db_error().is_some() => Err(Failure::Wrong),
        Ok(Err(_)) => Err(Failure::Closed),
        Err(_) => Err(Failure::TimedOut),
    }
}

/// Tries until it is done; what went wrong last, if it is not done in time.
async fn within_look<T, F: Future<Output = Result<T>>>(mut work: impl FnMut() -> F) -> Result<T> {
    let until = Instant::now() + LOOK;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match timeout(left, work()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) if Instant::now() > until => return Err(error),
            Ok(Err(_)) => sleep(PAUSE * 5).await,
            Err(_) => bail!("it takes longer than {} s", LOOK.as_secs()),
        }
    }
}

/// The table is there.
async fn prepare(args: &Args) -> Result<()> {
    let make =
        "CREATE TABLE IF NOT EXISTS writes (run int, writer int, n bigint, PRIMARY KEY (run, writer, n))";
    within_look(|| async {
        let Ok(client) = connect(args.target).await else { bail!("the database lets nobody in") };
        match client.simple_query(make).await {
            Ok(_) => Ok(()),
            // Somebody else was a little faster.
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(()),
            Err(error) => Err(error.into()),
        }
    })
    .await
    .context("the table cannot be made")
}

/// All rows of this run that the database has.
async fn look(args: &Args) -> Result<HashSet<(usize, u64)>> {
    let Ok(client) = connect(args.target).await else { bail!("the database lets nobody in") };
    let query = format!("SELECT writer, n FROM writes WHERE run = {}", args.run);
    let mut found = HashSet::new();
    for message in client.simple_query(&query).await? {
        if let SimpleQueryMessage::Row(row) = message {
            let column = |n: usize| row.get(n).context("no such column");
            found.insert((column(0)?.parse()?, column(1)?.parse()?));
        }
    }
    Ok(found)
}

fn missing(acknowledged: &HashSet<(usize, u64)>, found: Result<HashSet<(usize, u64)>>) -> Value {
    match found {
        Ok(found) => json!({
            "acknowledged": acknowledged.len(),
            "lost": acknowledged.difference(&found).count(),
            // They were refused, or nobody heard of them again.
            "there_all_the_same": found.difference(acknowledged).count(),
        }),
        Err(error) => json!({ "acknowledged": acknowledged.len(), "error": format!("{error:#}") }),
    }
}

fn tell(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_was_acknowledged_and_is_not_there_is_lost() {
        let rows = |numbers: &[u64]| numbers.iter().map(|n| (0, *n)).collect::<HashSet<_>>();
        let told = missing(&rows(&[1, 2, 3]), Ok(rows(&[1, 3, 4, 5])));
        assert_eq!((told["lost"].as_u64(), told["there_all_the_same"].as_u64()), (Some(1), Some(2)));
        assert_eq!(missing(&rows(&[1]), Ok(rows(&[1])))["lost"], 0);
    }

    #[test]
    fn rows_that_cannot_be_looked_for_are_not_taken_for_there() {
        let told = missing(&HashSet::new(), Err(anyhow::anyhow!("nobody there")));
        assert!(told["lost"].is_null());
        assert_eq!(told["error"], "nobody there");
    }
}
