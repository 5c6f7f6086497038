//! What is wrong in a repository, or with it, does no harm: nothing of it is applied, nothing is deleted, and what was
//! applied before is still kept.

use std::time::Duration;

use homeostat_cluster::wait;
use serde_json::{Value, json};

use crate::repo::Repo;
use crate::source::{DEPLOYER, config_map, source};
use crate::stage::{Stage, scaling};

/// Objects that are deleted by hand, one a mistake.
const KEPT: usize = 16;

fn kept(i: usize) -> String {
    format!("keep-{i}")
}

async fn set(repo: &Repo) -> (Stage, String) {
    let stage = Stage::set().await;
    stage.apply(DEPLOYER).await;
    for i in 0..KEPT {
        repo.write(&format!("{}.yaml", kept(i)), config_map(&kept(i), "1"));
    }
    let first = repo.push("first");
    (stage, first)
}

/// What is written into the repository, and the reason and the words that are to be read of it.
struct Mistake {
    file: &'static str,
    content: String,
    reason: &'static str,
    words: &'static [&'static str],
}

fn mistakes() -> Vec<Mistake> {
    let mistake = |file, content: &str, reason, words| Mistake {
        file,
        content: content.to_owned(),
        reason,
        words,
    };
    vec![
        mistake("bad/broken.yaml", "a: [1\n", "InvalidManifests", &["bad/broken.yaml:"]),
        mistake(
            "bad/kind.yaml",
            "{apiVersion: homeostat.dev/v1alpha1, kind: ScalingPolice, metadata: {name: x}}",
            "InvalidManifests",
            &["bad/kind.yaml:1: the cluster does not know ScalingPolice of homeostat.dev/v1alpha1"],
        ),
        mistake(
            "bad/policy.yaml",
            &(config_map("part", "1")
                + "---\n"
                + &scaling("web", "sum(load)", "").replace("minReplicas: 1", "minReplicas: 11")),
            "Rejected",
            &[
                "bad/policy.yaml:6: ",
                "maxReplicas must be at least minReplicas",
                "ServiceAccount default/deployer",
            ],
        ),
        mistake(
            "bad/secret.yaml",
            "{apiVersion: v1, kind: Secret, metadata: {name: x}}",
            "InvalidManifests",
            &[
                "bad/secret.yaml:1: kind Secret of group \"\" is not allowed",
                "spec.kinds",
            ],
        ),
        mistake(
            "bad/field.yaml",
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, dat: {value: '1'}}",
            "Rejected",
            &["bad/field.yaml:1", "dat"],
        ),
        mistake(
            "bad/big.yaml",
            &"#".repeat(50 << 20),
            "InvalidManifests",
            &["bad/big.yaml", "52428800 bytes"],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_commit_is_refused_with_file_and_line_and_what_was_applied_is_kept() {
    let repo = Repo::empty();
    let (stage, first) = set(&repo).await;
    let operator = stage.operator("one").await;
    stage.apply(&source("deploy", &repo.url(), "")).await;
    stage.applies("deploy", &first).await;
    let mut next = 0;
    for mistake in mistakes() {
        repo.write(mistake.file, &mistake.content);
        repo.push(mistake.file);
        stage.stalls("deploy", mistake.reason, mistake.words).await;
        stage.still_keeps(&kept(next)).await;
        next += 1;
        repo.remove(mistake.file);
    }
    stage.event("deploy", "Rejected").await;
    assert_eq!(stage.read("v1", "ConfigMap", "default", "part").await, Value::Null);
    let status = stage.status("GitSource", "deploy").await;
    assert_eq!(status["lastAppliedRevision"], first, "{status:#}");

    repo.link("bad/one.yaml", "two.yaml");
    repo.link("bad/two.yaml", "one.yaml");
    repo.push("links in a circle");
    stage
        .stalls("deploy", "InvalidManifests", &["bad/one.yaml", "symbolic link"])
        .await;

    // A restart in that state: what was applied before is found again by its id.
    let mut operator = operator;
    operator.process.kill();
    stage.delete("v1", "ConfigMap", &kept(next)).await;
    let _operator = stage.operator("two").await;
    stage
        .comes_back("v1", "ConfigMap", &kept(next), "/data/value", &json!("1"))
        .await;
    repo.remove("bad/one.yaml");
    repo.remove("bad/two.yaml");
    let mended = repo.push("mended");
    stage.applies("deploy", &mended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_the_repository_and_mass_deletion_cost_nothing() {
    let repo = Repo::empty();
    let (stage, first) = set(&repo).await;
    let _operator = stage.operator("one").await;
    let nothing = Repo::empty();
    let weak = source("weak", &repo.url(), "").replace("deployer", "default");
    stage.apply(&source("deploy", &repo.url(), "")).await;
    stage.applies("deploy", &first).await;
    for yaml in [
        source("empty", &nothing.url(), ""),
        source("astray", &repo.url(), "").replace("branch: main", "branch: mian"),
        source("second", &repo.url(), ""),
        weak,
    ] {
        stage.apply(&yaml).await;
    }
    stage.stalls("empty", "EmptyRepository", &["push a first commit"]).await;
    stage.stalls("astray", "BranchMissing", &["`mian`", "main"]).await;
    stage
        .stalls("second", "OwnedByOther", &["keep-0.yaml:1", "GitSource default/deploy"])
        .await;
    let words = ["keep-0.yaml:1", "ServiceAccount default/default", "forbidden"];
    stage.stalls("weak", "Rejected", &words).await;

    a_repository_is_read_from_a_server(&stage).await;
    the_repository_goes_away(&stage, &repo).await;
    much_is_removed(&stage, &repo, &first).await;
    a_suspended_source_rests(&stage).await;
}

/// By http, and only what is below the path.
async fn a_repository_is_read_from_a_server(stage: &Stage) {
    let remote = Repo::empty();
    remote.write("prod/map.yaml", config_map("remote", "1"));
    remote.write("test/map.yaml", config_map("elsewhere", "1"));
    let revision = remote.push("first");
    let url = remote.serve().await;
    stage.apply(&source("remote", &url, "  path: prod\n")).await;
    stage.applies("remote", &revision).await;
    stage.still_keeps("remote").await;
    assert_eq!(stage.read("v1", "ConfigMap", "default", "elsewhere").await, Value::Null);
}

async fn the_repository_goes_away(stage: &Stage, repo: &Repo) {
    let away = repo.served().with_extension("away");
    std::fs::rename(repo.served(), &away).unwrap();
    stage.ask("deploy").await;
    stage
        .condition("GitSource", "deploy", "Reconciling", "True", "RepositoryNotFound")
        .await;
    stage.still_keeps(&kept(0)).await;
    for i in 0..KEPT {
        assert_ne!(stage.read("v1", "ConfigMap", "default", &kept(i)).await, Value::Null);
    }
    std::fs::rename(&away, repo.served()).unwrap();
    stage.condition("GitSource", "deploy", "Ready", "True", "Applied").await;
}

async fn much_is_removed(stage: &Stage, repo: &Repo, first: &str) {
    for i in 1..6 {
        repo.remove(&format!("{}.yaml", kept(i)));
    }
    repo.push("five go");
    stage
        .stalls("deploy", "PruneTooLarge", &["5 of 16", "spec.prune.maxPercent (20 %)"])
        .await;
    assert_eq!(repo.force_back(), first);
    stage.applies("deploy", first).await;
    for i in 0..KEPT {
        repo.remove(&format!("{}.yaml", kept(i)));
    }
    repo.push("all go");
    stage
        .stalls("deploy", "EmptySource", &["16 were applied", "nothing is deleted"])
        .await;
    stage.still_keeps(&kept(1)).await;
    for i in 0..KEPT {
        assert_ne!(stage.read("v1", "ConfigMap", "default", &kept(i)).await, Value::Null);
    }
    let reverted = repo.revert();
    stage.applies("deploy", &reverted).await;
}

async fn a_suspended_source_rests(stage: &Stage) {
    let suspend = |suspend: bool| json!({"spec": {"suspend": suspend}});
    stage
        .edit("homeostat.dev/v1alpha1", "GitSource", "deploy", suspend(true))
        .await;
    stage
        .condition("GitSource", "deploy", "Ready", "True", "Suspended")
        .await;
    stage.delete("v1", "ConfigMap", &kept(2)).await;
    let back = wait::until("what is suspended to come back", Duration::from_secs(4), || async {
        let found = stage.read("v1", "ConfigMap", "default", &kept(2)).await;
        (found != Value::Null).then_some(())
    });
    assert!(back.await.is_err(), "a suspended source restores nothing");
    stage
        .edit("homeostat.dev/v1alpha1", "GitSource", "deploy", suspend(false))
        .await;
    stage
        .comes_back("v1", "ConfigMap", &kept(2), "/data/value", &json!("1"))
        .await;
    stage.condition("GitSource", "deploy", "Ready", "True", "Applied").await;
}
