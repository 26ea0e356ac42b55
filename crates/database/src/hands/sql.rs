//! Questions to PostgreSQL on this host: over its socket, as its superuser, each within a time that is given.

use std::fmt;
use std::time::Duration;

use nines_control::failover::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::place::Place;
use super::{SUPERUSER, fail};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody listens there.
    Absent,
    /// It answers, and doesn't let anybody in yet, or any more.
    Starting,
    /// Not in time.
    Silent,
    /// Somebody else uses what was to be changed.
    InUse,
    /// There is no such thing, or no more.
    Gone(String),
    Failed(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("PostgreSQL is not there"),
            Self::Starting => f.write_str("PostgreSQL is starting up or shutting down"),
            Self::Silent => f.write_str("PostgreSQL doesn't answer"),
            Self::InUse => f.write_str("somebody else uses it at the moment"),
            Self::Gone(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        fail(trouble)
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(said) = error.as_db_error() {
            let starting = [SqlState::CANNOT_CONNECT_NOW, SqlState::ADMIN_SHUTDOWN];
            if starting.contains(said.code()) {
                return Self::Starting;
            }
            let why = format!("{} ({})", said.message(), said.code().code());
            return match *said.code() {
                SqlState::OBJECT_IN_USE => Self::InUse,
                SqlState::UNDEFINED_OBJECT => Self::Gone(why),
                _ => Self::Failed(why),
            };
        }
        let kind =
            std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
        match kind.map(std::io::Error::kind) {
            Some(std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) => Self::Absent,
            // It ends under our hands.
            _ if error.is_closed() => Self::Absent,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// A row, as text.
pub(super) type Row = Vec<Option<String>>;

/// One connection; closed with this.
pub(super) struct Session {
    client: Client,
    patience: Duration,
}

impl Session {
    /// What it writes is not confirmed by anybody.
    pub(super) async fn open(
        place: &Place,
        port: u16,
        database: &str,
        patience: Duration,
    ) -> Result<Self, Trouble> {
        let mut config = Config::new();
        config.host_path(place.run()).port(port).user(SUPERUSER).dbname(database).application_name("nines");
        config.options(
            "-c synchronous_commit=local -c lock_timeout=5s -c search_path=pg_catalog -c log_statement=none",
        );
        let (client, connection) =
            timeout(patience, config.connect(NoTls)).await.map_err(|_| Trouble::Silent)??;
        // It ends with the client.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { client, patience })
    }

    pub(super) async fn rows(&self, query: &str) -> Result<Vec<Row>, Trouble> {
        let messages =
            timeout(self.patience, self.client.simple_query(query)).await.map_err(|_| Trouble::Silent)??;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).map(ToOwned::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The first column of the first row.
    pub(super) async fn one(&self, query: &str) -> Result<Option<String>, Trouble> {
        Ok(self.rows(query).await?.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }

    pub(super) async fn run(&self, statement: &str) -> Result<(), Trouble> {
        self.rows(statement).await.map(drop)
    }

    /// For what may take longer.
    pub(super) fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

/// Whether a new connection is answered at all: by the question for encryption, which takes no place among the connections.
pub(super) async fn knock(place: &Place, port: u16, patience: Duration) -> Result<(), Trouble> {
    let ask = async {
        let mut stream = UnixStream::connect(place.socket(port)).await?;
        // `SSLRequest`: its length, and its number.
        stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
        stream.read_u8().await
    };
    match timeout(patience, ask).await {
        Err(_) => Err(Trouble::Silent),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(Trouble::Absent),
    }
}

/// As a name in SQL.
pub(super) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// As a string in SQL.
pub(super) fn string(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_or_a_string_ends_it() {
        assert_eq!(name("a\"b"), "\"a\"\"b\"");
        assert_eq!(string("it's"), "'it''s'");
        assert_eq!(string("\\'; --"), "E'\\\\''; --'");
    }
}
