//! Inputs kept as files: `corpus/<target>/` holds what once failed, or is hard to come by.

use std::fs;
use std::io::Result;
use std::path::{Path, PathBuf};

use norn_codec::crc::crc32c;

use crate::Target;

/// The directory of `name` in this package.
pub fn dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

/// The target's inputs that are kept, in the order of their names.
pub fn load(target: &Target) -> Result<Vec<Vec<u8>>> {
    let dir = dir(target.name);
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut paths = fs::read_dir(dir)?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(fs::read).collect()
}

/// Writes an input under a name made of its content, and gives its path.
pub fn save(dir: &Path, input: &[u8]) -> Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let path = dir.join(format!("{:08x}-{}", crc32c(input), input.len()));
    fs::write(&path, input)?;
    Ok(path)
}
