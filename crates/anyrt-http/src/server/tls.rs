//! TLS by rustls: a certificate, and the handshake of a connection.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_rustls::TlsAcceptor;
use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::ServerConfig;
use futures_rustls::rustls::crypto::ring;

use super::connection::Connection;
use super::stream::Protocol;
use super::transport::Transport;
use crate::base::error::{Error, Result};

/// The name of HTTP/2 in ALPN; and that of HTTP/1.
const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// A certificate and its key, for listeners that speak TLS. Cheap to clone.
///
/// TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1 by ALPN.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// Of a chain of certificates and a private key, in PEM.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] if there is none in it, or they do not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Tls> {
        let failed = |reason: String| Error::Tls { reason };
        let chain = CertificateDer::pem_slice_iter(certificates)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| failed(format!("the certificates cannot be read: {error}")))?;
        if chain.is_empty() {
            return Err(failed("there is no certificate in what was given as certificates".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| failed(format!("the private key cannot be read: {error}")))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| failed(error.to_string()))?;
        Ok(Tls::from_config(config))
    }

    /// As [`from_pem`](Tls::from_pem), of two files.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`], which names the file that cannot be read.
    pub fn from_pem_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Tls> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| Error::Tls { reason: format!("{}: {error}", path.display()) })
        };
        Tls::from_pem(&read(certificates.as_ref())?, &read(key.as_ref())?)
    }

    /// Of a configuration of rustls. If it names no protocols, they are HTTP/2 and HTTP/1.1.
    pub fn from_config(mut config: ServerConfig) -> Tls {
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
        }
        Tls(Arc::new(config).into())
    }

    /// The handshake; and the protocol, if it was agreed on.
    pub(crate) async fn accept(
        &self,
        transport: Transport,
        connection: &Arc<Connection>,
    ) -> io::Result<(Transport, Option<Protocol>)> {
        let _turn = connection.server.handshakes.acquire().await;
        let stream = self.0.accept(transport.noticed_by(connection)).await?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(H2) => Some(Protocol::Http2),
            Some(HTTP1) => Some(Protocol::Http1),
            _ => None,
        };
        Ok((Transport::Tls(Box::new(stream)), protocol))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
