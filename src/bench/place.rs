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
        let free = fs2::available_space(parent)
            .map_err(|error| BenchError::io(format_args!("see what is free in {shown}"), &error))?;
        check_room(parent, free, form)?;
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

fn check_room(parent: &Path, free: u64, form: Form) -> Result<(), BenchError> {
    let need = form.space();
    if free >= need {
        return Ok(());
    }
    let cure = match form {
        Form::Full => "free some, name another directory with --dir, or use --quick",
        _ => "free some, or name another directory with --dir",
    };
    Err(BenchError::Failed(format!(
        "{} has {} MiB free, and the benchmark needs {} MiB: {cure}",
        parent.display(),
        free >> 20,
        need.div_ceil(1 << 20)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_without_room_is_refused() {
        let parent = Path::new("disk");
        assert!(check_room(parent, Form::Full.space(), Form::Full).is_ok());
        let error = check_room(parent, 3 << 30, Form::Full).expect_err("5 GB do not fit");
        assert!(error.to_string().starts_with("disk has 3072 MiB free"), "{error}");
        assert!(error.to_string().contains("--quick"), "{error}");
        assert!(check_room(parent, 3 << 30, Form::Quick).is_ok());
    }
}
