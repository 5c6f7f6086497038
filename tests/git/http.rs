//! Repositories behind HTTP: logging in, and servers that behave badly.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use homeostat::edge::git::{Credentials, GitError, Limits, Outcome, Request};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::local::noise;
use crate::support::{Behaviour, CONFIG, Reader, Repo, Server, fails, fetched, paths, read, silent};

const SECRET: &str = "s3cr3t-T0ken";

fn basic() -> Credentials {
    Credentials::Basic {
        username: "bot".into(),
        password: SECRET.into(),
    }
}

fn basic_header() -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("bot:{SECRET}"));
    format!("Basic {text}")
}

fn html(status: &str) -> String {
    let page = "<html>Please log in</html>";
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    )
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

#[test]
fn public_repository_and_what_unchanged_costs() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let server = Server::git(repo.dir.path(), None);
    let mut reader = Reader::new();
    let mut request = server.request();
    let first = fetched(reader.fetch(&request));
    assert_eq!(paths(&first), ["a.yaml"]);
    let before = server.seen().len();
    request.last_seen = Some(first.revision);
    let start = Instant::now();
    assert!(matches!(reader.fetch(&request), Ok(Outcome::Unchanged { .. })));
    println!("unchanged over http in {:?}", start.elapsed());
    let seen = server.seen();
    assert_eq!(seen.len() - before, 2, "{seen:?}");
    assert!(seen.iter().all(|r| r.header("authorization").is_none()));

    let id = repo.commit(&[("b.yaml", CONFIG)], "second");
    let second = fetched(reader.fetch(&request));
    assert_eq!(
        (second.revision.as_str(), paths(&second)),
        (id.as_str(), vec!["a.yaml", "b.yaml"])
    );
}

#[test]
fn old_servers_do_too() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let root = repo.dir.path().to_owned();
    let server = Server::start(Behaviour::OldGit { root });
    let mut reader = Reader::new();
    let mut request = server.request();
    let first = fetched(reader.fetch(&request));
    assert_eq!(paths(&first), ["a.yaml"]);
    request.last_seen = Some(first.revision);
    assert!(matches!(reader.fetch(&request), Ok(Outcome::Unchanged { .. })));
    repo.commit(&[("b.yaml", CONFIG)], "second");
    assert_eq!(paths(&fetched(reader.fetch(&request))), ["a.yaml", "b.yaml"]);
    request.branch = "nope".into();
    assert!(matches!(fails(&request), GitError::BranchMissing { .. }));
}

#[tokio::test]
async fn from_within_a_runtime() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let server = Server::git(repo.dir.path(), None);
    let request = server.request();
    let fetched = tokio::task::spawn_blocking(move || read(&request)).await.unwrap();
    assert_eq!(paths(&fetched), ["a.yaml"]);
    assert!(
        !format!("{fetched:?}").contains("ConfigMap"),
        "no content in debug output"
    );
}

#[test]
fn basic_and_bearer() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let bearer = Credentials::Bearer { token: SECRET.into() };
    for (credentials, header) in [(basic(), basic_header()), (bearer, format!("Bearer {SECRET}"))] {
        let server = Server::git(repo.dir.path(), Some(&header));
        let mut request = server.request();
        request.credentials = credentials;
        assert_eq!(paths(&read(&request)), ["a.yaml"]);
        assert!(
            server
                .seen()
                .iter()
                .all(|r| r.header("authorization") == Some(header.as_str()))
        );
    }
}

#[test]
fn refused_access_is_lasting_and_never_tells_the_secret() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let server = Server::git(repo.dir.path(), Some("Basic bm9ib2R5Om5vcGU="));
    let mut request = server.request();
    let anonymous = fails(&request);
    assert!(
        matches!(
            anonymous,
            GitError::AuthFailed {
                status: 401,
                sent: false,
                ..
            }
        ),
        "{anonymous:?}"
    );
    request.credentials = basic();
    let err = fails(&request);
    assert!(
        matches!(
            err,
            GitError::AuthFailed {
                status: 401,
                sent: true,
                ..
            }
        ) && !err.is_transient(),
        "{err:?}"
    );
    for text in [format!("{err}"), format!("{err:?}"), format!("{request:?}")] {
        assert!(!text.contains(SECRET) && !text.contains(&basic_header()[6..]), "{text}");
    }
}

#[test]
fn missing_repository_and_branch_over_http() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let server = Server::git(repo.dir.path(), None);
    let mut request = server.request();
    request.branch = "nope".into();
    assert!(matches!(fails(&request), GitError::BranchMissing { .. }));
    request.url = request.url.replace("served", "gone");
    assert!(matches!(fails(&request), GitError::RepositoryNotFound { .. }));
    let empty = Repo::empty();
    let server = Server::git(empty.dir.path(), None);
    assert!(matches!(fails(&server.request()), GitError::EmptyRepository { .. }));
}

#[test]
fn more_than_the_limit_is_not_downloaded() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    repo.write("big.bin", noise(4 << 20));
    repo.commit(&[], "big");
    let limits = Limits {
        max_repository_bytes: 1 << 20,
        ..Limits::default()
    };
    let server = Server::git(repo.dir.path(), None);
    let err = Reader::new().fetcher.fetch(&server.request(), &limits).unwrap_err();
    assert!(matches!(err, GitError::TooLarge { limit: 1_048_576, .. }), "{err:?}");
}

