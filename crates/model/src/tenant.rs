//! The tenant capability.
//!
//! A [`Tenant`] is proof that a tenant id was checked. [`Tenant::admit`] is called in few places
//! only: HTTP authentication, and whoever reads back what was kept by tenant, as the log's record
//! reader does (`cargo xtask tidy` has the list). Everything else receives a `Tenant`, never a
//! string, so a path or key can not be built from unchecked input.

use std::fmt;
use std::sync::Arc;

/// Longest tenant id in bytes.
pub const MAX_LEN: usize = 150;
/// The tenant of every request when multitenancy is off.
pub const ANONYMOUS: &str = "anonymous";

/// A checked tenant id. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Arc<str>);

/// Why a tenant id was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TenantError {
    /// No id at all.
    #[error("no org id")]
    Missing,
    /// Longer than [`MAX_LEN`].
    #[error("tenant ID is too long: max {MAX_LEN} characters")]
    TooLong,
    /// A character outside the allowed set.
    #[error("tenant ID '{id}' contains unsupported character '{character}'")]
    Unsupported {
        /// The id as it came.
        id: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// `.`, `..` or the name of Mimir's own directory.
    #[error("tenant ID '{0}' is reserved")]
    Reserved(String),
}

impl Tenant {
    /// Checks `id` by Mimir's rules: 1–150 bytes of letters, digits and `!-_.*'()`.
    pub fn admit(id: &str) -> Result<Self, TenantError> {
        if id.is_empty() {
            return Err(TenantError::Missing);
        }
        if id.len() > MAX_LEN {
            return Err(TenantError::TooLong);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c);
        if let Some(character) = id.chars().find(|c| !allowed(*c)) {
            return Err(TenantError::Unsupported { id: id.to_owned(), character });
        }
        if matches!(id, "." | ".." | "__mimir_cluster") {
            return Err(TenantError::Reserved(id.to_owned()));
        }
        Ok(Self(Arc::from(id)))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({})", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_by_mimirs_rules() {
        assert!(Tenant::admit("team-a_1.(x)!*'").is_ok());
        assert_eq!(Tenant::admit(""), Err(TenantError::Missing));
        assert_eq!(Tenant::admit(&"a".repeat(151)), Err(TenantError::TooLong));
        assert!(matches!(Tenant::admit("a/b"), Err(TenantError::Unsupported { character: '/', .. })));
        assert!(matches!(Tenant::admit(".."), Err(TenantError::Reserved(_))));
        assert!(matches!(Tenant::admit("a|b"), Err(TenantError::Unsupported { character: '|', .. })));
    }
}
