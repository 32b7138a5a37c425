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
        let status = Command::new("kill").args(["-TERM", &self.id().to_string()]).status()?;
        if !status.success() {
            bail!("cannot signal {}", self.name);
        }
        self.wait(patience)
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
