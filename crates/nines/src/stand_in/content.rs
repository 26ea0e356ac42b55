//! The bodies of the stand-in's answers: text, filler of any length, or an echo, none of them held in memory whole.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

/// What the stand-in's answers consist of.
pub(super) enum Content {
    Text(Bytes),
    /// So many bytes, which take no memory.
    Filler {
        left: u64,
    },
    /// The request's own body, as it comes in.
    Echo(Incoming),
}

static FILLER: [u8; 64 * 1024] = [b'.'; 64 * 1024];

impl Body for Content {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let data = match self.get_mut() {
            Self::Text(text) => mem::take(text),
            Self::Filler { left } => {
                let size = usize::try_from(*left).unwrap_or(FILLER.len()).min(FILLER.len());
                *left -= size as u64;
                Bytes::from_static(&FILLER).slice(..size)
            }
            Self::Echo(body) => return Pin::new(body).poll_frame(context),
        };
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Filler { left } => *left == 0,
            Self::Echo(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Filler { left } => SizeHint::with_exact(*left),
            Self::Echo(body) => body.size_hint(),
        }
    }
}
