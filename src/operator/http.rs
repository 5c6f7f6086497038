//! `/healthz`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::clock;
use crate::core::time::{Span, Time};
use crate::telemetry::metrics::Metrics;

/// A loop that has not turned for this long hangs.
const HUNG_AFTER: Span = Span::from_secs(60);

/// What the probes look at.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    inner: Arc<ProbeState>,
}

#[derive(Debug, Default)]
struct ProbeState {
    ready: AtomicBool,
    turned: AtomicI64,
}

impl Probes {
    /// The operator sees the cluster.
    pub fn set_ready(&self, ready: bool) {
        self.inner.ready.store(ready, Ordering::Relaxed);
    }

    /// The loop has turned once more.
    pub fn turned(&self) {
        self.inner.turned.store(clock::now().as_millis(), Ordering::Relaxed);
    }

    fn is_alive(&self) -> bool {
        let turned = self.inner.turned.load(Ordering::Relaxed);
        turned == 0 || clock::now().since(Time::from_millis(turned)) < HUNG_AFTER
    }
}

/// Serves until shutdown.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    metrics: Metrics,
    probes: Probes,
    shutdown: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let router = Router::new()
        .route(
            "/healthz",
            get(|State((_, probes)): State<(Metrics, Probes)>| async move { answer(probes.is_alive()) }),
        )
        .route(
            "/readyz",
            get(|State((_, probes)): State<(Metrics, Probes)>| async move {
                answer(probes.inner.ready.load(Ordering::Relaxed))
            }),
        )
        .route(
            "/metrics",
            get(|State((metrics, _)): State<(Metrics, Probes)>| async move { exposition(&metrics) }),
        )
        .with_state((metrics, probes));
    tokio::spawn(async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(shutdown.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
    Ok(bound)
}

fn answer(good: bool) -> Response {
    if good {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}

fn exposition(metrics: &Metrics) -> Response {
    match metrics.encode() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
