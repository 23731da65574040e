//! Who may listen in? TLS with certificates on both sides, from files (RFC 7724 section 8.1).
//!
//! The files are read for every connection: a certificate that was renewed counts at once, and one that is broken
//! is complained of when somebody comes.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Where certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those between it and its authority, in PEM.
    pub certificate: PathBuf,
    /// The server's private key, in PEM.
    pub key: PathBuf,
    /// The authorities of whom a requestor must have its certificate, in PEM.
    pub client_ca: PathBuf,
}

/// Why there is no TLS. Each says where.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file.
    #[error("{}: {source}; it must hold {what} in PEM, readable for the server", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// What is wrong.
        source: pem::Error,
    },
    /// A file without a certificate.
    #[error("{}: there is no certificate in it", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// A certificate of an authority that is none.
    #[error("{}: {source}", path.display())]
    Authority {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// Certificate and key.
    #[error("{} and {}: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
        /// Why they do not go together.
        source: rustls::Error,
    },
}

impl TlsFiles {
    // RFC 7724 section 8.1 [active-tls-mutual]: the requestor's certificate decides.
    /// Reads them.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authority = |source| TlsError::Authority {
            path: self.client_ca.clone(),
            source,
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.client_ca)? {
            roots.add(certificate).map_err(authority)?;
        }
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let verifier = verifier.build();
        let verifier =
            verifier.map_err(|error| authority(rustls::Error::General(error.to_string())))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|source| TlsError::File {
            path: self.key.clone(),
            what: "a private key",
            source,
        })?;
        let chain = certificates(&self.certificate)?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                let builder = builder.with_client_cert_verifier(verifier);
                builder.with_single_cert(chain, key)
            });
        let config = config.map_err(|source| TlsError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|source| TlsError::File {
        path: path.to_owned(),
        what: "certificates",
        source,
    })?;
    match all.is_empty() {
        true => Err(TlsError::Empty {
            path: path.to_owned(),
        }),
        false => Ok(all),
    }
}
