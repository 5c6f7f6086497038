//! Shows the shop to Prometheus by a small exporter, and lets time pass in it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use homeostat_cluster::{Error, Result};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::shop::Shop;

/// How often the model goes on.
const TICK: Duration = Duration::from_millis(100);

/// The shop, for all who look at it.
#[derive(Clone)]
pub struct Load(Arc<Mutex<Shop>>);

impl Load {
    /// A shop without pods, to which so many requests come in a second.
    #[must_use]
    pub fn new(load: Option<f64>) -> Self {
        Self(Arc::new(Mutex::new(Shop::with_load(load))))
    }

    /// Looks at the shop or changes it.
    pub fn with<T>(&self, f: impl FnOnce(&mut Shop) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves the metrics on a free port of loopback, and lets time pass, for as long as the tasks live.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn serve(&self, tasks: &mut JoinSet<()>) -> Result<u16> {
        let err = |e: std::io::Error| Error::new("serve the shop's metrics", e);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(err)?;
        let port = listener.local_addr().map_err(err)?.port();
        let load = self.clone();
        let text = move || async move { load.with(|shop| shop.metrics()) };
        tasks.spawn(async move {
            let _ = axum::serve(listener, Router::new().route("/metrics", get(text))).await;
        });
        let load = self.clone();
        tasks.spawn(async move {
            let mut last = Instant::now();
            let mut tick = tokio::time::interval(TICK);
            loop {
                let now = tick.tick().await;
                load.with(|shop| shop.advance(now.duration_since(last).as_secs_f64()));
                last = now;
            }
        });
        Ok(port)
    }
}
