//! Whether the API server answers: asked every two seconds, independently of the watches.

use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const PERIOD: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(3);
/// One lost answer is no outage.
const FAILURES: u32 = 2;

/// Starts asking; the receiver says whether the API server answers.
#[must_use]
pub fn spawn(client: Client, shutdown: CancellationToken) -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(true);
    tokio::spawn(async move {
        let mut failures = 0;
        loop {
            let answer = tokio::time::timeout(TIMEOUT, client.apiserver_version()).await;
            failures = if matches!(answer, Ok(Ok(_))) { 0 } else { failures + 1 };
            sender.send_if_modified(|healthy| {
                let now = failures < FAILURES;
                if now != *healthy {
                    tracing::warn!(healthy = now, "API server reachability changed");
                }
                std::mem::replace(healthy, now) != now
            });
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    });
    receiver
}
