//! One connection to PostgreSQL, as a client has it: opened at a way in, with a time-out on everything.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls};

use crate::clients::exchange::{PROXY_UNKNOWN, of_io};
use crate::record::Failure;

/// Who comes in, and where to.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: String,
    /// Inside the instance.
    pub database: String,
}

/// The password is not for logs.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.user, self.database)
    }
}

/// An address at which a database answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub address: SocketAddr,
    /// The listener wants a PROXY protocol header first.
    pub proxy_header: bool,
}

/// How something failed, in a word, and what was said about it. The word is an SQLSTATE where the server gave one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub kind: String,
    pub said: String,
}

impl Refusal {
    pub(crate) fn new(kind: Failure, said: &impl ToString) -> Self {
        Self { kind: kind.to_string(), said: said.to_string() }
    }

    fn timeout() -> Self {
        Self::new(Failure::Timeout, &"no answer in time")
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.said, self.kind)
    }
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(answer) = error.as_db_error() {
            return Self { kind: answer.code().code().to_owned(), said: answer.message().to_owned() };
        }
        let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        let kind = match io {
            Some(io) => of_io(io),
            None if error.is_closed() => Failure::Reset,
            None => Failure::BadReply,
        };
        Self::new(kind, &error)
    }
}

/// Closed when dropped, whatever is under way on it.
pub(crate) struct Session {
    pub(crate) client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    pub(crate) async fn open(way: Way, login: &Login, patience: Duration) -> Result<Self, Refusal> {
        let mut config = Config::new();
        config.user(&login.user).password(&login.password).dbname(&login.database);
        config.application_name("nines rehearse");
        let connect = async {
            let mut stream = TcpStream::connect(way.address).await?;
            stream.set_nodelay(true)?;
            if way.proxy_header {
                stream.write_all(PROXY_UNKNOWN).await?;
            }
            Ok(stream)
        };
        let late = |_| Refusal::new(Failure::ConnectTimeout, &"no connection in time");
        let stream = timeout(patience, connect).await.map_err(late)?;
        let stream = stream.map_err(|error: io::Error| Refusal::new(of_io(&error), &error))?;
        let start = timeout(patience, config.connect_raw(stream, NoTls));
        let (client, connection) = start.await.map_err(|_| Refusal::timeout())??;
        // What goes wrong on the connection is told to who waits for an answer on it.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { client, driver })
    }
}

/// An answer that did not come in time is one that nobody knows.
pub(crate) async fn within<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Refusal> {
    timeout(patience, asked).await.map_err(|_| Refusal::timeout())?.map_err(Refusal::from)
}
