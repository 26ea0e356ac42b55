//! A line to a PostgreSQL: encrypted or not, asked once or again and again, to read or to write.

use std::error::Error;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

use crate::Encryption;
use crate::ask::{Driver, Ended, handshake};
use crate::outcome::{Failure, Outcome, of_io};
use crate::target::Session;
use crate::tls::{Roots, unchecked};

/// A message of eight bytes with the number that asks for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

const READ: &str = "SELECT 1";
/// A commit like any other (it is in the log and confirmed by whoever must), of which no table knows.
const WRITE: &str = "SELECT pg_logical_emit_message(true, 'nines-probe', '')";

pub(crate) struct Line {
    client: Client,
    question: &'static str,
    _driver: Driver,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line(…)")
    }
}

impl Line {
    pub(crate) async fn open(
        host: &str,
        session: &Session,
        roots: Option<&Roots>,
        mut stream: TcpStream,
    ) -> Result<Self, Outcome> {
        let mut config = Config::new();
        config.user(&session.user).dbname(&session.database).application_name("nines-probe");
        // What is wished of it is done here, so that what goes wrong can be told apart.
        config.ssl_mode(SslMode::Disable);
        if let Some(password) = &session.password {
            config.password(password);
        }
        let connector = match (session.encryption, roots) {
            (Encryption::Never, _) => None,
            (Encryption::IfOffered | Encryption::Always, _) => Some(unchecked()),
            (Encryption::Checked, Some(roots)) => Some(roots.connector()),
            (Encryption::Checked, None) => {
                return Err(Outcome::unknown("there is no list of authorities to trust"));
            }
        };
        let connector = match connector {
            Some(connector) if offers_tls(&mut stream).await? => Some(connector),
            Some(_) if session.encryption != Encryption::IfOffered => {
                return Err(Outcome::failed(Failure::Tls, "the server offers none"));
            }
            _ => None,
        };
        let (client, driver) = match connector {
            Some(connector) => {
                let stream = handshake(&connector, host, stream).await?;
                let (client, connection) =
                    config.connect_raw(stream, NoTls).await.map_err(|error| said(&error))?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
            None => {
                let (client, connection) =
                    config.connect_raw(stream, NoTls).await.map_err(|error| said(&error))?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
        };
        let question = if session.write { WRITE } else { READ };
        Ok(Self { client, question, _driver: Driver(driver) })
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    pub(crate) async fn ask(&self) -> Ended {
        match self.client.simple_query(self.question).await {
            Ok(_) => Ended::Answered(Ok(())),
            Err(error) if error.as_db_error().is_some() => Ended::Answered(Err(said(&error))),
            Err(error) => Ended::Unanswered(said(&error)),
        }
    }
}

async fn offers_tls(stream: &mut TcpStream) -> Result<bool, Outcome> {
    stream.write_all(&SSL_REQUEST).await.map_err(|error| of_io(&error))?;
    match stream.read_u8().await.map_err(|error| of_io(&error))? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        _ => Err(Outcome::failed(Failure::BadReply, "neither yes nor no when asked for TLS")),
    }
}

fn said(error: &tokio_postgres::Error) -> Outcome {
    match (error.as_db_error(), error.source()) {
        (Some(no), _) => {
            Outcome::failed(Failure::Database, format!("{}: {}", no.code().code(), no.message()))
        }
        (None, Some(source)) if source.is::<io::Error>() => source
            .downcast_ref::<io::Error>()
            .map_or_else(|| Outcome::failed(Failure::BadReply, error), of_io),
        (None, _) if error.is_closed() => Outcome::failed(Failure::Reset, error),
        (None, _) => Outcome::failed(Failure::BadReply, error),
    }
}
