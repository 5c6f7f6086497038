//! The Git repository that the demo fills and pushes to, with the `git` that is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use homeostat_cluster::{Error, Result};

/// A bare repository and a clone of it.
pub struct Repository {
    bare: PathBuf,
    clone: PathBuf,
}

impl Repository {
    /// A new repository below `dir` whose branch `main` holds what `content` holds.
    ///
    /// # Errors
    /// git fails; the error has its words.
    pub fn create(dir: &Path, content: &Path) -> Result<Self> {
        let repository = Self {
            bare: dir.join("shop.git"),
            clone: dir.join("shop"),
        };
        let bare = repository.bare.display().to_string();
        git(dir, &["init", "--quiet", "--bare", "--initial-branch=main", &bare])?;
        git(dir, &["clone", "--quiet", &bare, "shop"])?;
        git(&repository.clone, &["checkout", "--quiet", "-B", "main"])?;
        copy(content, &repository.clone)?;
        repository.push("The shop: checkout and its policies")?;
        Ok(repository)
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("file://{}", self.bare.display())
    }

    /// The clone in which changes are made.
    #[must_use]
    pub fn clone_dir(&self) -> &Path {
        &self.clone
    }

    /// Replaces a text in a file, commits and pushes; the new commit.
    ///
    /// # Errors
    /// The text is not there, or git fails.
    pub fn change(&self, changes: &[(&str, &str, &str)], message: &str) -> Result<String> {
        for (file, from, to) in changes {
            let path = self.clone.join(file);
            let err = |e: std::io::Error| Error::new(path.display(), e);
            let text = fs::read_to_string(&path).map_err(err)?;
            if !text.contains(from) {
                return Err(Error::new(path.display(), format!("does not contain `{from}`")));
            }
            fs::write(&path, text.replace(from, to)).map_err(err)?;
        }
        self.push(message)
    }

    /// Reverts the last commit and pushes; the new commit.
    ///
    /// # Errors
    /// git fails.
    pub fn revert(&self) -> Result<String> {
        git(&self.clone, &["revert", "--no-edit", "HEAD"])?;
        git(&self.clone, &["push", "--quiet", "origin", "main"])?;
        self.head()
    }

    /// The last commit.
    ///
    /// # Errors
    /// git fails.
    pub fn head(&self) -> Result<String> {
        git(&self.clone, &["rev-parse", "HEAD"])
    }

    fn push(&self, message: &str) -> Result<String> {
        git(&self.clone, &["add", "--all"])?;
        git(&self.clone, &["commit", "--quiet", "--message", message])?;
        git(&self.clone, &["push", "--quiet", "origin", "main"])?;
        self.head()
    }
}

/// Runs git without the user's settings: no signing, no hooks, no other name.
fn git(dir: &Path, args: &[&str]) -> Result<String> {
    let what = format!("git {}", args.first().copied().unwrap_or_default());
    let output = Command::new("git")
        .args(["-c", "user.name=Shop team", "-c", "user.email=team@shop.example.com"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .output()
        .map_err(|e| Error::new(&what, format!("{e}; is git installed?")))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(Error::new(what, String::from_utf8_lossy(&output.stderr).trim()))
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let err = |e: std::io::Error| Error::new(format!("copy {}", from.display()), e);
    fs::create_dir_all(to).map_err(err)?;
    for entry in fs::read_dir(from).map_err(err)? {
        let entry = entry.map_err(err)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(err)?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map_err(err)?;
        }
    }
    Ok(())
}
