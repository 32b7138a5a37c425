//! The server under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::api::Server;
use crate::process::{Process, free_port};

/// A `norn` process with its own data directory and port; a restart keeps both.
pub struct Norn {
    /// The process.
    pub process: Process,
    /// Where it listens.
    pub server: Server,
    args: Vec<String>,
    dir: TempDir,
}

/// The release binary: `$NORN_BIN`, or what `cargo build --release` left.
pub fn binary() -> Result<PathBuf> {
    let path = match std::env::var_os("NORN_BIN") {
        Some(path) => PathBuf::from(path),
        None => target_dir().join("release/norn"),
    };
    if !path.is_file() {
        bail!("{} is missing: run `cargo build --release` first, or set NORN_BIN", path.display());
    }
    Ok(path)
}

fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
    }
}

/// Starts a server that must refuse to run, and gives back what it says.
pub fn refused(args: &[String]) -> Result<String> {
    let output = Command::new(binary()?).args(args).output()?;
    ensure!(output.status.code() == Some(1), "{args:?}: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

impl Norn {
    /// Starts the newcomer's configuration with extra flags and waits until it is ready.
    pub fn start(extra: &[&str]) -> Result<Self> {
        Self::launch(extra, |args, log| Process::start(&binary()?, args, log))
    }

    /// As [`Norn::start`] in a process that may have only `files` open at once.
    pub fn start_with_open_files(files: u32, extra: &[&str]) -> Result<Self> {
        Self::launch(extra, |args, log| {
            let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
            let program = binary()?.display().to_string();
            let args = [vec!["-c".to_owned(), script, program], args.to_vec()].concat();
            Process::start(Path::new("/bin/sh"), &args, log)
        })
    }

    fn launch(extra: &[&str], run: impl FnOnce(&[String], &Path) -> Result<Process>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = free_port()?;
        let mut args = vec![
            format!("-server.http-listen-port={port}"),
            format!("-data-dir={}", dir.path().join("data").display()),
        ];
        args.extend(extra.iter().map(|s| (*s).to_owned()));
        let server = Server { host: format!("127.0.0.1:{port}"), prefix: "/prometheus" };
        let process = run(&args, &dir.path().join("log"))?;
        let norn = Self { process, server, args, dir };
        norn.wait_ready()?;
        Ok(norn)
    }

    /// `kill -9`, then the same command line again.
    pub fn crash_and_restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.restart()
    }

    /// Starts it again after it ended.
    pub fn restart(&mut self) -> Result<()> {
        self.spawn()?;
        self.wait_ready()
    }

    /// Starts it again and does not wait for it.
    pub fn spawn(&mut self) -> Result<()> {
        self.process = Process::start(&binary()?, &self.args, &self.log_path())?;
        Ok(())
    }

    /// Starts it again with these flags besides those of before.
    pub fn restart_with(&mut self, flags: &[&str]) -> Result<()> {
        for flag in flags {
            let name = flag.split('=').next().unwrap_or(flag);
            self.args.retain(|a| a.split('=').next() != Some(name));
            self.args.push((*flag).to_owned());
        }
        self.restart()
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn wait_ready(&self) -> Result<()> {
        self.server
            .wait_ready("/ready", Duration::from_secs(60))
            .with_context(|| format!("norn's log:\n{}", self.log()))
    }
}
