//! Probes on the wire: does this member answer, and as wanted? What follows from the answer is for `control` to decide.

mod command;
mod gate;
mod http;

use std::io;
use std::time::{Duration, Instant};

use nines_control::pools::{ProbeOrder, Probed};
use nines_system::Probe;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a connection may linger after its probe, for the member to end it too.
const PARTING: Duration = Duration::from_secs(1);
/// Bytes not wanted that are read meanwhile, so that the kernel need not answer them with a reset.
const PARTING_BYTES: u64 = 256 * 1024;

/// Sends probes. Clones share the connections that are kept open to gates.
#[derive(Debug, Clone, Default)]
pub struct Prober {
    gates: gate::Lines,
}

impl Prober {
    /// Sends one probe and waits for its outcome, for at most the order's timeout.
    ///
    /// Runs in a tokio runtime with I/O and time. Dropping the future ends the probe, a command's processes included.
    pub async fn probe(&self, order: &ProbeOrder) -> Probed {
        let start = Instant::now();
        let attempt = async {
            let outcome = match &order.probe {
                Probe::Tcp => tcp(order).await,
                Probe::Http(probe) => http::probe(order, probe).await,
                Probe::Command(words) => command::probe(order, words).await,
                Probe::Gate(_) => match self.gates.probe(order).await {
                    Ok((standing, took)) => return Probed::of_gate(standing, took),
                    Err(why) => Err(why),
                },
                // Never ordered; traffic alone judges such a member.
                Probe::None => Ok("not checked".into()),
            };
            Probed::new(outcome, start.elapsed())
        };
        match tokio::time::timeout(order.timeout, attempt).await {
            Ok(probed) => probed,
            Err(_) => Probed::new(Err(format!("no answer in {}", spoken(order.timeout))), start.elapsed()),
        }
    }
}

async fn tcp(order: &ProbeOrder) -> Result<String, String> {
    let stream = connect(order).await?;
    part(stream);
    Ok("connected".into())
}

async fn connect(order: &ProbeOrder) -> Result<TcpStream, String> {
    TcpStream::connect(order.target).await.map_err(|error| why(&error))
}

/// Ends a connection in good order, in the background: a reset would look like a fault to whoever watches the member.
fn part(mut stream: TcpStream) {
    tokio::spawn(tokio::time::timeout(PARTING, async move {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(PARTING_BYTES), &mut tokio::io::sink()).await
    }));
}

/// An error in the words of the check's result.
fn why(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// `500 ms`, `1.5 s`.
fn spoken(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{} s", (duration.as_secs_f64() * 10.0).round() / 10.0)
    }
}
