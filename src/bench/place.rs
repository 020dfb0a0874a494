//! Where the benchmark works: a new directory of its own, which goes when it is over.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::error::BenchError;
use super::form::Form;

/// The directory; it and all in it goes when this is dropped.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    /// Makes it in `parent`, which must be there and have room.
    pub(crate) fn new(parent: &Path, form: Form) -> Result<Place, BenchError> {
        let shown = parent.display();
        match std::fs::metadata(parent) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                return Err(BenchError::Usage(format!(
                    "{shown} is no directory; name one that is on the disk to be measured with --dir"
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BenchError::Usage(format!(
                    "{shown} is not there: make it first, or name another directory with --dir"
                )));
            }
            Err(error) => return Err(BenchError::io(format_args!("look at {shown}"), &error)),
        }
        let (need, free) = (form.space(), fs2::available_space(parent)?);
        if free < need {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            let cure = match form {
                Form::Full => "free some, name another directory with --dir, or use --quick",
                _ => "free some, or name another directory with --dir",
            };
            return Err(BenchError::Failed(format!(
                "{shown} has {} MiB free, and the benchmark needs {} MiB: {cure}",
                free >> 20,
                mib(need)
            )));
        }
        let mut builder = tempfile::Builder::new();
        let directory = builder.prefix("flumen-bench-").tempdir_in(parent).map_err(|error| {
            let cure = "name a directory that is writable with --dir";
            BenchError::Failed(format!("cannot make a directory in {shown}: {error}; {cure}"))
        })?;
        Ok(Place { directory })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Removes it and says whether that worked.
    pub(crate) fn remove(self) -> Result<(), (PathBuf, io::Error)> {
        let path = self.directory.path().to_path_buf();
        self.directory.close().map_err(|error| (path, error))
    }
}
