//! Real parts that tests run against: where each comes from and how it is installed.
//!
//! Parts that are built go to `$NORN_COMPONENTS` (default `~/.cache/norn-components`), once; parts
//! of the system come from Debian's packages. Nothing here is linked or shipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run;

/// A part and how to get it.
pub struct Component {
    /// Name on the command line.
    pub name: &'static str,
    /// Shown where it is missing.
    pub how: &'static str,
    find: fn() -> Option<PathBuf>,
    install: fn() -> Result<()>,
}

/// Version of the Prometheus module; 0.314 is release 3.14.
const PROMETHEUS: &str = "v0.314.0";

/// All parts.
pub const ALL: &[Component] = &[
    Component {
        name: "prometheus",
        how: "needs Go 1.26 (https://go.dev/dl); then `cargo xtask components prometheus` builds it in about 5 minutes",
        find: find_prometheus,
        install: install_prometheus,
    },
    Component {
        name: "node_exporter",
        how: "`apt-get install prometheus-node-exporter`, or put node_exporter on the PATH",
        find: find_node_exporter,
        install: install_node_exporter,
    },
    Component {
        name: "small disks",
        how: "needs root, loop devices, and Debian's packages e2fsprogs, mount and util-linux; in a container --privileged",
        find: find_small_disks,
        install: || install_packages(&["e2fsprogs", "mount", "util-linux"]),
    },
    Component {
        name: "strace",
        how: "`apt-get install strace`; in a container it needs --cap-add=SYS_PTRACE",
        find: find_strace,
        install: || install_packages(&["strace"]),
    },
];

/// Where the part named `name` is.
pub fn find(name: &str) -> Option<PathBuf> {
    ALL.iter().find(|c| c.name == name).and_then(|c| (c.find)())
}

/// The part named `name`, installed if it is not there yet.
pub fn ensure(name: &str) -> Result<PathBuf> {
    let component = ALL.iter().find(|c| c.name == name).with_context(|| format!("no component {name:?}"))?;
    if let Some(path) = (component.find)() {
        return Ok(path);
    }
    eprintln!("components: installing {name}");
    (component.install)().with_context(|| format!("{name}: {}", component.how))?;
    (component.find)().with_context(|| format!("{name} is still missing: {}", component.how))
}

/// `cargo xtask components [NAME…]`.
pub fn run(names: &[String]) -> Result<()> {
    for c in ALL {
        if names.is_empty() || names.iter().any(|n| n == c.name) {
            println!("{}: {}", c.name, ensure(c.name)?.display());
        }
    }
    match names.iter().find(|n| ALL.iter().all(|c| c.name != n.as_str())) {
        Some(unknown) => {
            bail!("no component {unknown:?}; there are {:?}", ALL.iter().map(|c| c.name).collect::<Vec<_>>())
        }
        None => Ok(()),
    }
}

fn cache() -> PathBuf {
    match std::env::var_os("NORN_COMPONENTS") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache/norn-components"),
    }
}

fn prometheus_dir() -> PathBuf {
    cache().join(format!("prometheus-{PROMETHEUS}"))
}

fn find_prometheus() -> Option<PathBuf> {
    let path = prometheus_dir().join("bin/prometheus");
    path.is_file().then_some(path)
}

/// `go install` refuses modules with replace lines, so a module of our own names it as a tool.
fn install_prometheus() -> Result<()> {
    if run::which("go").is_none() {
        bail!("the Go toolchain is missing");
    }
    let dir = prometheus_dir();
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("go.mod"), "module oracle\n\ngo 1.26\n")?;
    let package = |name: &str| format!("github.com/prometheus/prometheus/cmd/{name}");
    let versioned = |name: &str| format!("{}@{PROMETHEUS}", package(name));
    for args in [
        vec!["get".into(), "-tool".into(), versioned("prometheus"), versioned("promtool")],
        vec!["build".into(), "-o".into(), "bin.new/".into(), package("prometheus"), package("promtool")],
    ] {
        eprintln!("components: go {}", args[0]);
        let mut go = Command::new("go");
        go.args(&args).current_dir(&dir).env("GOFLAGS", "-mod=mod").env("GOAMD64", "v1");
        run::check(go)?;
    }
    // Renamed last: a build that was cut short is never taken for a whole one.
    fs::rename(dir.join("bin.new"), dir.join("bin"))?;
    Ok(())
}

fn find_node_exporter() -> Option<PathBuf> {
    run::which("prometheus-node-exporter").or_else(|| run::which("node_exporter"))
}

fn install_node_exporter() -> Result<()> {
    install_packages(&["prometheus-node-exporter"])
}

/// `unshare`, where a file system on a loop device can be mounted in a namespace of its own.
fn find_small_disks() -> Option<PathBuf> {
    let unshare = run::which("unshare")?;
    // In the namespace a tmpfs hides /mnt, and takes everything along when it goes.
    let script = "mount -t tmpfs -o size=8m none /mnt && cd /mnt && mkdir disk && truncate -s 4m image \
                  && mkfs.ext4 -q image && mount -o loop image disk";
    let args = ["--mount", "--propagation", "private", "sh", "-c", script];
    let probe = Command::new(&unshare).args(args).stdin(Stdio::null()).output().ok()?;
    probe.status.success().then_some(unshare)
}

/// `strace`, where it may trace.
fn find_strace() -> Option<PathBuf> {
    let strace = run::which("strace")?;
    let probe = Command::new(&strace).args(["-f", "-o", "/dev/null", "true"]).output().ok()?;
    probe.status.success().then_some(strace)
}

fn install_packages(packages: &[&str]) -> Result<()> {
    if run::which("apt-get").is_none() {
        bail!("no apt-get on this system");
    }
    run::check(run::command("apt-get", &["-qq", "update"]))?;
    let mut install = run::command("apt-get", &["-qq", "-y", "--no-install-recommends", "install"]);
    install.args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    run::check(install)
}
