//! Packets of a connection's beginning, read one by one and not a byte further: what follows may be TLS.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::refusal::{Fatal, Refused};
use super::startup;

/// Why a connection comes to nothing.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It ended, or broke.
    Gone,
    /// It took too long.
    Silent,
    Refused(Refused, Fatal),
}

impl Stop {
    pub(crate) fn malformed(what: &str) -> Self {
        Self::from(Fatal::malformed(what))
    }
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Fatal> for Stop {
    fn from(fatal: Fatal) -> Self {
        Self::Refused(Refused::Malformed, fatal)
    }
}

/// From after its length.
pub(crate) async fn packet<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, Stop> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let mut body = vec![0; startup::length(head)? - head.len()];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// With its length, as it came.
pub(crate) fn whole(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), body].concat()
}
