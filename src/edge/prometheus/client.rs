//! One Prometheus server.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use prometheus_http_query::Client;

use super::answer::failed;
use super::tls::Tls;
use crate::core::sample::{QueryError, Reading};

/// An answer may not be larger.
const BODY_MAX: usize = 2 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How the operator says who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// By a bearer token.
    Bearer(Secret),
    /// By user name and password.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
}

/// A server and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// By which triggers name it.
    pub name: String,
    /// Base URL.
    pub url: String,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How the operator says who it is.
    pub auth: Auth,
    /// Whom the server must be, and who the operator is, by certificates; `None`: the system's authorities, no certificate.
    pub tls: Option<Tls>,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
}

/// Why a server cannot be spoken to at all.
#[derive(Clone, Debug, thiserror::Error)]
#[error("Prometheus server {name}: {problem}")]
pub struct ServerError {
    /// Which.
    pub name: String,
    /// What is wrong.
    pub problem: String,
}

/// A client of one server. Cheap to clone; equal are those that were cloned from one another.
#[derive(Clone)]
pub struct PrometheusClient {
    client: Arc<Client>,
    timeout: Duration,
}

impl PartialEq for PrometheusClient {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.client, &other.client)
    }
}

impl PrometheusClient {
    /// A client of this server.
    ///
    /// # Errors
    /// The URL, a header or a certificate is malformed.
    pub fn new(config: &ServerConfig) -> Result<Self, ServerError> {
        let err = |problem: String| ServerError {
            name: config.name.clone(),
            problem,
        };
        let mut builder = reqwest::Client::builder()
            .default_headers(headers(config).map_err(err)?)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(config.timeout)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(tls) = &config.tls {
            builder = builder.tls_backend_preconfigured(tls.client_config().map_err(err)?);
        }
        let http = builder.build().map_err(|e| err(e.to_string()))?;
        let client = Client::from(http, &config.url).map_err(|e| err(e.to_string()))?;
        Ok(Self {
            client: Arc::new(client),
            timeout: config.timeout,
        })
    }

    /// Asks an instant query; the answer as it came, with its HTTP status, or why there is none.
    ///
    /// # Errors
    /// The failure, as a reading.
    pub(crate) async fn raw(&self, expr: &str) -> Result<(u16, Vec<u8>), Reading> {
        match tokio::time::timeout(self.timeout, self.fetch(expr)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.too_slow()),
        }
    }

    async fn fetch(&self, expr: &str) -> Result<(u16, Vec<u8>), Reading> {
        let mut response = match self.client.query(expr).post_raw().await {
            Ok(response) => response,
            Err(error) => return Err(self.unreachable(&error)),
        };
        let status = response.status().as_u16();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > BODY_MAX => {
                    let message = format!("the answer is larger than {BODY_MAX} bytes: the query must give one number");
                    return Err(failed(QueryError::TooLarge, message));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) if error.is_timeout() => return Err(self.too_slow()),
                Err(_) => {
                    return Err(failed(
                        QueryError::Unreachable,
                        "the connection broke in the middle of the answer",
                    ));
                }
            }
        }
        if (300..400).contains(&status) {
            return Err(failed(
                QueryError::Status,
                format!("the server redirects (HTTP {status}): name its final URL"),
            ));
        }
        Ok((status, body))
    }

    fn too_slow(&self) -> Reading {
        let seconds = self.timeout.as_secs_f64();
        failed(
            QueryError::Timeout,
            format!("no answer within {seconds}s: is the server overloaded, or the query too heavy?"),
        )
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Reading {
        let mut causes = Vec::new();
        let mut cause = Some(error);
        while let Some(this) = cause {
            if let Some(http) = this.downcast_ref::<reqwest::Error>()
                && http.is_timeout()
            {
                return self.too_slow();
            }
            if let Some(tls) = this.downcast_ref::<rustls::Error>() {
                return untrusted(self.client.base_url().as_str(), tls);
            }
            causes.push(this.to_string());
            cause = behind(this);
        }
        let last = causes.pop().unwrap_or_default();
        let url = self.client.base_url();
        let message = format!("no connection to {url}: is it up, and its url in the OperatorConfig right? ({last})");
        failed(QueryError::Unreachable, message)
    }
}

/// What is behind an error. An I/O error's `source` leaves out what it wraps, so that is looked at by hand.
fn behind<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// One of the two does not accept the other's certificate.
fn untrusted(url: &str, error: &rustls::Error) -> Reading {
    let advice = match error {
        rustls::Error::InvalidCertificate(_) => {
            "its certificate is not accepted: name the authority that signed it in tls.caSecretRef of the OperatorConfig, and \
             in tls.serverName the name that it carries, if that is not the URL's"
        }
        rustls::Error::AlertReceived(_) => {
            "it refuses the operator's certificate, or wants one: see tls.clientCertificateSecretRef of the OperatorConfig"
        }
        _ => "TLS failed",
    };
    failed(
        QueryError::Unreachable,
        format!("no connection to {url}: {advice} ({error})"),
    )
}

fn headers(config: &ServerConfig) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is not a header name"))?;
        let value = HeaderValue::from_str(value).map_err(|_| format!("the value of header {name} is not one line"))?;
        headers.insert(name, value);
    }
    let credentials = match &config.auth {
        Auth::None => return Ok(headers),
        Auth::Bearer(token) => format!("Bearer {}", token.0.trim()),
        Auth::Basic { username, password } => {
            use base64::Engine as _;
            let pair = format!("{username}:{}", password.0);
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
    };
    let mut value = HeaderValue::from_str(&credentials).map_err(|_| "the credentials are not one line".to_owned())?;
    value.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, value);
    Ok(headers)
}
