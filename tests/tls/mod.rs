//! A private certificate authority, and a Prometheus that only speaks TLS to whoever has a certificate of it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::header;
use axum::routing::any;
use axum::serve::Listener;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};
use tokio_rustls::server::TlsStream;

/// Whoever connects and says nothing holds others up no longer than this.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// Signs certificates.
pub struct Authority {
    /// Its own certificate.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for this name.
    pub fn issue(&self, name: &str) -> Issued {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Issued {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// The server. Every request takes a connection of its own, so that each shows its certificates anew.
pub struct Server {
    pub port: u16,
    acceptor: Arc<Mutex<TlsAcceptor>>,
    value: Arc<Mutex<f64>>,
}

impl Server {
    /// Listens with a certificate for `name`, and answers every query with the value 0.
    pub async fn start(authority: &Authority, name: &str) -> Self {
        let inner = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let server = Self {
            port: inner.local_addr().unwrap().port(),
            acceptor: Arc::new(Mutex::new(acceptor(authority, name))),
            value: Arc::default(),
        };
        let acceptor = Arc::clone(&server.acceptor);
        let value = Arc::clone(&server.value);
        let answer = move || async move {
            let value = *value.lock().unwrap();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
            let body = format!(
                r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[{now:.3},"{value}"]}}]}}}}"#
            );
            ([(header::CONNECTION, "close")], body)
        };
        let router = Router::new().route("/api/v1/query", any(answer));
        tokio::spawn(async move { axum::serve(Speaker { inner, acceptor }, router).await });
        server
    }

    pub fn set(&self, value: f64) {
        *self.value.lock().unwrap() = value;
    }

    /// From now on it shows a certificate of another authority, and wants one of it.
    pub fn renew(&self, authority: &Authority, name: &str) {
        *self.acceptor.lock().unwrap() = acceptor(authority, name);
    }
}

fn acceptor(authority: &Authority, name: &str) -> TlsAcceptor {
    let provider = Arc::new(crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap())
        .unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .unwrap();
    let own = authority.issue(name);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

struct Speaker {
    inner: TcpListener,
    acceptor: Arc<Mutex<TlsAcceptor>>,
}

impl Listener for Speaker {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = Listener::accept(&mut self.inner).await;
            let acceptor = self.acceptor.lock().unwrap().clone();
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}
