//! A line over which HTTP is spoken: asked once, or again and again.

use std::error::Error;
use std::io;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, HOST, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::ask::{Driver, Ended, Rules};
use crate::outcome::{Failure, Outcome, of_io};
use crate::{Scheme, Target};

/// As much of an answer is looked through for a text.
const LOOKED_THROUGH: usize = 1 << 20;
/// More of an answer is not waited for: it is one by then.
const ENOUGH: usize = 64 << 20;

#[derive(Debug)]
pub(crate) struct Line {
    sender: SendRequest<Empty<Bytes>>,
    _driver: Driver,
    /// An answer was left unread, so that nothing more can be asked.
    spent: bool,
}

impl Line {
    pub(crate) async fn open(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, Outcome> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| of_http(&error))?;
        let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
        Ok(Self { sender, _driver: driver, spent: false })
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.spent && !self.sender.is_closed()
    }

    /// `keep`: the other side is not asked to close it afterwards.
    pub(crate) async fn ask(&mut self, target: &Target, rules: &Rules, keep: bool) -> Ended {
        let request = match request(target, keep) {
            Ok(request) => request,
            Err(outcome) => return Ended::Answered(Err(outcome)),
        };
        // It has just answered, and may not have come to rest.
        if let Err(error) = self.sender.ready().await {
            return Ended::Unanswered(of_http(&error));
        }
        let reply = match self.sender.send_request(request).await {
            Ok(reply) => reply,
            Err(error) => {
                let outcome = of_http(&error);
                return match outcome {
                    Outcome::Failed(Failure::Reset, _) => Ended::Unanswered(outcome),
                    _ => Ended::Answered(Err(outcome)),
                };
            }
        };
        let redirect = matches!(reply.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        let to = reply.headers().get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
        let judged = self.judge(reply, rules).await;
        if redirect && !self.spent { Ended::Elsewhere(to, judged) } else { Ended::Answered(judged) }
    }

    async fn judge(&mut self, reply: Response<Incoming>, rules: &Rules) -> Result<(), Outcome> {
        let status = reply.status().as_u16();
        let cause =
            reply.headers().get("nines-cause").and_then(|cause| cause.to_str().ok()).unwrap_or("").to_owned();
        let (mut body, mut text, mut length) = (reply.into_body(), Vec::new(), 0);
        // Until it is read to its end.
        self.spent = true;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| of_http(&error))?;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            length += data.len();
            if rules.text.is_some() {
                text.extend_from_slice(&data[..data.len().min(LOOKED_THROUGH - text.len())]);
            }
            if length > ENOUGH {
                break;
            }
        }
        self.spent = length > ENOUGH;
        if !rules.statuses.iter().any(|range| range.contains(&status)) {
            return Err(Outcome::failed(Failure::Status(status), cause));
        }
        match &rules.text {
            Some(wanted) if !contains(&text, wanted.as_bytes()) => {
                Err(Outcome::failed(Failure::Text, format!("`{wanted}` is not in the answer")))
            }
            _ => Ok(()),
        }
    }
}

fn request(target: &Target, keep: bool) -> Result<Request<Empty<Bytes>>, Outcome> {
    let Scheme::Http { path, .. } = &target.scheme else {
        return Err(Outcome::unknown(format!("{} is not asked by HTTP", target.name)));
    };
    let uri: Uri = path.parse().map_err(|error| Outcome::unknown(format!("{path}: {error}")))?;
    let mut request = Request::get(uri)
        .header(HOST, target.authority())
        .header(USER_AGENT, concat!("nines-probe/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(Outcome::unknown)?;
    if !keep {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(request)
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || text.windows(wanted.len()).any(|part| part == wanted)
}

fn of_http(error: &hyper::Error) -> Outcome {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        Some(io) => of_io(io),
        None if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
            Outcome::failed(Failure::Reset, error)
        }
        None => Outcome::failed(Failure::BadReply, error),
    }
}
