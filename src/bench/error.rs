//! Why a benchmark ended early.

use std::fmt;
use std::io;

use flumen::tools::SalvageError;
use flumen::{CloseError, CommitError, Event, OpenError, PutError, TakeError};

/// Why a benchmark ended early.
#[derive(Debug)]
pub(crate) enum BenchError {
    /// It was told to stop.
    Interrupted,
    /// The place or a file that was named cannot be.
    Usage(String),
    /// Something did not work; the text says what.
    Failed(String),
}

impl BenchError {
    /// The operating system refused to do what `what` says.
    pub(crate) fn io(what: impl fmt::Display, error: &io::Error) -> BenchError {
        BenchError::Failed(format!("cannot {what}: {error}"))
    }

    /// The same error, and what was under way.
    pub(crate) fn during(self, what: &str) -> BenchError {
        match self {
            BenchError::Failed(text) => BenchError::Failed(format!("{what}: {text}")),
            other => other,
        }
    }
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BenchError::Interrupted => f.write_str("the benchmark was interrupted"),
            BenchError::Usage(text) | BenchError::Failed(text) => f.write_str(text),
        }
    }
}

macro_rules! failed_by {
    ($($error:ty),*) => {$(
        impl From<$error> for BenchError {
            fn from(error: $error) -> BenchError {
                BenchError::Failed(error.to_string())
            }
        }
    )*};
}

failed_by!(OpenError, PutError, PutError<Vec<Event>>, CommitError, TakeError, CloseError);
failed_by!(SalvageError, io::Error);
