//! Changes of names, each atomic.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An atomic change of names.
pub(super) enum Change {
    /// Each name gets a file, or goes.
    Files(Vec<(PathBuf, Option<usize>)>),
    /// Everything below the first moves below the second.
    Directory(PathBuf, PathBuf),
}

impl Change {
    /// Whether a sync of `dir` makes it durable.
    pub(super) fn is_of(&self, dir: &Path) -> bool {
        match self {
            Self::Files(files) => files.iter().any(|(path, _)| path.parent() == Some(dir)),
            Self::Directory(from, to) => from.parent() == Some(dir) || to.parent() == Some(dir),
        }
    }

    pub(super) fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Files(files) => {
                for (path, inode) in files {
                    match inode {
                        Some(inode) => names.insert(path.clone(), *inode),
                        None => names.remove(path),
                    };
                }
            }
            Self::Directory(from, to) => {
                let moved: Vec<_> = names.extract_if(.., |path, _| path.starts_with(from)).collect();
                names.extend(moved.into_iter().map(|(path, inode)| (moved_path(path, from, to), inode)));
            }
        }
    }

    /// Follows a directory that was moved since.
    pub(super) fn follow(&mut self, from: &Path, to: &Path) {
        if let Self::Files(files) = self {
            for (path, _) in files {
                *path = moved_path(std::mem::take(path), from, to);
            }
        }
    }
}

fn moved_path(path: PathBuf, from: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(from) {
        Ok(rest) => to.join(rest),
        Err(_) => path,
    }
}
