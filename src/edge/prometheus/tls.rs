//! Whom a Prometheus server must be, and who the operator is, by certificates. rustls only; never a way to skip the check.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::client::Secret;

/// How a server is spoken to by TLS, as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authorities that are trusted, in PEM; `None`: those of the system.
    pub ca: Option<Secret>,
    /// How the operator says who it is.
    pub identity: Option<Identity>,
    /// The name that the server's certificate must have; `None`: the host of the URL.
    pub server_name: Option<String>,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, then those that lead to its authority, in PEM.
    pub certificate: Secret,
    /// Its private key, in PEM.
    pub key: Secret,
}

impl Tls {
    /// What the HTTP client needs.
    ///
    /// # Errors
    /// Something is no PEM, certificate and key do not belong together, or the name is none.
    pub fn client_config(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let trusted = self.verifier(&provider)?;
        let verifier = match &self.server_name {
            None => trusted,
            Some(name) => {
                let name = ServerName::try_from(name.clone())
                    .map_err(|_| format!("tls.serverName: `{name}` is neither a DNS name nor an IP address"))?;
                Arc::new(Named { name, trusted })
            }
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        match &self.identity {
            None => Ok(builder.with_no_client_auth()),
            Some(identity) => {
                let chain = certificates("tls.clientCertificateSecretRef: tls.crt", &identity.certificate)?;
                let key = PrivateKeyDer::from_pem_slice(identity.key.0.as_bytes())
                    .map_err(|_| "tls.clientCertificateSecretRef: tls.key holds no private key in PEM".to_owned())?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    format!("tls.clientCertificateSecretRef: tls.crt and tls.key cannot be used together ({error})")
                })
            }
        }
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
        let Some(ca) = &self.ca else {
            let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(provider))
                .map_err(|error| format!("the system's certificate authorities cannot be used: {error}"))?;
            return Ok(Arc::new(verifier));
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates("tls.caSecretRef", ca)? {
            roots
                .add(certificate)
                .map_err(|error| format!("tls.caSecretRef holds a certificate that cannot be read: {error}"))?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
        let verifier = verifier.map_err(|error| format!("tls.caSecretRef: {error}"))?;
        Ok(verifier)
    }
}

fn certificates(what: &str, pem: &Secret) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.0.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(format!(
            "{what} holds no certificate in PEM (-----BEGIN CERTIFICATE----- …)"
        )),
    }
}

/// Checks another name than the URL's.
#[derive(Debug)]
struct Named {
    name: ServerName<'static>,
    trusted: Arc<dyn ServerCertVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _of_the_url: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.trusted
            .verify_server_cert(end_entity, intermediates, &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trusted.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trusted.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trusted.supported_verify_schemes()
    }
}
