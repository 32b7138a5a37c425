//! Why a block can not be read or written.

use std::io;

use norn_codec::DecodeError;
use norn_contract::source::SourceError;

/// What went wrong. Texts name the file where one is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Bytes on disk are not what the format allows.
    #[error("{0}")]
    Corrupt(String),
    /// The format allows it, this reader does not.
    #[error("{0}")]
    Unsupported(String),
    /// What was handed in can not be written.
    #[error("{0}")]
    Invalid(String),
    /// A section would grow beyond what the format can address.
    #[error("{0} exceeds what a block can hold")]
    TooLarge(&'static str),
}

impl Error {
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(what.into())
    }

    /// Puts `context` before the text.
    pub(crate) fn within(self, context: &str) -> Self {
        match self {
            Self::Io(e) => Self::Io(io::Error::new(e.kind(), format!("{context}: {e}"))),
            Self::Corrupt(text) => Self::Corrupt(format!("{context}: {text}")),
            Self::Unsupported(text) => Self::Unsupported(format!("{context}: {text}")),
            Self::Invalid(text) => Self::Invalid(format!("{context}: {text}")),
            Self::TooLarge(_) => self,
        }
    }
}

impl From<DecodeError> for Error {
    fn from(e: DecodeError) -> Self {
        Self::Corrupt(e.to_string())
    }
}

impl From<Error> for SourceError {
    fn from(e: Error) -> Self {
        match e {
            Error::Corrupt(text) => SourceError::Corrupt(text),
            other => SourceError::Unavailable(other.to_string()),
        }
    }
}
