//! What a standby asks the gate of the primary before it streams.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nines_control::failover::Term;
use nines_control::gate::{self, Ancestry, Ask};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// # Errors
/// No answer in time, or none that can be understood.
pub(super) async fn ancestry(at: SocketAddr, term: Term, patience: Duration) -> Result<Ancestry, String> {
    let asked = tokio::time::timeout(patience, ask(at, term)).await;
    asked.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())
}

/// What the database is, of which a gate says that the primary of this term is behind it; `None`: it is not.
///
/// # Errors
/// No answer in time, or none that can be understood.
pub async fn system(at: SocketAddr, term: Term, patience: Duration) -> Result<Option<String>, String> {
    let ancestry = ancestry(at, term, patience).await?;
    Ok(ancestry.branches.map(|_| ancestry.system))
}

async fn ask(at: SocketAddr, term: Term) -> io::Result<Ancestry> {
    let mut stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&gate::question(&Ask::Ancestry { term })).await?;
    let mut bytes = Vec::new();
    loop {
        match gate::message(&bytes) {
            Err(why) => return Err(io::Error::other(why)),
            Ok(Some((body, _))) => return gate::read(body).map_err(io::Error::other),
            Ok(None) if bytes.len() > gate::LONGEST => {
                return Err(io::Error::other("a message without an end"));
            }
            Ok(None) => {}
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
