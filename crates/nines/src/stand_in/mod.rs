//! A small application server that takes the place of a real one in rehearsals: it says who it is, can be told to be
//! slow or to fail, and ends as gently as a good server does.

mod app;
mod content;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::terminal::tell;
pub(crate) use app::App;

/// How long requests in flight may take after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

/// A short wait after an accept that failed, for want of descriptors say, so as not to spin.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(10);

/// Serves until SIGTERM or SIGINT; then finishes what is in flight, closes idle connections, and returns.
pub(crate) async fn serve(address: SocketAddr, app: App) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    tell(format_args!("{} stands in at {}", app.name(), listener.local_addr()?));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Whoever holds a `work` has something in flight; when all are gone, `done` ends.
    let (work, mut done) = mpsc::channel::<()>(1);
    let (stop, stopping) = watch::channel(false);
    let server = Server { app: Arc::new(app), stopping, work };
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => server.start(stream),
                Err(_) => tokio::time::sleep(AFTER_FAILED_ACCEPT).await,
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    // Connections that the kernel has accepted already would be reset with the listener.
    while let Some(Ok((stream, _))) = accept_waiting(&listener).await {
        server.start(stream);
    }
    drop(listener);
    stop.send_replace(true);
    drop(server);
    // Past the grace period the rest is cut, as a real server would be by its supervisor.
    let _ = tokio::time::timeout(GRACE, done.recv()).await;
    Ok(())
}

/// `None` if no connection waits.
async fn accept_waiting(listener: &TcpListener) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    poll_fn(|context| match listener.poll_accept(context) {
        Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

struct Server {
    app: Arc<App>,
    stopping: watch::Receiver<bool>,
    work: mpsc::Sender<()>,
}

impl Server {
    fn start(&self, stream: TcpStream) {
        let (app, mut stopping, work) = (Arc::clone(&self.app), self.stopping.clone(), self.work.clone());
        // Only delays small answers if it fails.
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let (app, work) = (Arc::clone(&app), work.clone());
                async move { app.answer(request, work).await }
            });
            let mut connection =
                pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
            // A connection that breaks is its client's affair: nobody is left to tell.
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = stopping.wait_for(|&stopping| stopping) => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        });
    }
}
