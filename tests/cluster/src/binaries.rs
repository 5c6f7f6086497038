//! The programs: built from Go modules when they are missing, kept in a cache folder by version.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Version of Kubernetes, as in `control-plane/go.mod`.
pub const KUBERNETES: &str = "v1.36.3";
/// Version of kwok.
pub const KWOK: &str = "v0.8.0";

/// Version of kustomize.
const KUSTOMIZE: &str = "v5.7.1";

/// Version of metrics-server.
const METRICS_SERVER: &str = "v0.9.0";

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// etcd and the components of Kubernetes; the first argument says which.
    pub control_plane: PathBuf,
    /// Runs a command that must not outlive its caller.
    pub guard: PathBuf,
    /// Fake nodes and pods.
    pub kwok: PathBuf,
    /// metrics-server, where it was asked for.
    pub metrics_server: Option<PathBuf>,
}

/// The programs, built first where they are missing. Several processes may ask at once.
///
/// # Errors
/// Go is missing, or a module cannot be built.
pub fn ensure() -> Result<Binaries> {
    let source = control_plane_source();
    let files = [
        "go.mod",
        "go.sum",
        "cmd/control-plane/main.go",
        "cmd/control-plane/etcd.go",
        "cmd/guard/main.go",
    ];
    let folder = cache_dir()?.join(format!("{KUBERNETES}-{KWOK}-{}", digest(&source, &files)?));
    let found = Binaries {
        control_plane: folder.join("control-plane"),
        guard: folder.join("guard"),
        kwok: folder.join("kwok"),
        metrics_server: None,
    };
    let _lock = lock(&folder)?;
    let version = format!(
        "-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES} -X k8s.io/component-base/version.gitMajor=1 \
         -X k8s.io/component-base/version.gitMinor=36"
    );
    if !found.guard.exists() {
        build("guard", &source, &found.guard, &["./cmd/guard"], "-s -w")?;
    }
    if !found.kwok.exists() {
        progress(&format!("building kwok {KWOK} (about a minute, once)"));
        install(&format!("sigs.k8s.io/kwok/cmd/kwok@{KWOK}"), &found.kwok)?;
    }
    if !found.control_plane.exists() {
        progress(&format!(
            "building etcd and Kubernetes {KUBERNETES} (about five minutes on two cores, once)"
        ));
        build(
            "control-plane",
            &source,
            &found.control_plane,
            &["./cmd/control-plane"],
            &version,
        )?;
    }
    Ok(found)
}

/// The real HPA controller as a program that answers questions, built first where it is missing.
///
/// # Errors
/// Go is missing, or it cannot be built.
pub fn hpa_oracle() -> Result<PathBuf> {
    let source = control_plane_source();
    let files = [
        "go.mod",
        "go.sum",
        "cmd/hpa-oracle/decide.go",
        "cmd/hpa-oracle/fakes.go",
        "cmd/hpa-oracle/input.go",
        "cmd/hpa-oracle/main.go",
        "cmd/hpa-oracle/podautoscaler/door.go",
    ];
    let folder = cache_dir()?.join(format!("hpa-oracle-{KUBERNETES}-{}", digest(&source, &files)?));
    let program = folder.join("hpa-oracle");
    let _lock = lock(&folder)?;
    if !program.exists() {
        progress(&format!(
            "building the HPA controller of Kubernetes {KUBERNETES} (about a minute, once)"
        ));
        let overlay = controller_overlay(&source, &folder)?;
        build_over("hpa-oracle", &source, &program, "./cmd/hpa-oracle", &overlay)?;
    }
    Ok(program)
}

/// Lays the controller's own files, as they are in the module cache, into the package that has our way in.
fn controller_overlay(source: &Path, folder: &Path) -> Result<PathBuf> {
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json", &format!("k8s.io/kubernetes@{KUBERNETES}")])
        .current_dir(source);
    let output = go.output().map_err(|e| Error::new("run go", e))?;
    let module: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|e| Error::new("download k8s.io/kubernetes", e))?;
    let original = module["Dir"]
        .as_str()
        .map(|dir| Path::new(dir).join("pkg/controller/podautoscaler"))
        .ok_or_else(|| Error::new("download k8s.io/kubernetes", &module["Error"]))?;
    let laid = source.join("cmd/hpa-oracle/podautoscaler");
    let replace: serde_json::Map<String, serde_json::Value> =
        ["horizontal.go", "rate_limiters.go", "replica_calculator.go"]
            .into_iter()
            .map(|file| {
                let (at, from) = (laid.join(file), original.join(file));
                (at.display().to_string(), from.display().to_string().into())
            })
            .collect();
    let path = folder.join("overlay.json");
    let text = serde_json::json!({ "Replace": replace }).to_string();
    fs::write(&path, text).map_err(|e| Error::new(path.display(), e))?;
    Ok(path)
}

fn control_plane_source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("control-plane")
}

/// kustomize, built first where it is missing.
///
/// # Errors
/// Go is missing, or it cannot be built.
pub fn kustomize() -> Result<PathBuf> {
    installed(
        "kustomize",
        "sigs.k8s.io/kustomize/kustomize/v5",
        KUSTOMIZE,
        "half a minute",
    )
}

/// metrics-server, built first where it is missing.
///
/// # Errors
/// Go is missing, or it cannot be built.
pub fn metrics_server() -> Result<PathBuf> {
    let package = "sigs.k8s.io/metrics-server/cmd/metrics-server";
    installed("metrics-server", package, METRICS_SERVER, "two minutes")
}

