//! Repositories on disk: what a branch may go through, and what ends a fetch.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use homeostat::edge::git::{GitError, Limits, Outcome, Request};

use crate::support::{CONFIG, Reader, Repo, eventually, fails, fetched, git, paths, read};

#[test]
fn first_look_reads_the_path() {
    let repo = Repo::empty();
    let id = repo.commit(
        &[
            ("prod/a.yaml", CONFIG),
            ("prod/sub/b.json", "{}"),
            ("prod/c.txt", "x"),
            ("dev/d.yaml", CONFIG),
        ],
        "Raise the ceiling\n\nBecause.",
    );
    let mut request = repo.request();
    request.path = "prod".into();
    let fetched = read(&request);
    assert_eq!(paths(&fetched), ["prod/a.yaml", "prod/sub/b.json"]);
    assert_eq!(fetched.revision, id);
    assert_eq!(fetched.revision_text, format!("main@sha1:{id}"));
    assert_eq!(fetched.subject, "Raise the ceiling");
    assert_eq!(fetched.committed_at.unwrap().to_string(), "2026-11-01T10:00:00.000Z");
    assert!(fetched.problems.is_empty());
}

#[test]
fn unchanged_then_new_commit_then_force_push_back() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let mut reader = Reader::new();
    let mut request = repo.request();
    let first = fetched(reader.fetch(&request));
    request.last_seen = Some(first.revision.clone());
    assert!(matches!(reader.fetch(&request), Ok(Outcome::Unchanged { revision }) if revision == first.revision));

    let id = repo.commit(&[("b.yaml", CONFIG)], "second");
    let second = fetched(reader.fetch(&request));
    assert_eq!(second.revision, id);
    assert_eq!(paths(&second), ["a.yaml", "b.yaml"]);

    git(&repo.work(), &["reset", "-q", "--hard", &first.revision]);
    git(&repo.work(), &["push", "-q", "-f", "origin", "HEAD"]);
    request.last_seen = Some(id);
    let back = fetched(reader.fetch(&request));
    assert_eq!(back.revision, first.revision);
    assert_eq!(paths(&back), ["a.yaml"]);
}

#[test]
fn force_push_of_an_unrelated_history() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let mut reader = Reader::new();
    let mut request = repo.request();
    request.last_seen = Some(fetched(reader.fetch(&request)).revision);
    git(&repo.work(), &["checkout", "-q", "--orphan", "other"]);
    git(&repo.work(), &["rm", "-rfq", "."]);
    git(&repo.work(), &["branch", "-D", "main"]);
    git(&repo.work(), &["branch", "-m", "main"]);
    let id = repo.commit(&[("z.yaml", CONFIG)], "anew");
    let after = fetched(reader.fetch(&request));
    assert_eq!((after.revision.as_str(), paths(&after)), (id.as_str(), vec!["z.yaml"]));
}

#[test]
fn many_fetches_recreate_the_copy() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let mut reader = Reader::new();
    for n in 0..45 {
        let id = repo.commit(&[("n.yaml", &format!("n: {n}"))], "n");
        assert_eq!(fetched(reader.fetch(&repo.request())).revision, id);
    }
    let packs = fs::read_dir(reader.dir.path().join("repository.git/objects/pack"))
        .unwrap()
        .count();
    assert!(packs <= 3 * 20, "{packs} files of packs");
}

#[test]
fn a_broken_copy_is_made_anew() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let mut reader = Reader::new();
    fetched(reader.fetch(&repo.request()));
    let pack = reader.dir.path().join("repository.git/objects/pack");
    for entry in fs::read_dir(&pack).unwrap().flatten() {
        let mut permissions = entry.metadata().unwrap().permissions();
        #[expect(clippy::permissions_set_readonly_false, reason = "a file of this test")]
        permissions.set_readonly(false);
        fs::set_permissions(entry.path(), permissions).unwrap();
        fs::write(entry.path(), b"rubbish").unwrap();
    }
    let id = repo.commit(&[("b.yaml", CONFIG)], "second");
    assert_eq!(fetched(reader.fetch(&repo.request())).revision, id);

    fs::remove_dir_all(reader.dir.path().join("repository.git")).unwrap();
    assert_eq!(fetched(reader.fetch(&repo.request())).revision, id);
}

