//! One member of an etcd cluster, and the connection to it.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::uri::PathAndQuery;
use tokio::sync::Mutex;
use tonic::client::Grpc;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::error::Error;
use crate::settings::{Etcd as Settings, Tls, User};

use super::wire::{AUTHENTICATE, AuthenticateRequest, AuthenticateResponse};

/// An idle connection to a host that is gone without a word is given up after the two together. etcd hangs up on whoever
/// pings more often than every 5 s.
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(3);
/// All registers of a watch in one answer; they are pages, and not many.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Member {
    address: String,
    tls: Option<Tls>,
    user: Option<User>,
    open: Mutex<Option<Connection>>,
    made: AtomicU64,
}

/// Cheap to clone; the clones share a connection.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    grpc: Grpc<Channel>,
    /// What etcd gave for user and password: good at this member only, and not for ever.
    token: Option<AsciiMetadataValue>,
    number: u64,
}

/// Why a question was not answered.
#[derive(Debug)]
pub(super) enum Failure {
    /// It can be asked again, here or elsewhere. It may have been heard.
    Lost(String),
    /// It was not heard, because etcd no longer knows us: to be asked again over a new connection.
    Stranger(String),
    /// It was not heard, and can be asked again.
    Unheard(String),
    /// It was heard, and refused for good.
    Refused(Error),
}

impl Member {
    pub(super) fn new(address: &str, settings: &Settings) -> Result<Self, Error> {
        let member = Self {
            address: address.to_owned(),
            tls: settings.tls.clone(),
            user: settings.user.clone(),
            open: Mutex::new(None),
            made: AtomicU64::new(0),
        };
        member.endpoint().map(|_| member)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The connection, made now if there is none.
    pub(super) async fn connection(&self) -> Result<Connection, Failure> {
        let mut open = self.open.lock().await;
        if let Some(connection) = &*open {
            return Ok(connection.clone());
        }
        let endpoint = self.endpoint().map_err(Failure::Refused)?;
        let channel = endpoint.connect().await.map_err(|error| Failure::Unheard(with_sources(&error)))?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let grpc = Grpc::new(channel).max_decoding_message_size(LARGEST_ANSWER);
        let mut connection = Connection { grpc, token: None, number };
        if let Some(user) = &self.user {
            connection.token = Some(authenticate(&mut connection, user).await?);
        }
        tracing::debug!(endpoint = self.address, "connected to etcd");
        Ok(open.insert(connection).clone())
    }

    /// The next question gets a new connection, unless somebody has made one already.
    pub(super) async fn give_up(&self, connection: &Connection) {
        let mut open = self.open.lock().await;
        if open.as_ref().is_some_and(|current| current.number == connection.number) {
            *open = None;
        }
    }

    fn endpoint(&self) -> Result<Endpoint, Error> {
        let settings = |why: String| Error::Settings { why: format!("etcd at {}: {why}", self.address) };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.address))
            .map_err(|error| settings(with_sources(&error)))?;
        if endpoint.uri().port().is_none() || endpoint.uri().path() != "/" {
            return Err(settings("not of the form host:port".to_owned()));
        }
        let endpoint = endpoint
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .keep_alive_while_idle(true);
        let Some(tls) = &self.tls else { return Ok(endpoint) };
        let read =
            |path: &Path| fs::read(path).map_err(|error| settings(format!("{}: {error}", path.display())));
        let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&tls.ca)?));
        if let Some(identity) = &tls.identity {
            let (certificate, key) = (read(&identity.certificate)?, read(&identity.key)?);
            config = config.identity(tonic::transport::Identity::from_pem(certificate, key));
        }
        endpoint.tls_config(config).map_err(|error| settings(with_sources(&error)))
    }
}

async fn authenticate(connection: &mut Connection, user: &User) -> Result<AsciiMetadataValue, Failure> {
    let question = AuthenticateRequest { name: user.name.clone(), password: user.password.clone() };
    let answer: AuthenticateResponse = connection.ask(AUTHENTICATE, question).await.map_err(|failure| {
        match failure {
            // Nothing that matters was asked for yet.
            Failure::Lost(why) | Failure::Stranger(why) => Failure::Unheard(why),
            other => other,
        }
    })?;
    answer.token.parse().map_err(|_| Failure::Unheard("etcd gave a token that cannot be sent".to_owned()))
}

impl Connection {
    pub(super) async fn ask<Q, A>(&mut self, path: &'static str, question: Q) -> Result<A, Failure>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let ready = self.grpc.ready().await;
        ready.map_err(|error| Failure::Unheard(with_sources(&error)))?;
        let request = self.request(question);
        let codec = ProstCodec::<Q, A>::default();
        let answer = self.grpc.unary(request, PathAndQuery::from_static(path), codec).await;
        answer.map(tonic::Response::into_inner).map_err(|status| failure(&status))
    }

    /// Like [`Connection::ask`], with answers until one of the two hangs up.
    pub(super) async fn listen<Q, A>(
        &mut self,
        path: &'static str,
        questions: impl futures_util::Stream<Item = Q> + Send + 'static,
    ) -> Result<tonic::Streaming<A>, Failure>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let ready = self.grpc.ready().await;
        ready.map_err(|error| Failure::Unheard(with_sources(&error)))?;
        let mut request = self.request(questions);
        // A member that loses its leader ends the stream, instead of staying silent for ever.
        request.metadata_mut().insert("hasleader", AsciiMetadataValue::from_static("true"));
        let codec = ProstCodec::<Q, A>::default();
        let answers = self.grpc.streaming(request, PathAndQuery::from_static(path), codec).await;
        answers.map(tonic::Response::into_inner).map_err(|status| failure(&status))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }
}

/// What to make of an error that etcd or the way to it has given.
pub(super) fn failure(status: &Status) -> Failure {
    let why = match std::error::Error::source(status) {
        Some(source) => format!("{}: {}", status.message(), with_sources(source)),
        None => status.message().to_owned(),
    };
    match status.code() {
        Code::Unauthenticated => Failure::Stranger(why),
        // An old token: somebody has changed users or roles. No token: etcd asks for one since a moment ago.
        Code::InvalidArgument
            if why.contains("revision of auth store is old") || why.contains("user name is empty") =>
        {
            Failure::Stranger(why)
        }
        Code::ResourceExhausted if why.contains("too many requests") => Failure::Unheard(why),
        Code::InvalidArgument
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::ResourceExhausted
        | Code::OutOfRange
        | Code::NotFound
        | Code::AlreadyExists
        | Code::Unimplemented => Failure::Refused(Error::Refused { why }),
        _ => Failure::Lost(why),
    }
}

/// An error of the transport says itself little; what it is about stands in its sources.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}
