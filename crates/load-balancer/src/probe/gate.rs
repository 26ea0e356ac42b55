//! Asks a database's gate whom it serves, over a connection that stays: the answer comes when there is another one, so that
//! who is the primary is known here as soon as it is there.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nines_control::gate::{self, Ask, Standing};
use nines_control::pools::ProbeOrder;
use nines_control::view::MemberKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{connect, why};

/// An answer is short.
const BUFFER: usize = 4096;
/// Of connections that nobody asks over any more, since their member is gone.
const UNUSED: Duration = Duration::from_secs(60);

/// The connections to gates, one for each member, while no question is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(Arc<Mutex<BTreeMap<MemberKey, Line>>>);

#[derive(Debug)]
struct Line {
    stream: TcpStream,
    to: SocketAddr,
    used: Instant,
}

/// How a question ended without an answer.
enum Unanswered {
    /// The gate ended the connection.
    Ended(io::Error),
    Nonsense,
}

impl Unanswered {
    fn why(&self) -> String {
        match self {
            Self::Ended(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                "connection closed".to_owned()
            }
            Self::Ended(error) => why(error),
            Self::Nonsense => "it is no gate of nines".to_owned(),
        }
    }
}

impl Lines {
    /// The gate's standing, and how much longer it took than it was to wait. If this is dropped before its end, so is the
    /// connection: an answer that comes late would be taken for the next one's.
    pub(super) async fn probe(&self, order: &ProbeOrder) -> Result<(Standing, Duration), String> {
        let within = order.timeout / 2;
        let ask = Ask::Standing {
            seen: order.seen,
            within_ms: u32::try_from(within.as_millis()).unwrap_or(u32::MAX),
        };
        let question = gate::question(&ask);
        if let Some(mut stream) = self.take(order) {
            let asked = Instant::now();
            match answer(&mut stream, &question).await {
                Ok(standing) => {
                    self.keep(order, stream);
                    return Ok((standing, asked.elapsed().saturating_sub(within)));
                }
                // Perhaps only the connection has gone, with an earlier run of the program.
                Err(Unanswered::Ended(_)) => {}
                Err(unanswered @ Unanswered::Nonsense) => return Err(unanswered.why()),
            }
        }
        let asked = Instant::now();
        let mut stream = connect(order).await?;
        let _ = stream.set_nodelay(true);
        let standing = answer(&mut stream, &question).await.map_err(|unanswered| unanswered.why())?;
        self.keep(order, stream);
        Ok((standing, asked.elapsed().saturating_sub(within)))
    }

    fn take(&self, order: &ProbeOrder) -> Option<TcpStream> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.remove(&order.ticket.member())?;
        (line.to == order.target).then_some(line.stream)
    }

    fn keep(&self, order: &ProbeOrder, stream: TcpStream) {
        let now = Instant::now();
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|_, line| now.saturating_duration_since(line.used) < UNUSED);
        lines.insert(order.ticket.member(), Line { stream, to: order.target, used: now });
    }
}

async fn answer(stream: &mut TcpStream, question: &[u8]) -> Result<Standing, Unanswered> {
    stream.write_all(question).await.map_err(Unanswered::Ended)?;
    let mut bytes = Vec::with_capacity(BUFFER);
    loop {
        let message = gate::message(&bytes).map_err(|_| Unanswered::Nonsense)?;
        if let Some((body, _)) = message {
            return gate::read(body).map_err(|_| Unanswered::Nonsense);
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) => return Err(Unanswered::Ended(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) => return Err(Unanswered::Ended(error)),
        }
    }
}
