//! A listener on loopback that speaks TLS, with a certificate that nobody knows.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use crate::{Error, Result};

/// Whoever connects and says nothing holds others up no longer than this.
const HANDSHAKE: Duration = Duration::from_secs(2);

pub(super) struct TlsListener {
    inner: TcpListener,
    acceptor: TlsAcceptor,
}

/// Listens at a free port.
pub(super) async fn listen() -> Result<(TlsListener, u16)> {
    let err = |e: &dyn std::fmt::Display| Error::new("start the metrics adapter", e);
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(|e| err(&e))?;
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).map_err(|e| err(&e))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .map_err(|e| err(&e))?;
    let inner = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|e| err(&e))?;
    let port = inner.local_addr().map_err(|e| err(&e))?.port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Ok((TlsListener { inner, acceptor }, port))
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = Listener::accept(&mut self.inner).await;
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, self.acceptor.accept(stream)).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}
