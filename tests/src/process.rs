//! A child process that never outlives its test.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A running child; killed when dropped.
pub struct Process {
    child: Child,
    name: String,
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Process {
    /// Starts `program`; its output goes to `log`.
    pub fn start(program: &Path, args: &[String], log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { child, name: program.display().to_string() })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, then waits up to `patience`.
    pub fn terminate(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.signal("-TERM")?;
        self.wait(patience)
    }

    /// Holds all threads where they are, in none of the system's calls.
    pub fn pause(&self) -> Result<()> {
        self.signal("-STOP")?;
        loop {
            let mut stopped = true;
            for thread in std::fs::read_dir(format!("/proc/{}/task", self.id()))? {
                let stat = std::fs::read_to_string(thread?.path().join("stat"))?;
                stopped &= stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"));
            }
            if stopped {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets go on what [`Process::pause`] held.
    pub fn resume(&self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("kill").args([signal, &self.id().to_string()]).status()?;
        if !status.success() {
            bail!("cannot signal {}", self.name);
        }
        Ok(())
    }

    /// Waits up to `patience` for the process to end.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("{} did not end within {patience:?}", self.name)
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone is fine: the point is that nothing stays.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
