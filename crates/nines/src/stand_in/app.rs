//! What the stand-in answers.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, InvalidHeaderValue, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;

use super::content::Content;

const STAND_IN: HeaderName = HeaderName::from_static("stand-in");

/// The longest body that it makes up, and the longest that it waits: more would be a mistake in a test.
const MOST_BYTES: u64 = 1 << 32;
const LONGEST_DELAY_MS: u64 = 600_000;

type Reply = Response<Content>;

pub(crate) struct App {
    name: HeaderValue,
    greeting: String,
    body_bytes: Option<u64>,
    behaviour: Behaviour,
}

/// How it has been told to behave; 0 is as usual. Health is apart, as a server can fail at its work and look healthy.
#[derive(Default)]
struct Behaviour {
    delay_ms: AtomicU64,
    fail: AtomicU16,
    health: AtomicU16,
}

impl App {
    pub(crate) fn new(name: &str, body_bytes: Option<u64>) -> Result<Self, InvalidHeaderValue> {
        Ok(Self {
            name: HeaderValue::from_str(name)?,
            greeting: format!("{name}\n"),
            body_bytes,
            behaviour: Behaviour::default(),
        })
    }

    pub(super) fn name(&self) -> &str {
        self.greeting.trim_end()
    }

    /// Whoever is still at work, beyond the reply, holds on to `work`.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        work: mpsc::Sender<()>,
    ) -> Result<Reply, Infallible> {
        let mut reply = match request.uri().path() {
            "/_behave" => self.behave(&request),
            "/healthz" => status(self.behaviour.health()),
            _ => self.work(request, work).await,
        }
        .unwrap_or_else(|mistake| text(StatusCode::BAD_REQUEST, mistake));
        reply.headers_mut().insert(STAND_IN, self.name.clone());
        Ok(reply)
    }

    fn behave(&self, request: &Request<Incoming>) -> Result<Reply, String> {
        if request.method() != Method::GET {
            let query = Query::of(request, &["delay_ms", "fail", "health"])?;
            let (delay, fail, health) =
                (query.delay("delay_ms")?, query.status("fail")?, query.status("health")?);
            self.behaviour.delay_ms.store(delay.unwrap_or(0), Ordering::Relaxed);
            self.behaviour.fail.store(fail.map_or(0, |status| status.as_u16()), Ordering::Relaxed);
            self.behaviour.health.store(health.map_or(0, |status| status.as_u16()), Ordering::Relaxed);
        }
        let [fail, health] =
            [&self.behaviour.fail, &self.behaviour.health].map(|status| status.load(Ordering::Relaxed));
        let delay_ms = self.behaviour.delay_ms.load(Ordering::Relaxed);
        let json = format!("{{\"delay_ms\":{delay_ms},\"fail\":{fail},\"health\":{health}}}\n");
        let mut reply = text(StatusCode::OK, json);
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(reply)
    }

    async fn work(&self, request: Request<Incoming>, work: mpsc::Sender<()>) -> Result<Reply, String> {
        wait(self.behaviour.delay_ms.load(Ordering::Relaxed)).await;
        let ordered = self.behaviour.fail();
        if ordered != StatusCode::OK {
            return status(ordered);
        }
        if request
            .headers()
            .get(UPGRADE)
            .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"echo"))
        {
            return Ok(upgrade(request, work));
        }
        match request.uri().path() {
            "/slow" => {
                wait(Query::of(&request, &["ms"])?.delay("ms")?.unwrap_or(200)).await;
                Ok(text(StatusCode::OK, self.greeting.clone()))
            }
            "/fail" => {
                let asked = Query::of(&request, &["status"])?.status("status")?;
                status(asked.unwrap_or(StatusCode::SERVICE_UNAVAILABLE))
            }
            "/bytes" => {
                let asked = Query::of(&request, &["n"])?.number("n", MOST_BYTES)?;
                Ok(Response::new(Content::Filler { left: asked.unwrap_or(1 << 20) }))
            }
            _ if request.method() == Method::POST || request.method() == Method::PUT => Ok(echo(request)),
            _ => match self.body_bytes {
                Some(left) => Ok(Response::new(Content::Filler { left })),
                None => Ok(text(StatusCode::OK, self.greeting.clone())),
            },
        }
    }
}

impl Behaviour {
    fn fail(&self) -> StatusCode {
        or_ok(self.fail.load(Ordering::Relaxed))
    }

    fn health(&self) -> StatusCode {
        or_ok(self.health.load(Ordering::Relaxed))
    }
}

fn or_ok(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::OK)
}

async fn wait(milliseconds: u64) {
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Content::Text(text.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    reply
}

fn status(status: StatusCode) -> Result<Reply, String> {
    Ok(text(
        status,
        if status == StatusCode::OK { "ok\n".to_owned() } else { format!("told to say {status}\n") },
    ))
}

fn echo(request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let mut reply = Response::new(Content::Echo(body));
    if let Some(kind) = head.headers.get(CONTENT_TYPE) {
        reply.headers_mut().insert(CONTENT_TYPE, kind.clone());
    }
    reply
}

/// 101, and from then on every byte comes back until the client has said its last.
fn upgrade(request: Request<Incoming>, work: mpsc::Sender<()>) -> Reply {
    tokio::spawn(async move {
        let _work = work;
        // If either fails, the client has gone, and nobody is left to tell.
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut write).await;
        }
    });
    let mut reply = Response::new(Content::Text(Bytes::new()));
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    reply.headers_mut().insert(UPGRADE, HeaderValue::from_static("echo"));
    reply
}

/// `key=value` pairs, of which only known ones are let through, so that a slip of the pen is noticed.
struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    fn of(request: &'a Request<Incoming>, known: &[&str]) -> Result<Self, String> {
        let query = request.uri().query().unwrap_or_default();
        let pairs = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let pairs: Vec<_> = pairs.collect();
        match pairs.iter().find(|(key, _)| !known.contains(key)) {
            Some((key, _)) => Err(format!("`{key}` is not known here; what is: {}\n", known.join(", "))),
            None => Ok(Self(pairs)),
        }
    }

    fn number(&self, key: &str, most: u64) -> Result<Option<u64>, String> {
        let Some((_, value)) = self.0.iter().find(|(other, _)| *other == key) else { return Ok(None) };
        match value.parse() {
            Ok(number) if number <= most => Ok(Some(number)),
            _ => Err(format!("`{key}` must be a number up to {most}, not `{value}`\n")),
        }
    }

    fn delay(&self, key: &str) -> Result<Option<u64>, String> {
        self.number(key, LONGEST_DELAY_MS)
    }

    /// A final status: 200 to 599.
    fn status(&self, key: &str) -> Result<Option<StatusCode>, String> {
        let Some(number) = self.number(key, 599)? else { return Ok(None) };
        let status = u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok());
        match status.filter(|status| !status.is_informational()) {
            Some(status) => Ok(Some(status)),
            None => Err(format!("`{key}` must be a status from 200 to 599, not {number}\n")),
        }
    }
}
