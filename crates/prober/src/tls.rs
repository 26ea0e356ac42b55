//! Whom to trust: the machine's own list of authorities, or a file of one's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, WebPkiSupportedAlgorithms, ring};
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
    let verifier = Anybody(ring::default_provider().signature_verification_algorithms);
    let config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Takes every certificate; who shows it must have its key all the same.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

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
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, cert, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, cert, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
