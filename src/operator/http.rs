//! `/healthz`, `/readyz` and `/metrics`.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::edge::kube::lease::Leadership;
use crate::telemetry::metrics::Metrics;

/// A loop that has not turned for this long hangs. Time during which the machine was suspended does not count.
const HUNG_AFTER: Duration = Duration::from_mins(1);

/// What the probes look at.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    inner: Arc<ProbeState>,
}

#[derive(Debug, Default)]
struct ProbeState {
    ready: AtomicBool,
    turned: Mutex<Option<Instant>>,
    leadership: OnceLock<Leadership>,
}

impl Probes {
    /// The operator sees the cluster.
    pub fn set_ready(&self, ready: bool) {
        self.inner.ready.store(ready, Ordering::Relaxed);
    }

    /// The loop has turned once more.
    pub fn turned(&self) {
        *self.inner.turned.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whose leadership `/metrics` tells.
    pub fn tell_leadership(&self, leadership: Leadership) {
        let _ = self.inner.leadership.set(leadership);
    }

    fn is_alive(&self, now: Instant) -> bool {
        let turned = *self.inner.turned.lock().unwrap_or_else(PoisonError::into_inner);
        turned.is_none_or(|at| now.saturating_duration_since(at) < HUNG_AFTER)
    }

    /// At this very moment, not when the loop last turned: a process that wakes from a pause must not say that it leads.
    fn leads(&self) -> bool {
        self.inner.leadership.get().is_some_and(Leadership::is_leader_now)
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
            get(|State((_, probes)): State<(Metrics, Probes)>| async move {
                answer(probes.is_alive(Instant::now()), "the loop hangs\n")
            }),
        )
        .route(
            "/readyz",
            get(|State((_, probes)): State<(Metrics, Probes)>| async move {
                answer(
                    probes.inner.ready.load(Ordering::Relaxed),
                    "the cluster is not seen yet\n",
                )
            }),
        )
        .route(
            "/metrics",
            get(|State((metrics, probes)): State<(Metrics, Probes)>| async move {
                metrics.leader.set(i64::from(probes.leads()));
                exposition(metrics)
            }),
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

fn answer(good: bool, otherwise: &'static str) -> Response {
    if good {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, otherwise).into_response()
    }
}

/// Piece by piece, as fast as it is read, and aside from what decides: with thousands of policies it is a long text.
fn exposition(metrics: Metrics) -> Response {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces {
            sender,
            text: String::with_capacity(PIECE),
        };
        // An error says only that nobody reads any more.
        let _ = metrics.encode_to(&mut pieces).and_then(|()| pieces.send());
    });
    let pieces = stream::unfold(receiver, |mut receiver| async {
        let piece: String = receiver.recv().await?;
        Some((Ok::<_, Infallible>(piece), receiver))
    });
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(pieces)).into_response()
}

/// Bytes of a piece of text.
const PIECE: usize = 64 << 10;
/// Pieces that may wait to be sent.
const PIECES: usize = 2;

/// Sends what is written to it in pieces.
struct Pieces {
    sender: mpsc::Sender<String>,
    text: String,
}

impl Pieces {
    fn send(&mut self) -> fmt::Result {
        let full = std::mem::replace(&mut self.text, String::with_capacity(PIECE));
        self.sender.blocking_send(full).map_err(|_| fmt::Error)
    }
}

impl fmt::Write for Pieces {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.text.len() + text.len() > PIECE {
            self.send()?;
        }
        self.text.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_hangs_is_not_alive() {
        let probes = Probes::default();
        let start = Instant::now();
        assert!(probes.is_alive(start + HUNG_AFTER), "it has not begun");
        probes.turned();
        assert!(probes.is_alive(start + HUNG_AFTER / 2));
        assert!(!probes.is_alive(Instant::now() + HUNG_AFTER));
    }
}
