//! Git's smart protocol over HTTP: what the Git library asks for, as requests that [`Sender`] sends.

use std::any::Any;
use std::io::{self, BufRead, Cursor, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use gix::protocol::transport::client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::guard::Meter;
use super::request::Credentials;
use super::sender::{Body, Sender};

/// Git's view of [`Sender`].
pub(super) struct HttpClient {
    sender: Sender,
    redirected: Option<String>,
}

impl HttpClient {
    /// A client for `url`; the error says what is wrong with TLS, mostly with the certificate authorities.
    pub fn new(url: &Url, credentials: &Credentials, ca: Option<&str>, meter: &Arc<Meter>) -> Result<Self, String> {
        Ok(Self {
            sender: Sender::new(url, credentials, ca, meter)?,
            redirected: None,
        })
    }
}

fn header_map(headers: impl IntoIterator<Item = impl AsRef<str>>) -> HeaderMap {
    headers
        .into_iter()
        .filter_map(|line| {
            let (name, value) = line.as_ref().split_once(':')?;
            let name = name.trim().parse::<HeaderName>().ok()?;
            // The client sends its own.
            let value = HeaderValue::from_str(value.trim()).ok()?;
            (name != reqwest::header::USER_AGENT).then_some((name, value))
        })
        .collect()
}

fn content_type_line(wanted: &str) -> Cursor<Vec<u8>> {
    Cursor::new(format!("content-type: {wanted}\n").into_bytes())
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
        let url = self.sender.parse_url(url).map_err(gix::Error::from_error)?;
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
            url: self.sender.parse_url(url).map_err(gix::Error::from_error)?,
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