/// A published program, in a folder of its own.
fn installed(name: &str, package: &str, version: &str, takes: &str) -> Result<PathBuf> {
    let folder = cache_dir()?.join(format!("{name}-{version}"));
    let program = folder.join(name);
    let _lock = lock(&folder)?;
    if !program.exists() {
        progress(&format!("building {name} {version} ({takes}, once)"));
        install(&format!("{package}@{version}"), &program)?;
    }
    Ok(program)
}

/// The operator of this checkout, built first where its sources have changed, so that no test runs an old one.
///
/// # Errors
/// It cannot be built.
pub fn operator() -> Result<PathBuf> {
    static BUILT: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| build_operator().map_err(|e| e.0))
        .clone()
        .map_err(Error)
}

/// In the profile and the target folder of the running program. The whole workspace and the demo are named so that Cargo chooses
/// the same features of every crate as for the tests, and compiles none of them twice.
fn build_operator() -> Result<PathBuf> {
    let exe = std::env::current_exe().map_err(|e| Error::new("find the target folder", e))?;
    let named = |folder: &&Path| folder.file_name().is_some_and(|n| n != "deps" && n != "examples");
    let folder = exe.ancestors().skip(1).find(named).unwrap_or(Path::new("target/debug"));
    let profile = folder
        .file_name()
        .and_then(|n| n.to_str())
        .filter(|n| *n != "debug")
        .unwrap_or("dev");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bin",
            "homeostat",
            "--test",
            "cluster",
            "--profile",
            profile,
            "--target-dir",
        ])
        .arg(folder.parent().unwrap_or(folder))
        .current_dir(crate::root());
    match cargo.status() {
        Ok(status) if status.success() => Ok(folder.join("homeostat")),
        Ok(status) => Err(Error::new("build the operator", status)),
        Err(error) => Err(Error::new("build the operator", error)),
    }
}

/// The operator of this checkout as it is released, whatever the profile of the running program.
///
/// # Errors
/// It cannot be built.
pub fn operator_release() -> Result<PathBuf> {
    progress("building the operator for release (about five minutes, the first time)");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| crate::root().join("target"), PathBuf::from);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bin",
            "homeostat",
            "--release",
            "--target-dir",
        ])
        .arg(&target)
        .current_dir(crate::root());
    match cargo.status() {
        Ok(status) if status.success() => Ok(target.join("release/homeostat")),
        Ok(status) => Err(Error::new("build the operator", status)),
        Err(error) => Err(Error::new("build the operator", error)),
    }
}

/// A program of the system, such as `prometheus`.
///
/// # Errors
/// It is not there; the error says which package has it.
pub fn find(program: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| Error(format!("{program} is not in PATH: apt-get install {package}")))
}

fn cache_dir() -> Result<PathBuf> {
    let under = |variable: &str, rest: &str| std::env::var_os(variable).map(|v| PathBuf::from(v).join(rest));
    under("HOMEOSTAT_CACHE", "")
        .or_else(|| under("XDG_CACHE_HOME", "homeostat"))
        .or_else(|| under("HOME", ".cache/homeostat"))
        .ok_or_else(|| Error("none of HOMEOSTAT_CACHE, XDG_CACHE_HOME, HOME is set".into()))
}

/// What the binaries depend on, shortened.
fn digest(source: &Path, files: &[&str]) -> Result<String> {
    let mut hasher = Sha256::new();
    for file in files {
        let path = source.join(file);
        hasher.update(fs::read(&path).map_err(|e| Error::new(path.display(), e))?);
    }
    let mut text = String::new();
    for byte in hasher.finalize().iter().take(6) {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Makes the folder, and keeps other processes out of it until the file is dropped.
fn lock(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).map_err(|e| Error::new(folder.display(), e))?;
    let lock = File::create(folder.join("lock")).map_err(|e| Error::new("lock the cache", e))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).map_err(|e| Error::new("lock the cache", e))?;
    Ok(lock)
}

/// Builds the command of a published Go module.
fn install(package: &str, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let staging = folder.join("staging");
    let mut go = Command::new("go");
    go.args(["install", package]).env("GOBIN", &staging).current_dir(folder);
    run(go, &format!("build {package}"))?;
    rename(&staging.join(to.file_name().unwrap_or_default()), to)
}

fn build(what: &str, source: &Path, to: &Path, packages: &[&str], ldflags: &str) -> Result<()> {
    let staging = to.with_extension("staging");
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-ldflags", ldflags, "-o"])
        .arg(&staging)
        .args(packages)
        .current_dir(source);
    run(go, &format!("build {what}"))?;
    rename(&staging, to)
}

fn build_over(what: &str, source: &Path, to: &Path, package: &str, overlay: &Path) -> Result<()> {
    let staging = to.with_extension("staging");
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-ldflags", "-s -w", "-overlay"])
        .arg(overlay)
        .arg("-o")
        .arg(&staging)
        .arg(package)
        .current_dir(source);
    run(go, &format!("build {what}"))?;
    rename(&staging, to)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| Error::new(to.display(), e))
}

fn run(mut command: Command, what: &str) -> Result<()> {
    let status = command.env("GOFLAGS", "-mod=mod").status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::new(what, status)),
        Err(error) => Err(Error::new(what, format!("{error}; is Go installed?"))),
    }
}

fn progress(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
