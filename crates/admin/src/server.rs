//! The endpoints, and the loop that serves them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use axum::{Json, Router};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nines_control::status::{Phase, Wish};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::api::{DatabaseOrder, Events, Granted, Problem, Touched, VERSION, WishOrder};
use crate::client::ANSWER_BYTES;
use crate::metrics::Format;
use crate::{Gone, Source, metrics};

/// Connections at one time on each listener; more wait in the kernel.
const CONNECTIONS: usize = 64;
/// Longest wait for an event in one request.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// From a connection's start, or a request's end, to the end of the next head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const BODY_BYTES: usize = 64 * 1024;

/// Every endpoint: for the Unix socket, whose permissions say who may.
pub fn router<S: Source>(source: S) -> Router {
    finished(questions().route("/wish", post(wish::<S>)).route("/databases", post(database::<S>)), source)
}

/// The endpoints that change nothing: for a TCP address, where anybody may ask.
pub fn read_only<S: Source>(source: S) -> Router {
    finished(questions(), source)
}

fn questions<S: Source>() -> Router<S> {
    let one = Arc::new(Semaphore::new(1));
    let measured_one_at_a_time =
        move |State(source): State<S>, query: Result<Query<MeasuredQuery>, QueryRejection>| {
            measured(source, one.clone(), query)
        };
    Router::new()
        .route("/status", get(status::<S>))
        .route("/events", get(events::<S>))
        .route("/measured", get(measured_one_at_a_time))
        .route("/metrics", get(metrics::<S>))
        .route("/healthz", get(healthz::<S>))
}

/// With an answer to whatever is none of these endpoints, or asked in another way.
fn finished<S: Source>(endpoints: Router<S>, source: S) -> Router {
    endpoints
        .fallback(async || {
            let known = "ask for /status, /events, /measured, /metrics or /healthz";
            Refusal(StatusCode::NOT_FOUND, Problem::new(format!("nothing here; {known}")))
        })
        .method_not_allowed_fallback(async || {
            let known = "GET asks, and POST is for /wish and /databases";
            Refusal(StatusCode::METHOD_NOT_ALLOWED, Problem::new(format!("not with this method; {known}")))
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(source)
}

/// Serves until dropped, and drops its connections with it.
pub async fn serve(mut listener: impl Listener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        let (io, _) = listener.accept().await;
        let service = TowerToHyperService::new(router.clone());
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(io), service);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "admin connection");
            }
        });
    }
}

/// Every answer that is not 2xx, but that of `/healthz`.
struct Refusal(StatusCode, Problem);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl From<Gone> for Refusal {
    fn from(gone: Gone) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, Problem::new(gone.to_string()))
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self(rejection.status(), Problem::new(rejection.body_text()))
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), Problem::new(rejection.body_text()))
    }
}

async fn status<S: Source>(State(source): State<S>) -> Result<Response, Refusal> {
    Ok(Json(source.status().await?).into_response())
}

#[derive(Deserialize)]
struct EventsQuery {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    wait_ms: u64,
}

async fn events<S: Source>(
    State(source): State<S>,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Json<Events>, Refusal> {
    let Query(query) = query?;
    let wait = Duration::from_millis(query.wait_ms).min(WAIT_MAX);
    // Past the wait the answer is what there is: an empty list.
    let _ = tokio::time::timeout(wait, source.newer(query.after)).await;
    Ok(Json(Events { version: VERSION, events: source.events(query.after).await? }))
}

/// A month, where nobody says how much.
const MEASURED: u64 = 31 * 86_400;

#[derive(Deserialize)]
struct MeasuredQuery {
    seconds: Option<u64>,
}

/// One at a time on each listener: it may be large, and is held until it has been sent.
async fn measured<S: Source>(
    source: S,
    one: Arc<Semaphore>,
    query: Result<Query<MeasuredQuery>, QueryRejection>,
) -> Result<Response, Response> {
    let Query(query) = query.map_err(|error| Refusal::from(error).into_response())?;
    let Ok(turn) = one.try_acquire_owned() else {
        let why = Problem::new("somebody else is being told what was measured: ask again in a few seconds");
        let busy = Refusal(StatusCode::SERVICE_UNAVAILABLE, why);
        return Err(([(header::RETRY_AFTER, "5")], busy).into_response());
    };
    let body = source.measured(query.seconds.unwrap_or(MEASURED)).await;
    let body = body.map_err(|gone| Refusal::from(gone).into_response())?;
    if body.len() > ANSWER_BYTES {
        let why = format!(
            "{} MiB were measured in this time, and {} are told at once: ask for less, as `nines report --window 7d` does",
            body.len() >> 20,
            ANSWER_BYTES >> 20
        );
        return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, Problem::new(why)).into_response());
    }
    // Its turn ends when it has been sent, or its client has gone.
    let body = Full::new(Bytes::from(body)).map_frame(move |frame| {
        let _ = &turn;
        frame
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::new(body)).into_response())
}

async fn metrics<S: Source>(State(source): State<S>, headers: HeaderMap) -> Result<Response, Refusal> {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = match accepted.any(|types| types.contains("application/openmetrics-text")) {
        true => Format::OpenMetrics,
        false => Format::Text,
    };
    let page = metrics::page(source.status().await?, format);
    Ok(([(header::CONTENT_TYPE, format.content_type())], page).into_response())
}

async fn healthz<S: Source>(State(source): State<S>) -> Result<Response, Refusal> {
    let status = source.status().await?;
    Ok(match status.phase {
        Phase::Serving if status.wish != Wish::Ready => (StatusCode::SERVICE_UNAVAILABLE, "drained\n"),
        Phase::Serving => (StatusCode::OK, "serving\n"),
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
    .into_response())
}

async fn wish<S: Source>(
    State(source): State<S>,
    order: Result<Json<WishOrder>, JsonRejection>,
) -> Result<Json<Touched>, Refusal> {
    let Json(order) = order?;
    let touched = source.wish(order.target, order.wish).await?;
    let touched = touched.map_err(|problem| Refusal(StatusCode::NOT_FOUND, problem))?;
    Ok(Json(Touched { version: VERSION, touched }))
}

async fn database<S: Source>(
    State(source): State<S>,
    order: Result<Json<DatabaseOrder>, JsonRejection>,
) -> Result<Json<Granted>, Refusal> {
    let Json(order) = order?;
    let said = source.database(order).await?;
    let said = said.map_err(|problem| Refusal(StatusCode::CONFLICT, problem))?;
    Ok(Json(Granted { version: VERSION, said }))
}
