//! A Prometheus that does as it is told, and counts what it is asked. Expressions are plain words.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use homeostat_cluster::wait;

use crate::stage::LIMIT;

/// How a query is answered.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// A value of now.
    Value(f64),
    /// A value of a day ago.
    Yesterday(f64),
    /// A login page.
    Html,
    /// Ten megabytes.
    Huge,
    /// An HTTP error from a proxy.
    Status(u16),
    /// Nothing, for ever.
    Hang,
}

#[derive(Default)]
struct Inner {
    answers: BTreeMap<String, Answer>,
    asked: Vec<(String, Instant)>,
}

/// The server; clones are the same one.
#[derive(Clone)]
pub struct Fake {
    inner: Arc<Mutex<Inner>>,
    port: u16,
}

impl Fake {
    /// Starts to listen. What nobody gave an answer for is zero.
    pub async fn serve() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            inner: Arc::default(),
            port: listener.local_addr().unwrap().port(),
        };
        let this = fake.clone();
        let handle = move |body: String| async move { this.answer(&body).await };
        let router = Router::new().route("/api/v1/query", any(handle));
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Says how an expression is answered from now on.
    pub fn set(&self, expr: &str, answer: Answer) {
        self.inner.lock().unwrap().answers.insert(expr.to_owned(), answer);
    }

    /// When an expression was asked.
    pub fn asked(&self, expr: &str) -> Vec<Instant> {
        let inner = self.inner.lock().unwrap();
        inner
            .asked
            .iter()
            .filter(|(e, _)| e == expr)
            .map(|(_, at)| *at)
            .collect()
    }

    /// Waits until an expression has been asked so many times more.
    pub async fn asked_more(&self, expr: &str, times: usize) {
        let before = self.asked(expr).len();
        wait::until(format!("{times} more requests for {expr}"), LIMIT, || async {
            (self.asked(expr).len() >= before + times).then_some(())
        })
        .await
        .unwrap();
    }

    async fn answer(&self, body: &str) -> Response {
        let expr = body
            .split('&')
            .find_map(|pair| pair.strip_prefix("query="))
            .unwrap_or_default();
        let answer = {
            let mut inner = self.inner.lock().unwrap();
            inner.asked.push((expr.to_owned(), Instant::now()));
            inner.answers.get(expr).copied().unwrap_or(Answer::Value(0.0))
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        match answer {
            Answer::Value(value) => vector(now, value, ""),
            Answer::Yesterday(value) => vector(now - 86_400.0, value, ""),
            Answer::Html => "<html><body>Please log in</body></html>".into_response(),
            Answer::Huge => vector(now, 1.0, &"x".repeat(10 << 20)),
            Answer::Status(code) => {
                let code = StatusCode::from_u16(code).unwrap();
                (code, "<html>no upstream</html>").into_response()
            }
            Answer::Hang => std::future::pending().await,
        }
    }
}

fn vector(at: f64, value: f64, label: &str) -> Response {
    format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{"l":"{label}"}},"value":[{at:.3},"{value}"]}}]}}}}"#
    )
    .into_response()
}
