//! Sends the HTTP requests of one fetch: within its time, with credentials for their own origin only, and with redirects
//! followed by hand for that reason.

use std::error::Error;
use std::io::{self, BufReader};
use std::sync::Arc;

use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Certificate, Method, StatusCode, Url};

use super::guard::{Failure, Meter, Metered};
use super::request::{Credentials, is_loopback, printable, shown_url};

/// Redirects followed for one request.
const MAX_HOPS: usize = 5;

/// The body of an answer, counted.
pub(super) type Body = BufReader<Metered<Response>>;

/// Sends requests.
#[derive(Clone)]
pub(super) struct Sender {
    client: Client,
    meter: Arc<Meter>,
    credentials: Credentials,
    /// Where the credentials belong to.
    origin: Url,
}

/// What is behind an error. An I/O error's `source` leaves out what it wraps, so that is looked at by hand.
fn behind<'a>(err: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match err.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => err.source(),
    }
}

fn causes(err: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(err.source(), |err| behind(*err))
}

/// What an error comes from in the end.
fn root_cause(err: &reqwest::Error) -> String {
    let root = causes(err).last().map(ToString::to_string);
    printable(root.as_deref().unwrap_or("the request failed"), 300)
}

fn is_tls(err: &reqwest::Error) -> bool {
    causes(err).any(<dyn Error>::is::<rustls::Error>)
}

fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host_str() == b.host_str() && a.port_or_known_default() == b.port_or_known_default()
}

impl Sender {
    /// A client for `url`; the error says what is wrong with the certificate authorities.
    pub fn new(url: &Url, credentials: &Credentials, ca: Option<&str>, meter: &Arc<Meter>) -> Result<Self, String> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // The client would panic.
            return Err("the program has no TLS provider installed".to_owned());
        }
        let mut builder = Client::builder()
            .connect_timeout(meter.remaining())
            .timeout(meter.remaining())
            .redirect(reqwest::redirect::Policy::none())
            .no_gzip()
            .user_agent(concat!("git/homeostat-", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = ca {
            let roots = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|err| err.to_string())?;
            if roots.is_empty() {
                return Err("there is no certificate in it".to_owned());
            }
            builder = builder.tls_certs_only(roots);
        } else if url.scheme() == "http" {
            // Nothing to verify: do not load the system's authorities for it.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            client: builder.build().map_err(|err| root_cause(&err))?,
            meter: Arc::clone(meter),
            credentials: credentials.clone(),
            origin: url.clone(),
        })
    }

    /// Parses a URL that the Git library made.
    pub fn parse_url(&self, url: &str) -> io::Result<Url> {
        Url::parse(url).map_err(|err| self.meter.fail(Failure::Network(err.to_string())))
    }

    fn request(&self, method: &Method, url: &Url, headers: &HeaderMap, body: &[u8]) -> io::Result<Response> {
        self.meter.check()?;
        let mut request = self
            .client
            .request(method.clone(), url.clone())
            .timeout(self.meter.remaining())
            .headers(headers.clone());
        if self.may_log_in(url) {
            request = match &self.credentials {
                Credentials::None => request,
                Credentials::Basic { username, password } => request.basic_auth(username, Some(password)),
                Credentials::Bearer { token } => request.bearer_auth(token),
            };
        }
        if *method == Method::POST {
            request = request.body(body.to_vec());
        }
        request.send().map_err(|err| {
            self.meter.fail(if err.is_timeout() {
                Failure::Timeout
            } else if is_tls(&err) {
                Failure::Tls(root_cause(&err))
            } else {
                Failure::Network(root_cause(&err))
            })
        })
    }

    /// Credentials belong to one origin, and travel encrypted or not beyond this machine.
    fn may_log_in(&self, url: &Url) -> bool {
        same_origin(&self.origin, url) && (url.scheme() == "https" || is_loopback(url))
    }

    /// Sends, follows redirects of a GET, and answers only with what Git expects: `wanted` is the content type.
    pub fn exchange(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: &[u8],
        wanted: &str,
    ) -> io::Result<(Url, Response)> {
        let mut url = url.clone();
        for _ in 0..=MAX_HOPS {
            let response = self.request(method, &url, headers, body)?;
            let status = response.status();
            if status.is_redirection() {
                url = self.next_hop(method, &url, &response)?;
                continue;
            }
            self.check_answer(status, &response, wanted)?;
            return Ok((url, response));
        }
        Err(self.meter.fail(Failure::Redirect {
            to: shown_url(url.as_str()),
            reason: format!("it is the redirect number {} in a row; use the final URL", MAX_HOPS + 1),
        }))
    }

    fn next_hop(&self, method: &Method, url: &Url, response: &Response) -> io::Result<Url> {
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let refuse = |reason: &str| {
            self.meter.fail(Failure::Redirect {
                to: shown_url(location),
                reason: reason.to_owned(),
            })
        };
        let next = url.join(location).map_err(|_| refuse("it is not a URL"))?;
        if *method != Method::GET {
            return Err(refuse("only the first request may be redirected; use the final URL"));
        }
        if !next.username().is_empty() || next.password().is_some() {
            return Err(refuse("it holds a user or password; use the final URL"));
        }
        let downgrade = url.scheme() == "https" && next.scheme() != "https";
        if downgrade || !matches!(next.scheme(), "http" | "https") {
            return Err(refuse("it is less safe than where it comes from; use the final URL"));
        }
        if !next.path().ends_with("/info/refs") {
            return Err(refuse("it does not look like a repository; it may be a login page"));
        }
        if !self.credentials.is_none() && !self.may_log_in(&next) {
            return Err(refuse("credentials are not taken to another server; use the final URL"));
        }
        Ok(next)
    }

    fn check_answer(&self, status: StatusCode, response: &Response, wanted: &str) -> io::Result<()> {
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let failure = match status.as_u16() {
            200..=299 if content_type == wanted => return Ok(()),
            200..=299 if content_type.is_empty() => Failure::NotGit("it does not say what it sends".into()),
            200..=299 => Failure::NotGit(format!("it sends {}", printable(content_type, 80))),
            status @ (401 | 403) => Failure::Auth { status },
            404 | 410 => Failure::NotFound,
            status @ (408 | 425 | 429 | 500..=599) => Failure::Status(status),
            status => Failure::NotGit(format!("it answered {status}")),
        };
        Err(self.meter.fail(failure))
    }

    /// What an answer holds.
    pub fn body(&self, response: Response) -> Body {
        BufReader::with_capacity(
            64 * 1024,
            Metered {
                inner: response,
                meter: Arc::clone(&self.meter),
            },
        )
    }
}
