//! Repositories behind HTTP: the requests of Git's smart protocol, each within the fetch's time and bytes.
//!
//! Credentials go to the origin they are meant for and nowhere else; redirects are followed by hand for that reason.

use std::any::Any;
use std::error::Error as _;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use gix::protocol::transport::client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse};
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Certificate, Method, StatusCode, Url};

use super::guard::{Failure, Meter, Metered};
use super::request::{Credentials, is_loopback, printable, shown_url};

/// Redirects followed for one request.
const MAX_HOPS: usize = 5;

type Body = BufReader<Metered<Response>>;

/// Sends requests.
#[derive(Clone)]
pub(super) struct Sender {
    client: Client,
    meter: Arc<Meter>,
    credentials: Credentials,
    /// Where the credentials belong to.
    origin: Url,
}

/// Git's view of [`Sender`].
pub(super) struct HttpClient {
    sender: Sender,
    redirected: Option<String>,
}

impl HttpClient {
    /// A client for `url`; the error says what is wrong with the certificate authorities.
    pub fn new(url: &Url, credentials: &Credentials, ca: Option<&str>, meter: &Arc<Meter>) -> Result<Self, String> {
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
            sender: Sender {
                client: builder.build().map_err(|err| chain(&err))?,
                meter: Arc::clone(meter),
                credentials: credentials.clone(),
                origin: url.clone(),
            },
            redirected: None,
        })
    }
}

/// An error and its causes in one line.
fn chain(err: &reqwest::Error) -> String {
    let mut cause = err.source();
    let mut last = String::new();
    while let Some(err) = cause {
        last = err.to_string();
        cause = err.source();
    }
    printable(if last.is_empty() { "the request failed" } else { &last }, 300)
}

fn is_tls(err: &reqwest::Error) -> bool {
    let mut cause = err.source();
    while let Some(err) = cause {
        if err.is::<rustls::Error>() {
            return true;
        }
        if let Some(err) = err.downcast_ref::<io::Error>()
            && err
                .get_ref()
                .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
        {
            return true;
        }
        cause = err.source();
    }
    false
}

fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host_str() == b.host_str() && a.port_or_known_default() == b.port_or_known_default()
}

impl Sender {
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
                Failure::Tls(chain(&err))
            } else {
                Failure::Network(chain(&err))
            })
        })
    }

    /// Credentials belong to one origin; the same host may upgrade to https.
    fn may_log_in(&self, url: &Url) -> bool {
        let upgraded = url.scheme() == "https"
            && url.port().is_none()
            && self.origin.port().is_none()
            && url.host_str() == self.origin.host_str();
        (same_origin(&self.origin, url) || upgraded) && (url.scheme() == "https" || is_loopback(url))
    }

    /// Sends, follows redirects of a GET, and answers only with what Git expects: `wanted` is the content type.
    fn exchange(
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

    fn body(&self, response: Response) -> Body {
        BufReader::with_capacity(
            64 * 1024,
            Metered {
                inner: response,
                meter: Arc::clone(&self.meter),
            },
        )
    }
}

fn header_map(headers: impl IntoIterator<Item = impl AsRef<str>>) -> HeaderMap {
    headers
        .into_iter()
        .filter_map(|line| {
            let (name, value) = line.as_ref().split_once(':')?;
            let name = name.trim().parse::<HeaderName>().ok()?;
            // The library's own name and version are nobody's business.
            let value = HeaderValue::from_str(value.trim()).ok()?;
            (name != reqwest::header::USER_AGENT).then_some((name, value))
        })
        .collect()
}

fn content_type_line(wanted: &str) -> Cursor<Vec<u8>> {
    Cursor::new(format!("content-type: {wanted}\n").into_bytes())
}

fn parse_url(sender: &Sender, url: &str) -> io::Result<Url> {
    Url::parse(url).map_err(|err| sender.meter.fail(Failure::Network(err.to_string())))
}

const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
const RESULT: &str = "application/x-git-upload-pack-result";

impl Http for HttpClient {
    type Headers = Headers;
    type ResponseBody = LazyBody;
    type PostBody = PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Self::Headers, Self::ResponseBody>> {
        let tail = url.strip_prefix(base_url).unwrap_or_default();
        let url = parse_url(&self.sender, url).map_err(gix::Error::from_error)?;
        let (at, response) = self
            .sender
            .exchange(&Method::GET, &url, &header_map(headers), &[], ADVERTISEMENT)
            .map_err(gix::Error::from_error)?;
        if at != url {
            let tail = tail.split('?').next().unwrap_or_default();
            let mut base = at;
            base.set_query(None);
            self.redirected = base
                .as_str()
                .strip_suffix(tail.trim_start_matches('/'))
                .map(str::to_owned);
        }
        Ok(GetResponse {
            headers: Headers::Known(content_type_line(ADVERTISEMENT)),
            body: LazyBody {
                call: None,
                body: Some(self.sender.body(response)),
            },
        })
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _kind: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let call = Arc::new(Mutex::new(Call {
            sender: self.sender.clone(),
            url: parse_url(&self.sender, url).map_err(gix::Error::from_error)?,
            headers: header_map(headers),
            body: Vec::new(),
            response: None,
            sent: false,
        }));
        Ok(PostResponse {
            post_body: PostBody(Arc::clone(&call)),
            headers: Headers::Lazy(Arc::clone(&call)),
            body: LazyBody {
                call: Some(call),
                body: None,
            },
        })
    }

    fn configure(&mut self, _config: &dyn Any) -> gix::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.redirected.clone()
    }
}

/// A POST: its body is written first, and it is sent when the first thing of the answer is wanted.
pub(super) struct Call {
    sender: Sender,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    response: Option<Body>,
    sent: bool,
}

impl Call {
    fn send(call: &Mutex<Self>) -> io::Result<()> {
        let mut call = call.lock().unwrap_or_else(PoisonError::into_inner);
        if !call.sent {
            call.sent = true;
            let (_, response) = call
                .sender
                .exchange(&Method::POST, &call.url, &call.headers, &call.body, RESULT)?;
            call.response = Some(call.sender.body(response));
        }
        Ok(())
    }
}

/// Collects what is to be posted.
pub(super) struct PostBody(Arc<Mutex<Call>>);

impl Write for PostBody {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut call = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        call.body.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The one header Git looks at: it has been checked when it is shown.
pub(super) enum Headers {
    Known(Cursor<Vec<u8>>),
    Lazy(Arc<Mutex<Call>>),
}

impl Headers {
    fn known(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        if let Self::Lazy(call) = self {
            Call::send(call)?;
            *self = Self::Known(content_type_line(RESULT));
        }
        match self {
            Self::Known(cursor) => Ok(cursor),
            Self::Lazy(_) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Read for Headers {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.known()?.read(buf)
    }
}

impl BufRead for Headers {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.known()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Self::Known(cursor) = self {
            cursor.consume(amount);
        }
    }
}

/// The body of an answer.
pub(super) struct LazyBody {
    call: Option<Arc<Mutex<Call>>>,
    body: Option<Body>,
}

impl LazyBody {
    fn body(&mut self) -> io::Result<&mut Body> {
        if let Some(call) = self.call.take() {
            Call::send(&call)?;
            self.body = call.lock().unwrap_or_else(PoisonError::into_inner).response.take();
        }
        self.body.as_mut().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Read for LazyBody {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.body()?.read(buf)
    }
}

impl BufRead for LazyBody {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.body()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Some(body) = &mut self.body {
            body.consume(amount);
        }
    }
}
