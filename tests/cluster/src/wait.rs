//! Waiting for a condition, never for a time.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, Result};

/// Asks again and again, every 20 ms at first and every 200 ms later, until there is an answer.
///
/// # Errors
/// There was none within `limit`; the error says what was awaited.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: impl std::fmt::Display,
    limit: Duration,
    mut ask: impl FnMut() -> F,
) -> Result<T> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(20);
    loop {
        if let Ok(Some(answer)) = tokio::time::timeout(limit, ask()).await {
            return Ok(answer);
        }
        if started.elapsed() > limit {
            return Err(Error(format!("waited {}s in vain for {what}", limit.as_secs())));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(Duration::from_millis(200));
    }
}
