//! A client as a benchmark sees it: a program on the client's host that takes orders on stdin and tells on stdout.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// For an answer to an order; a request that is still under way may take a part of it.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) struct Client {
    child: Child,
    orders: ChildStdin,
    lines: Receiver<String>,
}

impl Client {
    /// It asks from now on.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the client")?;
        let (Some(orders), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the client has no pipes");
        };
        let (teller, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if teller.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, orders, lines })
    }

    /// Begins to count.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.order("begin")?;
        self.awaited("begun", PATIENCE)?.context("the client does not listen")
    }

    /// Waits until so many requests of each kind in a row were answered; says whether that was so before `patience` was over.
    pub(crate) fn steady(&mut self, count: u32, patience: Duration) -> Result<bool> {
        self.order(&format!("steady {count}"))?;
        Ok(self.awaited("steady", patience)?.is_some())
    }

    /// What it tells when it gets this order.
    pub(crate) fn told(&mut self, order: &str) -> Result<Value> {
        self.told_within(order, PATIENCE)
    }

    /// The same, if it may take longer.
    pub(crate) fn told_within(&mut self, order: &str, patience: Duration) -> Result<Value> {
        self.order(order)?;
        let patience = Instant::now() + patience;
        while let Some(line) = self.line(patience)? {
            // A word that came too late may be there still.
            if line.starts_with('{') {
                return serde_json::from_str(&line).context("the client speaks in riddles");
            }
        }
        bail!("the client does not tell what it saw")
    }

    fn order(&mut self, order: &str) -> Result<()> {
        self.orders.write_all(format!("{order}\n").as_bytes()).context("the client is gone")
    }

    /// Waits until the client says `word`, and skips what it says before.
    fn awaited(&mut self, word: &str, patience: Duration) -> Result<Option<()>> {
        let patience = Instant::now() + patience;
        while let Some(line) = self.line(patience)? {
            if line == word {
                return Ok(Some(()));
            }
        }
        Ok(None)
    }

    fn line(&self, patience: Instant) -> Result<Option<String>> {
        match self.lines.recv_timeout(patience.saturating_duration_since(Instant::now())) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the client is gone"),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
