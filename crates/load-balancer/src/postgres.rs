//! As little of PostgreSQL's protocol as it takes to tell a client that nobody serves, and to see that a gate said so.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::kit::Kit;
use crate::socket::{self, send_all};
use crate::window::Window;

/// For the client's first words, which have mostly been said already.
const PATIENCE: Duration = Duration::from_secs(2);
/// PostgreSQL itself takes no longer ones.
const LONGEST: usize = 10_000;
/// Requests for encryption, of which there are two kinds. Each is answered with one byte.
pub(crate) const ENCRYPTIONS: usize = 2;

const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// `cannot_connect_now`: clients that know several hosts, or are patient, try again.
const CODE: &str = "57P03";
const WORDS: &str = "no server of this database can take the connection now";

/// What a client wants first.
#[derive(Debug, PartialEq, Eq)]
enum Wants {
    Encryption,
    Session,
    /// Something else, which has no answer that it would understand.
    Other,
}

/// The first packet and its length; `None`: more must come.
fn first(bytes: &[u8]) -> Option<(Wants, usize)> {
    let word = |at: usize| bytes.get(at..at + 4)?.first_chunk::<4>().map(|word| u32::from_be_bytes(*word));
    let length = usize::try_from(word(0)?).unwrap_or(usize::MAX);
    if !(8..=LONGEST).contains(&length) {
        return Some((Wants::Other, bytes.len()));
    }
    let code = word(4)?;
    if bytes.len() < length {
        return None;
    }
    let wants = match code {
        TLS | GSS if length == 8 => Wants::Encryption,
        CANCEL => Wants::Other,
        code if code >> 16 == 3 => Wants::Session,
        _ => Wants::Other,
    };
    Some((wants, length))
}

/// Tells the client that nobody can serve it now, after it has said what it wants. `false`: it could not be told.
pub(crate) async fn refuse(kit: &Kit, client: &TcpStream, ahead: Option<Window>) -> bool {
    let end = Instant::now() + PATIENCE;
    let telling = Box::pin(tell(kit, client, ahead));
    kit.timers.timeout(|| end, telling).await.is_ok_and(|told| told.is_some())
}

/// The same for a client that has said what it wants, and has not been answered: an error is an answer to anything.
pub(crate) fn refuse_at_once(client: &TcpStream) {
    // What does not fit into an empty socket has a client that is gone.
    let _ = socket::send(client, &error());
}

async fn tell(kit: &Kit, client: &TcpStream, ahead: Option<Window>) -> Option<()> {
    let mut window = ahead.unwrap_or_else(|| Window::new(&kit.buffers));
    for _ in 0..=ENCRYPTIONS {
        let (wants, length) = loop {
            match first(window.bytes()) {
                Some(found) => break found,
                None => window.fill(client).await.ok()?,
            }
        };
        window.consume(length);
        match wants {
            Wants::Encryption => send(client, b"N").await?,
            Wants::Session => return send(client, &error()).await,
            Wants::Other => return None,
        }
    }
    None
}

async fn send(client: &TcpStream, bytes: &[u8]) -> Option<()> {
    send_all(client, bytes, &std::cell::Cell::new(0)).await.ok()
}

/// An ErrorResponse.
fn error() -> Vec<u8> {
    let fields = format!("SFATAL\0VFATAL\0C{CODE}\0M{WORDS}\0\0");
    let mut bytes = vec![b'E'];
    bytes.extend(u32::try_from(fields.len() + 4).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(fields.as_bytes());
    bytes
}

/// Whether these are the first bytes of a member that does not let a client in just now.
fn turns_away(bytes: &[u8]) -> bool {
    let code = [b"C", CODE.as_bytes(), b"\0"].concat();
    bytes.first() == Some(&b'E') && bytes.windows(code.len()).any(|window| window == code)
}

/// Runs `relay`, and calls `turned_away` if the member's first words are that it does not serve now.
pub(crate) async fn watched<T>(
    member: &TcpStream,
    mut relay: Pin<&mut impl Future<Output = T>>,
    turned_away: impl FnOnce(),
) -> T {
    let mut turned_away = Some(turned_away);
    poll_fn(|context| {
        // Before the relay takes them. Both wait for the same socket in the same task, so either is woken.
        if turned_away.is_some() {
            let mut bytes = [std::mem::MaybeUninit::uninit(); 128];
            let mut bytes = tokio::io::ReadBuf::uninit(&mut bytes);
            if let Poll::Ready(peeked) = member.poll_peek(context, &mut bytes)
                // No encryption: the client goes on without.
                && !(peeked.is_ok() && bytes.filled() == b"N")
                && let Some(turned_away) = turned_away.take()
                && turns_away(bytes.filled())
            {
                turned_away();
            }
        }
        relay.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: u32, rest: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(rest.len() + 8).unwrap_or(0).to_be_bytes().to_vec();
        bytes.extend(code.to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn a_first_packet_is_understood_once_it_is_whole() {
        let startup = packet(3 << 16, b"user\0me\0\0");
        for end in 0..startup.len() {
            assert_eq!(first(&startup[..end]), None, "{end} bytes");
        }
        assert_eq!(first(&startup), Some((Wants::Session, startup.len())));
        let both = [packet(TLS, b""), startup].concat();
        assert_eq!(first(&both), Some((Wants::Encryption, 8)));
    }

    #[test]
    fn what_is_no_first_packet_has_no_answer() {
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], &[0, 0, 0, 0], &[0xff; 8], &packet(CANCEL, &[0; 8])] {
            assert_eq!(first(bytes).map(|(wants, _)| wants), Some(Wants::Other), "{bytes:?}");
        }
    }

    #[test]
    fn its_own_refusal_is_one() {
        assert!(turns_away(&error()));
        assert!(!turns_away(b"R\0\0\0\x08C57P03\0"));
        assert!(!turns_away(b""));
    }
}
