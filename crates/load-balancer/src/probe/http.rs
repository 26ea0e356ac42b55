//! The HTTP probe: one GET on a connection of its own. The reply is read as strictly as one that is to be forwarded,
//! so a member whose replies the data plane would refuse does not pass.

use std::io;

use nines_control::pools::ProbeOrder;
use nines_system::HttpProbe;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{connect, part, why};
use crate::http1::{Asked, ChunkedScanner, Framing, Limits, Method, ResponseHead};

const LIMITS: Limits = Limits { head_bytes: 32 * 1024, headers: 100 };
const ASKED: Asked = Asked { method: Method::Get, upgrade: false };
/// How far into the body the wanted text is looked for.
const BODY_BYTES: usize = 64 * 1024;
/// Bytes received for one probe, interim replies and the framing of chunks included.
const RECEIVED_BYTES: usize = 256 * 1024;

pub(super) async fn probe(order: &ProbeOrder, probe: &HttpProbe) -> Result<String, String> {
    let stream = connect(order).await?;
    let mut reply = Reply { stream, ended: false, bytes: Vec::new(), received: 0 };
    let outcome = ask(&mut reply, order, probe).await;
    if !reply.ended {
        part(reply.stream);
    }
    outcome
}

async fn ask(reply: &mut Reply, order: &ProbeOrder, probe: &HttpProbe) -> Result<String, String> {
    let path = &probe.path;
    let host = probe.host.as_deref().unwrap_or(&order.member);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: nines-check\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    reply.stream.write_all(request.as_bytes()).await.map_err(|error| why(&error))?;
    let (status, framing) = reply.head().await?;
    if !probe.status.iter().any(|&(first, last)| (first..=last).contains(&status)) {
        return Err(format!("HTTP {status}, wanted {}", wanted(&probe.status)));
    }
    if let Some(text) = &probe.body {
        reply.find(text, framing).await?;
    }
    Ok(format!("HTTP {status}"))
}

/// `200–399`, `200 or 301–308`.
fn wanted(ranges: &[(u16, u16)]) -> String {
    let text = |&(first, last)| if first == last { format!("{first}") } else { format!("{first}–{last}") };
    ranges.iter().map(text).collect::<Vec<_>>().join(" or ")
}

/// A reply as it comes in.
struct Reply {
    stream: TcpStream,
    ended: bool,
    /// Received and not yet used.
    bytes: Vec<u8>,
    received: usize,
}

impl Reply {
    /// Receives more; `false` at the end of the stream.
    async fn receive(&mut self) -> Result<bool, String> {
        if self.received >= RECEIVED_BYTES {
            return Err(format!("no end of the reply within {} KiB", RECEIVED_BYTES / 1024));
        }
        self.bytes.reserve(4096);
        let result: io::Result<usize> = self.stream.read_buf(&mut self.bytes).await;
        self.ended = !matches!(result, Ok(1..));
        self.received += result.map_err(|error| why(&error))?;
        Ok(!self.ended)
    }

    /// Status and framing of the final reply; interim ones are passed over.
    async fn head(&mut self) -> Result<(u16, Framing), String> {
        let mut head = ResponseHead::new();
        loop {
            let complete = head
                .parse(&self.bytes, ASKED, &LIMITS)
                .map_err(|error| format!("no proper HTTP reply: {error}"))?;
            if complete {
                self.bytes.drain(..head.len());
                if !head.is_interim() {
                    return Ok((head.status(), head.framing()));
                }
            } else if !self.receive().await? {
                return Err(match self.received {
                    0 => "connection closed without a reply".into(),
                    _ => "connection closed within the reply's head".into(),
                });
            }
        }
    }

    /// Looks for `text` in the body as it arrives.
    async fn find(&mut self, text: &str, framing: Framing) -> Result<(), String> {
        let mut body = Body { framing, chunks: ChunkedScanner::new(&LIMITS), seen: Vec::new() };
        loop {
            let searched = body.seen.len().saturating_sub(text.len());
            let complete = body.take(&self.bytes)?;
            self.bytes.clear();
            if contains(&body.seen[searched..], text.as_bytes()) {
                return Ok(());
            }
            if body.seen.len() == BODY_BYTES {
                return Err(format!("body lacks {text:?} in its first {} KiB", BODY_BYTES / 1024));
            }
            if complete || (!self.receive().await? && framing == Framing::UntilClose) {
                return Err(format!("body lacks {text:?}"));
            }
            if self.ended {
                return Err("connection closed within the body".into());
            }
        }
    }
}

/// What has been seen of a body, its first [`BODY_BYTES`].
struct Body {
    framing: Framing,
    chunks: ChunkedScanner,
    seen: Vec<u8>,
}

impl Body {
    /// Takes in what has been received; whether the body is complete.
    fn take(&mut self, bytes: &[u8]) -> Result<bool, String> {
        let seen = &mut self.seen;
        let mut see = |payload: &[u8]| {
            let room = BODY_BYTES - seen.len();
            seen.extend_from_slice(&payload[..payload.len().min(room)]);
        };
        match &mut self.framing {
            Framing::None => Ok(true),
            Framing::UntilClose => {
                see(bytes);
                Ok(false)
            }
            Framing::Length(left) => {
                let here = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                see(&bytes[..here]);
                *left -= here as u64;
                Ok(*left == 0)
            }
            Framing::Chunked => match self.chunks.advance_with(bytes, see) {
                Ok(progress) => Ok(progress.done),
                Err(error) => Err(format!("no proper body: {error}")),
            },
        }
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    text.is_empty() || bytes.windows(text.len()).any(|window| window == text)
}