#[test]
fn branch_missing_names_the_others() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let mut request = repo.request();
    request.branch = "mian".into();
    let err = fails(&request);
    assert!(
        matches!(&err, GitError::BranchMissing { branches, .. } if branches == &["main"]),
        "{err}"
    );
    assert!(!err.is_transient());
    assert!(
        err.to_string().contains("has no branch `mian`; there are: main"),
        "{err}"
    );
}

#[test]
fn empty_repository() {
    let err = fails(&Repo::empty().request());
    assert!(matches!(err, GitError::EmptyRepository { .. }), "{err:?}");
    assert!(!err.is_transient());
}

#[test]
fn repository_disappears_and_comes_back() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let mut reader = Reader::new();
    let mut request = repo.request();
    request.last_seen = Some(fetched(reader.fetch(&request)).revision);
    let away = repo.dir.path().join("away");
    fs::rename(repo.served(), &away).unwrap();
    let err = reader.fetch(&request).unwrap_err();
    assert!(matches!(err, GitError::RepositoryNotFound { .. }), "{err:?}");
    fs::create_dir(repo.served()).unwrap();
    let err = reader.fetch(&request).unwrap_err();
    assert!(
        matches!(err, GitError::RepositoryNotFound { .. }),
        "not a repository: {err:?}"
    );
    fs::remove_dir(repo.served()).unwrap();
    fs::rename(&away, repo.served()).unwrap();
    assert!(matches!(reader.fetch(&request), Ok(Outcome::Unchanged { .. })));
    request.last_seen = None;
    assert_eq!(paths(&fetched(reader.fetch(&request))), ["a.yaml"]);
}

#[test]
fn path_missing_or_no_directory() {
    let repo = Repo::with(&[("a/b.yaml", CONFIG)]);
    std::os::unix::fs::symlink("a", repo.work().join("link")).unwrap();
    repo.commit(&[], "link");
    let mut request = repo.request();
    for (path, wanted) in [
        ("nowhere", "PathMissing"),
        ("a/b.yaml", "PathNotADirectory"),
        ("link", "PathNotADirectory"),
    ] {
        request.path = path.into();
        let err = fails(&request);
        assert_eq!(err.reason(), wanted, "{err}");
        assert!(!err.is_transient());
    }
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
    let mut reader = Reader::new();
    let err = reader.fetcher.fetch(&repo.request(), &limits).unwrap_err();
    assert!(matches!(err, GitError::TooLarge { limit: 1_048_576, .. }), "{err:?}");
    assert!(!err.is_transient());
    let size: u64 = walk(reader.dir.path());
    assert!(size < 2 << 20, "{size} bytes left on disk");
}

#[test]
fn one_object_beyond_memory_is_refused() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    repo.write("zeros.bin", vec![0; 8 << 20]);
    git(&repo.work(), &["config", "core.compression", "9"]);
    repo.commit(&[], "zeros");
    let limits = Limits {
        max_object_bytes: 1 << 20,
        ..Limits::default()
    };
    let err = Reader::new().fetcher.fetch(&repo.request(), &limits).unwrap_err();
    assert!(
        matches!(
            err,
            GitError::TooLarge {
                what: "bytes in one object",
                ..
            }
        ),
        "{err:?}"
    );
}

/// A branch that is a named pipe: `git upload-pack` waits for a writer for ever.
fn hanging() -> Repo {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let branch = repo.served().join("refs/heads/main");
    fs::remove_file(&branch).unwrap();
    assert!(Command::new("mkfifo").arg(&branch).status().unwrap().success());
    repo
}

