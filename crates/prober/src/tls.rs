//! Whom to trust: the machine's own list of authorities, or a file of one's own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Where Linux distributions keep it.
const KNOWN: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    #[error("this machine has no list of authorities in a known place; name one with --ca")]
    Nowhere,
    #[error("no certificate can be read from {}: {why}", file.display())]
    Unreadable { file: PathBuf, why: String },
}

/// Authorities whose word is taken.
#[derive(Clone)]
pub struct Roots(Arc<ClientConfig>);

impl std::fmt::Debug for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Roots(…)")
    }
}

impl Roots {
    /// `file`: in PEM; otherwise the machine's own.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn load(file: Option<&Path>) -> Result<Self, RootsError> {
        let file = match file {
            Some(file) => file.to_owned(),
            None => {
                KNOWN.map(PathBuf::from).into_iter().find(|file| file.exists()).ok_or(RootsError::Nowhere)?
            }
        };
        let unreadable = |why: String| RootsError::Unreadable { file: file.clone(), why };
        let certificates =
            CertificateDer::pem_file_iter(&file).map_err(|error| unreadable(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        // A machine's list may have some that nobody understands any more.
        let (taken, _) = roots.add_parsable_certificates(certificates.filter_map(Result::ok));
        if taken == 0 {
            return Err(unreadable("there is none in it".to_owned()));
        }
        Ok(Self(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())))
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.0))
    }
}

/// Encrypted with whoever answers: what psql does unless it is told to check whom it speaks with.
pub(crate) fn unchecked() -> TlsConnector {
    static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
        let schemes = ring::default_provider().signature_verification_algorithms.supported_schemes();
        let builder = ClientConfig::builder().dangerous();
        let builder = builder.with_custom_certificate_verifier(Arc::new(Anybody(schemes)));
        Arc::new(builder.with_no_client_auth())
    });
    TlsConnector::from(Arc::clone(&CONFIG))
}

/// Takes every certificate, and every proof that it is somebody's own: of a key that may be anybody's it would say nothing. So
/// certificates serve that nothing else could read, such as those of version 1, which PostgreSQL's manual makes.
#[derive(Debug)]
struct Anybody(Vec<SignatureScheme>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
