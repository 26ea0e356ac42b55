//! Where the admin API brings its questions: each is answered by the loop that owns everything, one at a time.

use nines_admin::api::{DatabaseOrder, Problem};
use nines_admin::{Gone, Source};
use nines_control::event::Event;
use nines_control::pools::UnknownTarget;
use nines_control::status::{Status, Wish};
use tokio::sync::{mpsc, oneshot, watch};

/// Questions that may wait; whoever asks more is held up, not the loop.
const WAITING: usize = 64;

/// A question, and where its answer goes.
pub(crate) enum Ask {
    Status(oneshot::Sender<Status>),
    Events {
        after: u64,
        reply: oneshot::Sender<Vec<Event>>,
    },
    Database {
        order: DatabaseOrder,
        reply: oneshot::Sender<Result<String, Problem>>,
    },
    /// What was measured in the latest seconds, as JSON.
    Measured {
        seconds: u64,
        reply: oneshot::Sender<String>,
    },
    Wish {
        target: String,
        wish: Wish,
        reply: oneshot::Sender<Result<Vec<String>, UnknownTarget>>,
    },
}

#[derive(Clone)]
pub(crate) struct Desk {
    asks: mpsc::Sender<Ask>,
    latest: watch::Receiver<u64>,
}

impl Desk {
    /// `latest`: the sequence of the latest event.
    pub(crate) fn new(latest: watch::Receiver<u64>) -> (Self, mpsc::Receiver<Ask>) {
        let (asks, asked) = mpsc::channel(WAITING);
        (Self { asks, latest }, asked)
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}

impl Source for Desk {
    async fn status(&self) -> Result<Status, Gone> {
        self.ask(Ask::Status).await
    }

    async fn events(&self, after: u64) -> Result<Vec<Event>, Gone> {
        self.ask(|reply| Ask::Events { after, reply }).await
    }

    async fn newer(&self, after: u64) {
        // An error says that the daemon ends; then there is nothing to wait for either.
        let _ = self.latest.clone().wait_for(|&latest| latest > after).await;
    }

    async fn measured(&self, seconds: u64) -> Result<String, Gone> {
        self.ask(|reply| Ask::Measured { seconds, reply }).await
    }

    async fn database(&self, order: DatabaseOrder) -> Result<Result<String, Problem>, Gone> {
        self.ask(|reply| Ask::Database { order, reply }).await
    }

    async fn wish(&self, target: String, wish: Wish) -> Result<Result<Vec<String>, Problem>, Gone> {
        let answer = self.ask(|reply| Ask::Wish { target, wish, reply }).await?;
        Ok(answer.map_err(|unknown| {
            let problem = Problem::new(unknown.to_string());
            Problem { known: unknown.known, ..problem }
        }))
    }
}
