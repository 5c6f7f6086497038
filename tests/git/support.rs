//! Repositories to read, and a server to read them from.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use homeostat::edge::git::{Fetched, Fetcher, GitError, Limits, Outcome, Request};
use tempfile::TempDir;

/// A bare repository and a work tree that pushes to it.
pub struct Repo {
    pub dir: TempDir,
}

impl Repo {
    pub fn empty() -> Self {
        let repo = Self {
            dir: TempDir::new().unwrap(),
        };
        git(repo.dir.path(), &["init", "-q", "--bare", "-b", "main", "served.git"]);
        git(repo.dir.path(), &["init", "-q", "-b", "main", "work"]);
        git(&repo.work(), &["remote", "add", "origin", "../served.git"]);
        repo
    }

    /// With one commit that holds these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let repo = Self::empty();
        repo.commit(files, "first");
        repo
    }

    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub fn served(&self) -> PathBuf {
        self.dir.path().join("served.git")
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Commits and pushes; answers the commit's id.
    pub fn commit(&self, files: &[(&str, &str)], message: &str) -> String {
        for (path, content) in files {
            self.write(path, content);
        }
        git(&self.work(), &["add", "-A"]);
        git(&self.work(), &["commit", "-q", "--allow-empty", "-m", message]);
        git(&self.work(), &["push", "-q", "-f", "origin", "HEAD"]);
        git(&self.work(), &["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub fn request(&self) -> Request {
        Request::new(format!("file://{}", self.served().display()), "main")
    }
}

/// Runs git without anybody's configuration.
pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "core.compression=0", "-c", "gc.auto=0"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "a")
        .env("GIT_AUTHOR_EMAIL", "a@example.com")
        .env("GIT_COMMITTER_NAME", "a")
        .env("GIT_COMMITTER_EMAIL", "a@example.com")
        .env("GIT_COMMITTER_DATE", "2026-11-01T10:00:00Z")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A fetcher with a directory of its own.
pub struct Reader {
    pub fetcher: Fetcher,
    pub dir: TempDir,
}

impl Reader {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Self {
            fetcher: Fetcher::new(dir.path()),
            dir,
        }
    }

    pub fn fetch(&mut self, request: &Request) -> Result<Outcome, GitError> {
        self.fetcher.fetch(request, &Limits::default())
    }
}

/// Reads with a new fetcher and expects news.
pub fn read(request: &Request) -> Fetched {
    fetched(Reader::new().fetch(request))
}

pub fn fetched(outcome: Result<Outcome, GitError>) -> Fetched {
    match outcome {
        Ok(Outcome::Fetched(fetched)) => *fetched,
        other => panic!("{other:?}"),
    }
}

pub fn fails(request: &Request) -> GitError {
    Reader::new().fetch(request).unwrap_err()
}

pub fn paths(fetched: &Fetched) -> Vec<&str> {
    fetched.files.iter().map(|f| f.path.as_str()).collect()
}

pub const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

/// How the server behaves.
#[derive(Clone)]
pub enum Behaviour {
    /// Serves repositories below a directory, to those who send this header.
    Git {
        root: PathBuf,
        authorization: Option<String>,
    },
    /// As an old server, that knows no protocol version 2.
    OldGit { root: PathBuf },
    /// Always this answer.
    Raw(String),
    /// Always this answer, and then the connection stays open.
    RawThenSilent(String),
    /// This answer, then one byte after the other, for ever.
    Drip(String),
}

/// One request that was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<(String, String)>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// A server on loopback.
pub struct Server {
    pub port: u16,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub fn start(behaviour: Behaviour) -> Self {
        Self::start_with(behaviour, None)
    }

    pub fn start_with(behaviour: Behaviour, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (behaviour, log, tls) = (behaviour.clone(), Arc::clone(&log), tls.clone());
                thread::spawn(move || match tls {
                    None => serve(stream, &behaviour, &log),
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config).unwrap();
                        serve(rustls::StreamOwned::new(connection, stream), &behaviour, &log);
                    }
                });
            }
        });
        Self { port, seen }
    }

    pub fn git(root: &Path, authorization: Option<&str>) -> Self {
        Self::start(Behaviour::Git {
            root: root.to_owned(),
            authorization: authorization.map(str::to_owned),
        })
    }

    pub fn request(&self) -> Request {
        Request::new(format!("http://127.0.0.1:{}/served.git", self.port), "main")
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(stream: impl Read + Write, behaviour: &Behaviour, log: &Mutex<Vec<Seen>>) {
    let mut stream = BufReader::new(stream);
    let Some((seen, body)) = read_request(&mut stream) else {
        return;
    };
    log.lock().unwrap().push(seen.clone());
    let mut stream = stream.into_inner();
    match behaviour {
        Behaviour::Raw(answer) => {
            stream.write_all(answer.as_bytes()).ok();
        }
        Behaviour::RawThenSilent(answer) => {
            stream.write_all(answer.as_bytes()).ok();
            stream.flush().ok();
            stream.read_to_end(&mut Vec::new()).ok();
        }
        Behaviour::Drip(answer) => {
            stream.write_all(answer.as_bytes()).ok();
            while stream.write_all(b"0").and_then(|()| stream.flush()).is_ok() {
                // The pace of this server; nothing waits for it.
                thread::sleep(Duration::from_millis(20));
            }
        }
        Behaviour::Git { authorization, .. }
            if authorization
                .as_deref()
                .is_some_and(|wanted| seen.header("authorization") != Some(wanted)) =>
        {
            let challenge = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\n";
            let echo = seen.header("authorization").unwrap_or_default();
            let text = format!("{challenge}X-Echo: {echo}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(text.as_bytes()).ok();
        }
        Behaviour::Git { root, .. } => {
            stream.write_all(&backend(root, &seen, &body, true)).ok();
        }
        Behaviour::OldGit { root } => {
            stream.write_all(&backend(root, &seen, &body, false)).ok();
        }
    }
    stream.flush().ok();
}

fn read_request(stream: &mut impl BufRead) -> Option<(Seen, Vec<u8>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
    let seen = Seen {
        line: lines[0].clone(),
        headers: headers.map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect(),
    };
    let length = seen.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((seen, body))
}

/// `git http-backend` as a web server runs it.
fn backend(root: &Path, seen: &Seen, body: &[u8], modern: bool) -> Vec<u8> {
    let mut words = seen.line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", seen.header("content-type").unwrap_or_default())
        .env("CONTENT_LENGTH", body.len().to_string())
        .env(
            "GIT_PROTOCOL",
            seen.header("git-protocol").filter(|_| modern).unwrap_or_default(),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).ok();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head
        .lines()
        .find_map(|l| l.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let content = &output[end + 4..];
    let mut answer = format!(
        "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    )
    .into_bytes();
    answer.extend_from_slice(content);
    answer
}

/// Waits until `done`, for at most ten seconds.
pub fn eventually(done: impl Fn() -> bool) -> bool {
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if done() {
            return true;
        }
        thread::yield_now();
    }
    false
}

/// A connection that never becomes a request: somebody accepts and says nothing.
pub fn silent() -> (u16, TcpListener, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    (port, listener, stream)
}