/// Whether a process runs that has the repository in its arguments.
fn child_runs(repo: &Repo) -> bool {
    let needle = repo.served().display().to_string();
    fs::read_dir("/proc").unwrap().flatten().any(|process| {
        fs::read(process.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&needle))
    })
}

#[test]
fn a_hanging_child_is_killed_when_the_time_is_over() {
    let repo = hanging();
    let mut request = repo.request();
    request.timeout = Duration::from_millis(400);
    let start = Instant::now();
    let err = fails(&request);
    assert!(matches!(err, GitError::Timeout { .. }) && err.is_transient(), "{err:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(!child_runs(&repo));
}

#[test]
fn a_hanging_child_is_killed_on_request() {
    let repo = hanging();
    let cancel = Arc::new(AtomicBool::new(false));
    let mut request = repo.request();
    request.cancel = Some(Arc::clone(&cancel));
    let fetch = std::thread::spawn(move || fails(&request));
    assert!(eventually(|| child_runs(&repo)));
    cancel.store(true, Ordering::Relaxed);
    let err = fetch.join().unwrap();
    assert!(matches!(err, GitError::Cancelled { .. }), "{err:?}");
    assert!(!child_runs(&repo));
}

#[test]
fn a_spent_timeout_fails_at_once() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let mut request = repo.request();
    request.timeout = Duration::ZERO;
    assert!(matches!(fails(&request), GitError::Timeout { .. }));
}

#[test]
fn five_thousand_manifests() {
    let repo = Repo::empty();
    for n in 0..5_000 {
        let text = format!(
            "apiVersion: homeostat.dev/v1alpha1\nkind: ScalingPolicy\nmetadata:\n  name: p{n}\n  namespace: shop\nspec:\n  \
             scaleTargetRef: {{kind: Deployment, name: d{n}}}\n  minReplicas: 2\n  maxReplicas: 40\n"
        );
        repo.write(&format!("prod/{}/p{n}.yaml", n % 50), text);
    }
    repo.commit(&[], "many");
    let mut request = repo.request();
    let mut reader = Reader::new();
    let start = Instant::now();
    let fetched = fetched(reader.fetch(&request));
    let read = start.elapsed();
    let start = Instant::now();
    let parsed = fetched.parse(&Limits::default());
    let parse = start.elapsed();
    request.last_seen = Some(fetched.revision.clone());
    let start = Instant::now();
    assert!(matches!(reader.fetch(&request), Ok(Outcome::Unchanged { .. })));
    println!(
        "5,000 manifests: fetched in {read:?}, parsed in {parse:?}; unchanged in {:?}",
        start.elapsed()
    );
    assert_eq!((parsed.manifests.len(), parsed.errors.len()), (5_000, 0));
}

/// Bytes that do not compress.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

fn walk(dir: &std::path::Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().flatten();
    entries
        .map(|entry| {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() { walk(&entry.path()) } else { meta.len() }
        })
        .sum()
}

#[test]
fn a_commit_is_found_by_its_id_wherever_the_branch_points_to() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let first = repo.commit(&[("b.yaml", "")], "second");
    repo.commit(&[("c.yaml", "")], "third");
    let mut reader = Reader::new();
    assert_eq!(
        paths(&fetched(reader.fetch(&repo.request()))),
        ["a.yaml", "b.yaml", "c.yaml"]
    );
    let request = Request {
        commit: Some(first.clone()),
        ..repo.request()
    };
    let found = fetched(reader.fetch(&request));
    assert_eq!(found.revision_text, format!("main@sha1:{first}"));
    assert_eq!(paths(&found), ["a.yaml", "b.yaml"]);
    let request = Request {
        commit: Some("0123456789012345678901234567890123456789".into()),
        ..repo.request()
    };
    assert!(reader.fetch(&request).unwrap_err().is_transient());
    assert_eq!(
        paths(&fetched(reader.fetch(&repo.request()))),
        ["a.yaml", "b.yaml", "c.yaml"]
    );
}
