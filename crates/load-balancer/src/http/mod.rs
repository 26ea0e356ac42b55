//! HTTP/1 on a client's socket: requests are read one after the other and answered in order.
//!
//! What is done with a request is [`crate::forward`]'s matter, and does not depend on how it was read. Between requests
//! a connection holds no buffer and no more memory than its addresses and a timer.

mod answer;
mod delivery;
mod exchange;
mod log;
mod refuse;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nines_system::HttpListener;
use tokio::net::TcpStream;

use self::answer::Next;
use self::exchange::{Client, Exchange};
use self::refuse::Unread;
use crate::front::Front;
use crate::http1::{ClientText, RequestHead};
use crate::kit::Kit;
use crate::listening::Served;
use crate::proxy;
use crate::timer::Elapsed;
use crate::window::Window;

/// After a refusal, so long (and so many bytes) the rest of what the client says is read and thrown away, lest a
/// reset destroy the refusal on its way.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

pub(crate) async fn serve(served: Served, stream: TcpStream, peer: SocketAddr) {
    let Some((client, mut ahead, mut patience)) = Box::pin(greet(&served, stream, peer)).await else {
        return;
    };
    loop {
        let window = match ahead.take() {
            Some(window) => window,
            None => match is_asked(&served, &client.stream, patience).await {
                Some(window) => window,
                None => return,
            },
        };
        // Boxed, so that a connection that waits is small.
        match Box::pin(exchanges(&served, &client, window)).await {
            Next::Idle => {}
            Next::Close => return,
            Next::Linger => return Box::pin(linger(&served.kit, &client.stream)).await,
        }
        let front = served.listening.front();
        let Some(http) = front.http() else { return };
        patience = http.timeouts.idle;
    }
}

/// Finds out who the client is, and how long its first request may take to begin.
async fn greet(
    served: &Served,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<(Client, Option<Window>, Duration)> {
    let front = served.listening.front();
    let patience = front.http()?.timeouts.head;
    let accepted = proxy::accept(&served.kit, &front, &stream, peer, patience).await?;
    let client = Client { stream, address: accepted.client, text: ClientText::new(accepted.client.ip()) };
    Some((client, accepted.window, patience))
}

/// Waits for the first bytes of a request. `None`: they did not come in time, the client has gone, or it is retired.
async fn is_asked(served: &Served, stream: &TcpStream, patience: Duration) -> Option<Window> {
    let kit = &*served.kit;
    let mut readable = poll_fn(|cx| stream.poll_read_ready(cx));
    // Most often it is there, or soon; then no clock is read.
    let since = Cell::new(None);
    let deadline = || {
        let since = since.get().unwrap_or_else(|| {
            let now = Instant::now();
            since.set(Some(now));
            now
        });
        let retired = served.retired_until(since);
        retired.map_or(since + patience, |retired| retired.min(since + patience))
    };
    while let Ok(Ok(())) = kit.timers.timeout(&deadline, &mut readable).await {
        let mut window = Window::new(&kit.buffers);
        match window.receive(stream, u64::MAX) {
            Ok(n) if n > 0 => return Some(window),
            // A new socket counts as readable until the first look.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return None,
        }
    }
    None
}

/// Answers requests until none is in hand.
async fn exchanges(served: &Served, client: &Client, mut window: Window) -> Next {
    let kit = &*served.kit;
    let mut desk = kit.desk();
    loop {
        let front = served.listening.front();
        let Some(http) = front.http() else { return Next::Close };
        let next = match read_head(kit, http, &client.stream, &mut window, &mut desk.head).await {
            Ok(true) => Exchange::new(served, &front, http, client).run(&mut window, &mut desk).await,
            Ok(false) => Next::Close,
            Err(unread) => {
                refuse::unread(kit, &front, unread, client, &mut desk.reply).await;
                Next::Linger
            }
        };
        if !matches!(next, Next::Idle) || window.is_empty() {
            kit.keep_desk(desk);
            return next;
        }
    }
}

/// Reads until a head is complete. `false`: the client has gone, or has nothing more to say.
async fn read_head(
    kit: &Kit,
    http: &HttpListener,
    from: &TcpStream,
    window: &mut Window,
    head: &mut RequestHead,
) -> Result<bool, Unread> {
    let limits = Front::limits(http);
    let since = Cell::new(None);
    let deadline = || {
        let now = || {
            let now = Instant::now();
            since.set(Some(now));
            now
        };
        since.get().unwrap_or_else(now) + http.timeouts.head
    };
    loop {
        if !window.is_empty() && head.parse(window.bytes(), &limits).map_err(Unread::Rejected)? {
            return Ok(true);
        }
        if since.get().is_none() && !window.is_empty() {
            since.set(Some(Instant::now()));
        }
        let fill = poll_fn(|cx| window.poll_fill(from, cx));
        match kit.timers.timeout(deadline, fill).await {
            Ok(Ok(n)) if n > 0 => {}
            Ok(_) => return Ok(false),
            Err(Elapsed) => return Err(Unread::TooSlow),
        }
    }
}

/// Sends no more, and reads until the client has closed as well.
async fn linger(kit: &Kit, stream: &TcpStream) {
    if rustix::net::shutdown(stream, rustix::net::Shutdown::Write).is_err() {
        return;
    }
    let deadline = Instant::now() + LINGER;
    let mut window = Window::new(&kit.buffers);
    let mut left = LINGER_BYTES;
    while left > 0 {
        window.consume(window.len());
        let fill = poll_fn(|cx| window.poll_fill(stream, cx));
        match kit.timers.timeout(|| deadline, fill).await {
            Ok(Ok(n)) if n > 0 => left = left.saturating_sub(n),
            _ => return,
        }
    }
}
