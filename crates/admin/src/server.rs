//! The endpoints, and the loop that serves them.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use axum::{Json, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nines_control::status::Phase;
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::api::{Events, Problem, Touched, VERSION, WishOrder};
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
    endpoints::<S>()
        .route("/wish", post(wish::<S>))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(source)
}

/// The endpoints that change nothing: for a TCP address, where anybody may ask.
pub fn read_only<S: Source>(source: S) -> Router {
    endpoints::<S>().layer(DefaultBodyLimit::max(BODY_BYTES)).with_state(source)
}

fn endpoints<S: Source>() -> Router<S> {
    Router::new()
        .route("/status", get(status::<S>))
        .route("/events", get(events::<S>))
        .route("/metrics", get(metrics::<S>))
        .route("/healthz", get(healthz::<S>))
        .fallback(async || {
            let known = "ask for /status, /events, /metrics or /healthz";
            (StatusCode::NOT_FOUND, Json(Problem::new(format!("nothing here; {known}"))))
        })
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

impl IntoResponse for Gone {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Problem::new(self.to_string()))).into_response()
    }
}

async fn status<S: Source>(State(source): State<S>) -> Result<Response, Gone> {
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
    Query(query): Query<EventsQuery>,
) -> Result<Json<Events>, Gone> {
    let wait = Duration::from_millis(query.wait_ms).min(WAIT_MAX);
    // Past the wait the answer is what there is: an empty list.
    let _ = tokio::time::timeout(wait, source.newer(query.after)).await;
    Ok(Json(Events { version: VERSION, events: source.events(query.after).await? }))
}

async fn metrics<S: Source>(State(source): State<S>) -> Result<Response, Gone> {
    let text = metrics::text(source.status().await?);
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

async fn healthz<S: Source>(State(source): State<S>) -> Result<Response, Gone> {
    Ok(match source.status().await?.phase {
        Phase::Serving => (StatusCode::OK, "serving\n"),
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
    .into_response())
}

async fn wish<S: Source>(State(source): State<S>, Json(order): Json<WishOrder>) -> Result<Response, Gone> {
    Ok(match source.wish(order.target, order.wish).await? {
        Ok(touched) => Json(Touched { version: VERSION, touched }).into_response(),
        Err(problem) => (StatusCode::NOT_FOUND, Json(problem)).into_response(),
    })
}
