//! Small real file systems that can be made to fail, in a mount namespace of their own.
//!
//! ```text
//! disk: ext4 ─ loop device ─ image on device: ext4 ─ loop device ─ image on back: tmpfs
//! ```
//!
//! When `disk` is aborted, writes to files fail; when `device` is, they go well and their syncs
//! fail. Both forget what was not synced. The namespace lives as long as a process that waits for
//! its input to end, so whatever becomes of the test, mounts and loop devices go with it. Root only.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

/// A mounted file system.
pub struct Disk {
    holder: Child,
    dir: TempDir,
}

impl Disk {
    /// One of `size` megabytes.
    pub fn new(size: u32) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (device, back) = (size * 5 / 4 + 16, size * 5 / 4 + 32);
        let script = format!(
            "set -e; mkdir back device disk; mount -t tmpfs -o size={back}m none back; \
             truncate -s {device}m back/image; {MKFS} back/image; {MOUNT_DEVICE}; \
             truncate -s {size}m device/image; {MKFS} device/image; {MOUNT_DISK}; echo mounted; exec cat > /dev/null"
        );
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("unshare (package util-linux) is needed")?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().context("no output")?).read_line(&mut line)?;
        let disk = Self { holder, dir };
        ensure!(
            line == "mounted\n",
            "no file system could be mounted: root, loop devices and e2fsprogs are needed"
        );
        Ok(disk)
    }

    /// A command that runs what follows it where the file system is mounted.
    pub fn wrapper(&self) -> [String; 2] {
        ["nsenter".to_owned(), format!("--mount=/proc/{}/ns/mnt", self.holder.id())]
    }

    /// The mounted directory, for processes behind [`Disk::wrapper`].
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// The mounted directory, for everybody else.
    pub fn outside(&self) -> PathBuf {
        let path = self.path();
        Path::new(&format!("/proc/{}/root", self.holder.id())).join(path.strip_prefix("/").unwrap_or(&path))
    }

    /// Leaves `free` kilobytes.
    pub fn fill(&self, free: u64) -> Result<()> {
        self.sh(&format!(
            "fallocate -l $(( ($(stat -f -c '%a * %S / 1024' disk) - {free}) * 1024 )) disk/filler"
        ))
    }

    /// Leaves nothing.
    pub fn fill_up(&self) -> Result<()> {
        self.sh("cat /dev/zero >> disk/filler 2>/dev/null || true; sync disk/filler")
    }

    /// Gives back what [`Disk::fill`] took.
    pub fn free(&self) -> Result<()> {
        self.sh("rm disk/filler")
    }

    /// From now on it takes no writes, as after an error.
    pub fn abort(&self) -> Result<()> {
        self.sh("mount -o remount,abort disk")
    }

    /// From now on its device takes no writes.
    pub fn abort_device(&self) -> Result<()> {
        self.sh("mount -o remount,abort device")
    }

    /// Mounts all anew, repaired from the journals. Nobody may have a file open.
    pub fn remount(&self) -> Result<()> {
        // e2fsck says with 1 and 2 that it repaired something.
        let check = |image: &str| format!("e2fsck -p {image} > /dev/null || [ $? -le 2 ]");
        let (outer, inner) = (check("back/image"), check("device/image"));
        self.sh(&format!("umount disk; umount device; {outer}; {MOUNT_DEVICE}; {inner}; {MOUNT_DISK}"))
    }

    fn sh(&self, script: &str) -> Result<()> {
        let [enter, namespace] = self.wrapper();
        let script = format!("set -e; cd '{}'; {script}", self.dir.path().display());
        let output = Command::new(enter).args([&namespace, "sh", "-c", &script]).output()?;
        if !output.status.success() {
            bail!("{script}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

const MKFS: &str = "mkfs.ext4 -q -b 4096 -m 0";
const MOUNT_DEVICE: &str = "mount -o loop,errors=remount-ro back/image device";
const MOUNT_DISK: &str = "mount -o loop,errors=remount-ro device/image disk";
