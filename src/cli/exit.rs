//! How the program ends: five exit codes, and which error leads to which.

use std::fmt;
use std::io::ErrorKind;
use std::process::ExitCode;

use flumen::{CloseError, CommitError, OpenError, PutError, TakeError};

/// The exit codes, for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  damage or a difference was found
  2  usage or configuration: the arguments, the agent's file, or a path that holds no channel
  3  the channel is in use or full, an event is too large for it, or an I/O error
  4  the channel stopped itself after a failed write or sync; opening it again recovers
  128 + N  ended by signal N (130: Ctrl-C)

Messages go to stderr, data to stdout. `flumen COMMAND --help` has an example for each command.";

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All was done.
    Done,
    /// Damage, or a difference between what is and what should be.
    Difference,
    /// The arguments, the configuration or the place cannot be, and nothing was changed.
    Usage,
    /// The channel or the operating system refused. Something may have been done before.
    Io,
    /// A write or sync failed and the channel takes no more.
    Stopped,
    /// The signal of this number ended the work.
    Signal(i32),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Difference => 1,
            Exit::Usage => 2,
            Exit::Io => 3,
            Exit::Stopped => 4,
            Exit::Signal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
        })
    }
}

/// Why a command did not do all it was asked for: the exit code, and a text for people.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code to exit with.
    pub(crate) exit: Exit,
    text: String,
}

impl Failure {
    /// A failure with this code and text.
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Failure {
        Failure { exit, text: text.into() }
    }

    /// The operating system refused to do what `what` says.
    pub(crate) fn io(what: impl fmt::Display, error: &std::io::Error) -> Failure {
        Failure::new(Exit::Io, format!("cannot {what}: {error}"))
    }

    /// The same failure with a sentence after its text: mostly what is safe in spite of it.
    pub(crate) fn with(mut self, sentence: impl fmt::Display) -> Failure {
        self.text = format!("{}\n{sentence}", self.text);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// The error types may grow: what is not known here is neither damage nor wrong usage, so it counts as I/O.

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        let exit = match &error {
            OpenError::Option(_) | OpenError::NotAChannel { .. } => Exit::Usage,
            OpenError::Corrupt(_) => Exit::Difference,
            OpenError::Storage(error) if error.kind() == ErrorKind::NotADirectory => Exit::Usage,
            _ => Exit::Io,
        };
        let failure = Failure::new(exit, error.to_string());
        match is_no_space(&error) {
            true => failure.with("free space, or make the segments smaller: --segment-size"),
            false => failure,
        }
    }
}

/// True when a channel could not be opened for want of space.
pub(crate) fn is_no_space(error: &OpenError) -> bool {
    use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error {
        OpenError::Storage(error) => {
            matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
        }
        _ => false,
    }
}

impl From<PutError> for Failure {
    fn from(error: PutError) -> Failure {
        let exit = match &error {
            PutError::Stopped(..) => Exit::Stopped,
            _ => Exit::Io,
        };
        Failure::new(exit, error.to_string())
    }
}

impl From<TakeError> for Failure {
    fn from(error: TakeError) -> Failure {
        let exit = match &error {
            TakeError::Corrupt(_) => Exit::Difference,
            TakeError::Stopped(_) => Exit::Stopped,
            _ => Exit::Io,
        };
        Failure::new(exit, error.to_string())
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Failure {
        let exit = match &error {
            CommitError::Stopped(_) => Exit::Stopped,
            _ => Exit::Io,
        };
        Failure::new(exit, error.to_string())
    }
}

impl From<CloseError> for Failure {
    fn from(error: CloseError) -> Failure {
        let exit = match &error {
            CloseError::Stopped(_) => Exit::Stopped,
            _ => Exit::Io,
        };
        Failure::new(exit, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flumen::Event;

    #[test]
    fn each_error_has_its_code() {
        let path = String::from("queue");
        let nothing = OpenError::NotAChannel { path: path.clone(), reason: "empty".into() };
        assert_eq!(Failure::from(nothing).exit, Exit::Usage);
        let in_use = OpenError::InUse { path, owner: None };
        assert_eq!(Failure::from(in_use).exit, Exit::Io);
        let full = PutError::Full(Event::new("x"));
        assert_eq!(Failure::from(full).exit, Exit::Io);
        let large = PutError::TooLarge(Event::new("x"));
        assert_eq!(Failure::from(large).exit, Exit::Io);
        let space = CommitError::NoSpace(Vec::new());
        assert_eq!(Failure::from(space).exit, Exit::Io);
    }
}
