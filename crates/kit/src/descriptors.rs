//! File descriptors: connections and the files of the log take them from one allowance.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process' allowance of open files to what the system lets it have, as Go programs
/// do, and says how much that is.
pub fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: maximum, maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::warn!(%error, "can not raise the number of open files");
        return current.unwrap_or(u64::MAX);
    }
    maximum.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raises_once_and_for_all() {
        let allowed = raise();
        assert!(allowed > 0);
        assert_eq!(raise(), allowed);
        assert_eq!(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), allowed);
    }
}
