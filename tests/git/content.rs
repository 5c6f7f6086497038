//! What a repository may hold: large files, links, submodules, deep and countless directories.

use std::os::unix::fs::symlink;
use std::time::Instant;

use homeostat::edge::git::{Fetched, GitError, Limits};

use crate::local::noise;
use crate::support::{CONFIG, Reader, Repo, git, paths, read};

/// Every problem as one line.
fn problems(fetched: &Fetched) -> Vec<String> {
    fetched.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_large_file_beside_the_manifests_costs_nothing_more() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    repo.write("video.bin", noise(50 << 20));
    repo.commit(&[], "video");
    let start = Instant::now();
    let fetched = read(&repo.request());
    println!("with a 50 MB file beside: {:?}", start.elapsed());
    assert_eq!(paths(&fetched), ["a.yaml"]);
    assert!(fetched.problems.is_empty());
}

#[test]
fn a_large_manifest_is_named_and_not_read() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    repo.write("huge.yaml", "a: b\n".repeat(10 << 20));
    repo.commit(&[], "huge");
    let fetched = read(&repo.request());
    assert_eq!(paths(&fetched), ["a.yaml"]);
    assert_eq!(
        problems(&fetched),
        ["huge.yaml: has 52428800 bytes, more than the 1048576 that are read; split it, or move it elsewhere"]
    );
    let parsed = fetched.parse(&Limits::default());
    assert_eq!((parsed.manifests.len(), parsed.errors.len()), (1, 1));
}

#[test]
fn links_are_never_followed() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    symlink("loop.yaml", repo.work().join("loop.yaml")).unwrap();
    symlink("/etc/passwd", repo.work().join("passwd.yaml")).unwrap();
    symlink(".", repo.work().join("self")).unwrap();
    symlink("..", repo.work().join("up")).unwrap();
    repo.commit(&[], "links");
    let fetched = read(&repo.request());
    assert_eq!(paths(&fetched), ["a.yaml"]);
    assert_eq!(
        problems(&fetched),
        [
            "loop.yaml: is a symbolic link, which is not followed: put the file itself there",
            "passwd.yaml: is a symbolic link, which is not followed: put the file itself there"
        ]
    );
}

#[test]
fn submodules_are_reported() {
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let id = git(&repo.work(), &["rev-parse", "HEAD"]);
    git(
        &repo.work(),
        &[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("160000,{},sub", id.trim()),
        ],
    );
    git(&repo.work(), &["commit", "-q", "-m", "submodule"]);
    git(&repo.work(), &["push", "-q", "origin", "HEAD"]);
    let fetched = read(&repo.request());
    assert_eq!(
        problems(&fetched),
        ["sub: is a submodule, which is not read: put the files themselves there"]
    );
}

#[test]
fn kustomizations_and_charts_are_refused_once_each() {
    let repo = Repo::with(&[
        ("k/kustomization.yaml", "resources: [a.yaml]"),
        ("k/patch.yaml", "not: complete"),
        ("c/Chart.yaml", "name: c"),
        ("c/templates/d.yaml", "{{ if }}"),
        ("ok/a.yaml", CONFIG),
        (".github/workflows/ci.yaml", "on: push"),
    ]);
    let fetched = read(&repo.request());
    assert_eq!(paths(&fetched), ["ok/a.yaml"]);
    let problems = problems(&fetched);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("c/Chart.yaml: is a Helm chart"), "{problems:?}");
    assert!(
        problems[1].starts_with("k/kustomization.yaml: needs kustomize"),
        "{problems:?}"
    );
}

#[test]
fn deep_directories_end() {
    let deep = format!("{}x.yaml", "d/".repeat(40));
    let repo = Repo::with(&[("a.yaml", CONFIG), (deep.as_str(), CONFIG)]);
    let fetched = read(&repo.request());
    assert_eq!(paths(&fetched), ["a.yaml"]);
    assert!(problems(&fetched)[0].ends_with("lies more than 32 directories deep; move it up"));
}

/// A tree of ten trees of ten trees …, all the same object: a few hundred bytes that are 10^12 files.
#[test]
fn a_tree_bomb_is_refused() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let repo = Repo::with(&[("a.yaml", CONFIG)]);
    let mktree = |lines: Vec<String>| {
        let mut child = Command::new("git")
            .arg("mktree")
            .current_dir(repo.work())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all((lines.join("\n") + "\n").as_bytes())
            .unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    };
    let blob = git(&repo.work(), &["rev-parse", "HEAD:a.yaml"]).trim().to_owned();
    let mut tree = mktree(
        (0..10)
            .map(|n| format!("100644 blob {blob}\tf{n}.txt"))
            .collect::<Vec<_>>(),
    );
    for _ in 0..12 {
        tree = mktree((0..10).map(|n| format!("040000 tree {tree}\td{n}")).collect::<Vec<_>>());
    }
    let commit = git(&repo.work(), &["commit-tree", "-m", "bomb", &tree]);
    git(
        &repo.work(),
        &[
            "push",
            "-q",
            "-f",
            "origin",
            &format!("{}:refs/heads/main", commit.trim()),
        ],
    );
    let err = Reader::new().fetch(&repo.request()).unwrap_err();
    assert!(matches!(err, GitError::TooLarge { limit: 200_000, .. }), "{err:?}");
}

#[test]
fn too_many_and_too_much() {
    let files: Vec<(String, String)> = (0..20).map(|n| (format!("f{n}.yaml"), CONFIG.to_owned())).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(p, c)| (p.as_str(), c.as_str())).collect();
    let repo = Repo::with(&files);
    for limits in [
        Limits {
            max_files: 19,
            ..Limits::default()
        },
        Limits {
            max_total_bytes: 500,
            ..Limits::default()
        },
        Limits {
            max_entries: 19,
            ..Limits::default()
        },
    ] {
        let err = Reader::new().fetcher.fetch(&repo.request(), &limits).unwrap_err();
        assert!(matches!(err, GitError::TooLarge { .. }), "{err:?}");
    }
}