fn times_out(mut request: Request) {
    request.timeout = Duration::from_millis(400);
    let start = Instant::now();
    let err = fails(&request);
    assert!(matches!(err, GitError::Timeout { .. }) && err.is_transient(), "{err:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn silent_servers_time_out() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let (port, _listener, _stream) = silent();
    times_out(Request::new(format!("http://127.0.0.1:{port}/served.git"), "main"));
    times_out(Request::new(format!("https://127.0.0.1:{port}/served.git"), "main"));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n".to_owned();
    times_out(Server::start(Behaviour::RawThenSilent(head.clone())).request());
    times_out(Server::start(Behaviour::Drip(head + "fff0")).request());
}

#[test]
fn nobody_listens() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let (port, listener, stream) = silent();
    drop((listener, stream));
    let err = fails(&Request::new(format!("http://127.0.0.1:{port}/served.git"), "main"));
    assert!(
        matches!(&err, GitError::Network { reason, .. } if reason.contains("refused")),
        "{err:?}"
    );
    assert!(err.is_transient());
    let err = fails(&Request::new("https://git.invalid/served.git", "main"));
    assert!(matches!(err, GitError::Network { .. }), "{err:?}");
}

#[test]
fn answers_that_are_not_git() {
    for (answer, reason, transient) in [
        (html("200 OK"), "NotAGitServer", false),
        (html("404 Not Found"), "RepositoryNotFound", false),
        (html("403 Forbidden"), "AuthenticationFailed", false),
        (html("429 Too Many Requests"), "ServerError", true),
        (html("503 Service Unavailable"), "ServerError", true),
        ("rubbish\r\n\r\n".to_owned(), "Unreachable", true),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: 4\r\n\r\nzzzz"
                .to_owned(),
            "FetchFailed",
            true,
        ),
    ] {
        let err = fails(&Server::start(Behaviour::Raw(answer.clone())).request());
        assert_eq!((err.reason(), err.is_transient()), (reason, transient), "{answer}\n{err:?}");
        println!("{err}");
    }
}

#[test]
fn redirect_loops_end() {
    let server = Server::start(Behaviour::Raw(redirect(
        "/served.git/info/refs?service=git-upload-pack",
    )));
    let err = fails(&server.request());
    assert!(
        matches!(err, GitError::Redirect { .. }) && !err.is_transient(),
        "{err:?}"
    );
    assert_eq!(server.seen().len(), 6);
}

#[test]
fn redirects_are_followed_without_credentials_only() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let target = Server::git(repo.dir.path(), None);
    let to = format!(
        "http://127.0.0.1:{}/served.git/info/refs?service=git-upload-pack",
        target.port
    );
    let server = Server::start(Behaviour::Raw(redirect(&to)));
    assert_eq!(paths(&read(&server.request())), ["a.yaml"]);
    assert_eq!(server.seen().len(), 1, "what follows goes to the target itself");

    let before = target.seen().len();
    let mut request = server.request();
    request.credentials = basic();
    let err = fails(&request);
    assert!(matches!(err, GitError::Redirect { .. }), "{err:?}");
    assert_eq!(target.seen().len(), before, "the other server sees nothing");
}

#[test]
fn redirects_elsewhere_are_refused() {
    for to in [
        "http://127.0.0.1/login",
        "file:///etc/passwd/info/refs",
        "http://u:hunter2@127.0.0.1/x/info/refs",
        "",
        "http://[::bad",
    ] {
        let err = fails(&Server::start(Behaviour::Raw(redirect(to))).request());
        assert!(matches!(err, GitError::Redirect { .. }), "{to}: {err:?}");
        assert!(!err.to_string().contains("hunter2"), "{err}");
    }
}

/// A certificate for 127.0.0.1 that vouches for itself: its PEM and a server's configuration.
fn certificate(dir: &std::path::Path) -> (String, Arc<rustls::ServerConfig>) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let status = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=homeostat-test", "-keyout", "key.pem", "-out", "cert.pem"])
        .args([
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let certificate = CertificateDer::from_pem_file(dir.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    (
        std::fs::read_to_string(dir.join("cert.pem")).unwrap(),
        Arc::new(config.unwrap()),
    )
}

#[test]
fn own_certificate_authority() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let (pem, config) = certificate(repo.dir.path());
    let behaviour = Behaviour::Git {
        root: repo.dir.path().to_owned(),
        authorization: Some(basic_header()),
    };
    let server = Server::start_with(behaviour, Some(config));
    let mut request = server.request();
    request.url = request.url.replace("http:", "https:");
    request.credentials = basic();
    let err = fails(&request);
    assert!(matches!(err, GitError::Tls { .. }) && !err.is_transient(), "{err:?}");
    request.ca = Some(pem);
    assert_eq!(paths(&read(&request)), ["a.yaml"]);
    for bad in [
        "",
        "rubbish",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        request.ca = Some(bad.into());
        let err = fails(&request);
        assert!(matches!(err, GitError::InvalidCa { .. }), "{bad}: {err:?}");
    }
}
