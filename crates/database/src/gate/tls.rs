//! The gate's own certificate, where it ends TLS. Read again when its files have changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// The files are looked at no more often than this.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    acceptor: TlsAcceptor,
    /// Of both files: what changes when they do.
    marks: [Option<(SystemTime, u64)>; 2],
    looked: Instant,
}

impl Certificate {
    pub(crate) fn load(certificate: &Path, key: &Path) -> io::Result<Self> {
        let marks = [mark(certificate), mark(key)];
        let acceptor = acceptor(certificate, key)?;
        let loaded = Mutex::new(Loaded { acceptor, marks, looked: Instant::now() });
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), loaded })
    }

    /// With what the files hold now; with what they held before, if that is no good.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.looked.elapsed() > LOOK {
            loaded.looked = Instant::now();
            let marks = [mark(&self.certificate), mark(&self.key)];
            if marks != loaded.marks {
                loaded.marks = marks;
                match acceptor(&self.certificate, &self.key) {
                    Ok(acceptor) => loaded.acceptor = acceptor,
                    Err(error) => {
                        tracing::warn!(%error, "the certificate that was there before stays in force");
                    }
                }
            }
        }
        loaded.acceptor.clone()
    }
}

fn mark(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn acceptor(certificate: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let bad = |path: &Path, error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| bad(certificate, &error))?;
    if chain.is_empty() {
        return Err(bad(certificate, &"no certificate in there"));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|error: rustls::Error| bad(certificate, &error))?;
    // Clients that begin with TLS at once must name it (PostgreSQL 17); others may.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
