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
    /// The program, maybe behind a command that runs it.
    command: Vec<String>,
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
        Self::start_under(&[], extra)
    }

    /// As [`Norn::start`] in a process that may have only `files` open at once.
    pub fn start_with_open_files(files: u32, extra: &[&str]) -> Result<Self> {
        let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        Self::start_under(&["/bin/sh", "-c", &script], extra)
    }

    /// As [`Norn::start`] by a command that becomes the program it is given.
    pub fn start_under(wrapper: &[&str], extra: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = free_port()?;
        let data = format!("-data-dir={}", dir.path().join("data").display());
        let server = Server { host: format!("127.0.0.1:{port}"), prefix: "/prometheus" };
        let mut command: Vec<String> = wrapper.iter().map(|s| (*s).to_owned()).collect();
        command.push(binary()?.display().to_string());
        let own = [format!("-server.http-listen-port={port}"), data];
        let extra = extra.iter().map(|s| (*s).to_owned());
        let args: Vec<String> =
            own.into_iter().filter(|o| !is_given(extra.clone(), o)).chain(extra.clone()).collect();
        let process = Self::run(&command, &args, &dir.path().join("log"))?;
        let mut norn = Self { process, server, command, args, dir };
        norn.wait_ready()?;
        Ok(norn)
    }

    fn run(command: &[String], args: &[String], log: &Path) -> Result<Process> {
        let (program, own) = command.split_first().context("no program")?;
        Process::start(Path::new(program), &[own, args].concat(), log)
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
        self.process = Self::run(&self.command, &self.args, &self.log_path())?;
        Ok(())
    }

    /// Starts it again with these flags besides those of before.
    pub fn restart_with(&mut self, flags: &[&str]) -> Result<()> {
        for flag in flags {
            self.args.retain(|a| !is_given(std::iter::once((*flag).to_owned()), a));
            self.args.push((*flag).to_owned());
        }
        self.restart()
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        let flag = self.args.iter().find_map(|a| a.strip_prefix("-data-dir="));
        PathBuf::from(flag.unwrap_or_default())
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Waits until it is ready, or has ended.
    fn wait_ready(&mut self) -> Result<()> {
        let (server, process) = (&self.server, &mut self.process);
        let ready = server.wait_for("/ready", Duration::from_secs(60), || {
            Ok(!process.is_running() || server.get("/ready")?.status == 200)
        });
        ready
            .and_then(|()| if self.process.is_running() { Ok(()) } else { bail!("norn ended") })
            .with_context(|| format!("norn's log:\n{}", self.log()))
    }
}

/// Whether one of `flags` sets what `flag` sets.
fn is_given(mut flags: impl Iterator<Item = String>, flag: &str) -> bool {
    let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
    flags.any(|f| name(&f) == name(flag))
}
