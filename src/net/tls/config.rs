//! Whom a client trusts and what a server shows. Built at start, shared by reference count.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CipherSuite, ClientConfig, RootCertStore, ServerConfig, version};

/// The roots a Debian-like system ships; used by [`Trust::System`].
pub const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The certificates a client accepts as roots. Nothing is trusted beyond what is named here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The system's roots, [`SYSTEM_ROOTS`].
    System,
    /// A PEM file of one or more certificates.
    PemFile(PathBuf),
    /// PEM text of one or more certificates.
    Pem(Vec<u8>),
    /// Certificates in DER, one each.
    Der(Vec<Vec<u8>>),
}

/// Why a TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsSetupError {
    /// The file of root certificates cannot be read; for [`Trust::System`] usually a missing ca-certificates
    /// package.
    #[error("root certificates {path}: {source}")]
    RootsUnreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The PEM is malformed.
    #[error("root certificates: {what}")]
    Pem {
        /// What the parser said.
        what: String,
    },
    /// Not one usable certificate among the roots.
    #[error("no usable root certificate among {seen}")]
    NoRoots {
        /// Certificates seen.
        seen: usize,
    },
    /// The private key is not PKCS#8, PKCS#1 or SEC1 DER.
    #[error("private key: {what}")]
    Key {
        /// What the parser said.
        what: String,
    },
    /// rustls refused the configuration, such as a key that does not fit the certificate.
    #[error("TLS configuration: {0}")]
    Rustls(#[from] rustls::Error),
}

/// A client's configuration. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClientTls {
    pub(super) config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Reads and checks the roots. Among several certificates unusable ones are skipped, as system bundles hold
    /// some; with [`Trust::Der`] and [`Trust::Pem`] an unusable one is an error only when none is left.
    ///
    /// # Errors
    /// [`TlsSetupError`].
    pub fn new(trust: &Trust) -> Result<Self, TlsSetupError> {
        let certificates = match trust {
            Trust::System => read_pem(Path::new(SYSTEM_ROOTS))?,
            Trust::PemFile(path) => read_pem(path)?,
            Trust::Pem(text) => parse_pem(text)?,
            Trust::Der(list) => list.iter().cloned().map(CertificateDer::from).collect(),
        };
        let seen = certificates.len();
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(certificates);
        if usable == 0 {
            return Err(TlsSetupError::NoRoots { seen });
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config) })
    }
}

/// A server's configuration. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerTls {
    pub(super) config: Arc<ServerConfig>,
}

impl ServerTls {
    /// A server showing `chain` (DER, leaf first), with the leaf's private `key` (DER).
    ///
    /// # Errors
    /// [`TlsSetupError`].
    pub fn new(chain: Vec<Vec<u8>>, key: Vec<u8>) -> Result<Self, TlsSetupError> {
        let key =
            PrivateKeyDer::try_from(key).map_err(|what| TlsSetupError::Key { what: what.to_owned() })?;
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self { config: Arc::new(config) })
    }
}

/// The ring provider with AES-128-GCM in front: with AES instructions it is the cheapest suite.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let text = std::fs::read(path)
        .map_err(|source| TlsSetupError::RootsUnreadable { path: path.to_owned(), source })?;
    parse_pem(&text)
}

fn parse_pem(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsSetupError::Pem { what: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aes_128_gcm_comes_first() {
        assert_eq!(provider().cipher_suites[0].suite(), CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert!(provider().cipher_suites.len() > 1);
    }

    #[test]
    fn each_bad_trust_is_named() {
        let missing = ClientTls::new(&Trust::PemFile("/nonexistent/roots.pem".into())).unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/roots.pem"), "{missing}");
        assert!(matches!(missing, TlsSetupError::RootsUnreadable { .. }));
        assert!(matches!(ClientTls::new(&Trust::Der(vec![])), Err(TlsSetupError::NoRoots { seen: 0 })));
        assert!(matches!(
            ClientTls::new(&Trust::Der(vec![b"junk".to_vec()])),
            Err(TlsSetupError::NoRoots { seen: 1 })
        ));
        let cut = b"-----BEGIN CERTIFICATE-----\nAAAA\n".to_vec();
        assert!(matches!(ClientTls::new(&Trust::Pem(cut)), Err(TlsSetupError::Pem { .. })));
        assert!(matches!(ServerTls::new(vec![], b"junk".to_vec()), Err(TlsSetupError::Key { .. })));
    }

    #[test]
    fn pem_and_der_of_one_certificate_both_serve() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        ClientTls::new(&Trust::Der(vec![made.cert.der().to_vec()])).unwrap();
        let coded = crate::ws::handshake::base64(made.cert.der());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{coded}\n-----END CERTIFICATE-----\n");
        ClientTls::new(&Trust::Pem(pem.into_bytes())).unwrap();
        ServerTls::new(vec![made.cert.der().to_vec()], made.signing_key.serialize_der()).unwrap();
    }
}
