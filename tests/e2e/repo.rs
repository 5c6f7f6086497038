//! A repository that a GitSource reads, and a work tree that pushes to it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use axum::Router;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use tempfile::TempDir;

/// A bare repository and a work tree that pushes to it.
pub struct Repo {
    dir: TempDir,
}

impl Repo {
    /// Nothing was pushed yet.
    pub fn empty() -> Self {
        let repo = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        git(repo.dir.path(), &["init", "-q", "--bare", "-b", "main", "served.git"]);
        git(repo.dir.path(), &["init", "-q", "-b", "main", "work"]);
        git(&repo.work(), &["remote", "add", "origin", "../served.git"]);
        repo
    }

    /// Where files are written.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// What is served.
    pub fn served(&self) -> PathBuf {
        self.dir.path().join("served.git")
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.served().display())
    }

    /// Serves it by http until the story ends; its URL.
    pub async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let root = self.dir.path().to_owned();
        let answer = move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            tokio::task::spawn_blocking(move || backend(&root, &parts, &body))
                .await
                .unwrap()
        };
        let router = Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://127.0.0.1:{port}/served.git")
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn link(&self, path: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.work().join(path)).unwrap();
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.work().join(path)).unwrap();
    }

    /// Commits everything in the work tree and pushes it; the revision as a GitSource shows it.
    pub fn push(&self, message: &str) -> String {
        git(&self.work(), &["add", "-A"]);
        git(&self.work(), &["commit", "-q", "--allow-empty", "-m", message]);
        self.push_head()
    }

    /// Takes back the last commit by another one, and pushes that.
    pub fn revert(&self) -> String {
        git(&self.work(), &["revert", "--no-edit", "HEAD"]);
        self.push_head()
    }

    /// Takes the last commit out of the history, and pushes that by force.
    pub fn force_back(&self) -> String {
        git(&self.work(), &["reset", "-q", "--hard", "HEAD~1"]);
        self.push_head()
    }

    fn push_head(&self) -> String {
        git(&self.work(), &["push", "-q", "-f", "origin", "HEAD:main"]);
        format!("main@sha1:{}", git(&self.work(), &["rev-parse", "HEAD"]).trim())
    }
}

/// As a web server runs `git http-backend`.
fn backend(root: &Path, parts: &Parts, body: &[u8]) -> (StatusCode, HeaderMap, Vec<u8>) {
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    };
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let (mut status, mut headers) = (StatusCode::OK, HeaderMap::new());
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Status" {
            status = value[..3].parse().unwrap();
        } else {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
    }
    (status, headers, output[end + 4..].to_vec())
}

/// Runs git without anybody's configuration.
fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "gc.auto=0"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "a")
        .env("GIT_AUTHOR_EMAIL", "a@example.com")
        .env("GIT_COMMITTER_NAME", "a")
        .env("GIT_COMMITTER_EMAIL", "a@example.com")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}
