//! The operator's end of the Unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use nines_control::event::Event;
use nines_control::status::{Status, Wish};
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::api::{DatabaseOrder, DatabaseVerb, Events, Granted, Problem, Touched, WishOrder};

/// For an answer; long polls have their wait besides.
const TIMEOUT: Duration = Duration::from_secs(5);
pub(crate) const ANSWER_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no daemon answers on {}: {}{}", .0.display(), .1, advice(.1))]
    Connect(PathBuf, io::Error),
    #[error("the daemon at {} did not answer within {} s", .0.display(), .1.as_secs())]
    Timeout(PathBuf, Duration),
    #[error("the daemon at {} did not tell all that it measured within {} s: ask for less, as `nines report --window 7d` does", .0.display(), .1.as_secs())]
    TooLong(PathBuf, Duration),
    #[error("the daemon at {} went away before it answered", .0.display())]
    Gone(PathBuf),
    #[error("the daemon at {} has more to tell than the {} MiB that are taken at once: ask for less, as `nines report --window 30d` does", .0.display(), ANSWER_BYTES >> 20)]
    TooMuch(PathBuf),
    #[error("{}", .0.error)]
    Refused(Problem),
    #[error("the daemon at {} gave an answer that this program does not understand: {}", .0.display(), .1)]
    Answer(PathBuf, String),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (only its own user and group may ask it, and root)",
        io::ErrorKind::ConnectionRefused => " (it has died and left its socket behind: start it again)",
        _ => "",
    }
}

/// Asks one daemon, over a connection for each question.
#[derive(Debug, Clone)]
pub struct Client {
    path: PathBuf,
}

impl Client {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub async fn status(&self) -> Result<Status, ClientError> {
        self.ask(Method::GET, "/status", Bytes::new(), Duration::ZERO).await
    }

    /// The events after this sequence, at once if there are any; else those that come within `wait`.
    pub async fn events(&self, after: u64, wait: Duration) -> Result<Vec<Event>, ClientError> {
        let path = format!("/events?after={after}&wait_ms={}", wait.as_millis());
        let answer: Events = self.ask(Method::GET, &path, Bytes::new(), wait).await?;
        Ok(answer.events)
    }

    /// What was measured in the latest seconds, as whoever measures writes it. Much of it takes a while.
    pub async fn measured<T: DeserializeOwned>(&self, seconds: u64) -> Result<T, ClientError> {
        let path = format!("/measured?seconds={seconds}");
        self.ask(Method::GET, &path, Bytes::new(), Duration::from_secs(25)).await.map_err(|error| match error
        {
            ClientError::Timeout(path, patience) => ClientError::TooLong(path, patience),
            other => other,
        })
    }

    /// Names the members that the wish touched.
    pub async fn wish(&self, target: &str, wish: Wish) -> Result<Vec<String>, ClientError> {
        let order = serde_json::to_vec(&WishOrder { target: target.to_owned(), wish })
            .map_err(|error| self.misunderstood(&error))?;
        let answer: Touched = self.ask(Method::POST, "/wish", order.into(), Duration::ZERO).await?;
        Ok(answer.touched)
    }

    /// Says what follows from the order.
    pub async fn database(&self, database: &str, verb: DatabaseVerb) -> Result<String, ClientError> {
        let order = DatabaseOrder { database: database.to_owned(), verb };
        let order = serde_json::to_vec(&order).map_err(|error| self.misunderstood(&error))?;
        let answer: Granted = self.ask(Method::POST, "/databases", order.into(), Duration::ZERO).await?;
        Ok(answer.said)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        wait: Duration,
    ) -> Result<T, ClientError> {
        let patience = TIMEOUT + wait;
        let (status, body) = tokio::time::timeout(patience, self.exchange(method, path, body))
            .await
            .map_err(|_| ClientError::Timeout(self.path.clone(), patience))??;
        if status.is_success() {
            serde_json::from_slice(&body).map_err(|error| self.misunderstood(&error))
        } else {
            let problem = serde_json::from_slice(&body)
                .map_err(|_| self.misunderstood(&format!("{status}: {}", String::from_utf8_lossy(&body))))?;
            Err(ClientError::Refused(problem))
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = UnixStream::connect(&self.path)
            .await
            .map_err(|error| ClientError::Connect(self.path.clone(), error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.misunderstood(&error))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "nines")
            .header("connection", "close")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| self.misunderstood(&error))?;
        let asked = async {
            let reply = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
            let status = reply.status();
            let body = Limited::new(reply.into_body(), ANSWER_BYTES).collect().await.map_err(|error| {
                match error.is::<LengthLimitError>() {
                    true => ClientError::TooMuch(self.path.clone()),
                    false => self.misunderstood(&error),
                }
            })?;
            Ok((status, body.to_bytes()))
        };
        // The connection has to be driven while its answer is read; both end together.
        let (answer, _) = tokio::join!(asked, connection);
        answer
    }

    fn broken(&self, error: &hyper::Error) -> ClientError {
        if error.is_parse() { self.misunderstood(error) } else { ClientError::Gone(self.path.clone()) }
    }

    fn misunderstood(&self, why: &impl ToString) -> ClientError {
        ClientError::Answer(self.path.clone(), why.to_string())
    }
}
