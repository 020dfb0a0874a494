//! Where the demo happens: one directory with the log, the channel, the delivered files and the
//! agent's configuration.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::writer::LOG_NAME;
use crate::cli::exit::{Exit, Failure};

/// Name of the agent in its configuration.
pub(crate) const AGENT_NAME: &str = "demo";

/// The demo's directory; a temporary one goes when this is dropped.
pub(crate) struct Place {
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl Place {
    /// Makes the directory and what belongs into it: `wanted`, which must not hold anything yet, or a
    /// temporary one.
    pub(crate) fn new(wanted: Option<&Path>) -> Result<Place, Failure> {
        let (path, temporary) = match wanted {
            Some(path) => (path.to_path_buf(), None),
            None => {
                let made = tempfile::Builder::new().prefix("flumen-demo-").tempdir();
                let made = made.map_err(|e| Failure::io("make a temporary directory", &e))?;
                (made.path().to_path_buf(), Some(made))
            }
        };
        let mut place = Place { path, temporary };
        place.furnish()?;
        Ok(place)
    }

    fn furnish(&mut self) -> Result<(), Failure> {
        let cannot = |what: &str, path: &Path, error| {
            Failure::io(format_args!("{what} {}", path.display()), &error)
        };
        fs::create_dir_all(&self.path).map_err(|e| cannot("make directory", &self.path, e))?;
        self.path = fs::canonicalize(&self.path).map_err(|e| cannot("find", &self.path, e))?;
        let mut names = fs::read_dir(&self.path).map_err(|e| cannot("list", &self.path, e))?;
        if names.next().is_some() {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "{} is not empty; the demo wants a directory of its own",
                    self.path.display()
                ),
            ));
        }
        for directory in [self.logs(), self.delivered()] {
            fs::create_dir(&directory).map_err(|e| cannot("make directory", &directory, e))?;
        }
        let file = self.configuration();
        fs::write(&file, self.properties()?).map_err(|e| cannot("write", &file, e))
    }

    /// Where the log is written.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Where the agent's sink puts its files.
    pub(crate) fn delivered(&self) -> PathBuf {
        self.path.join("delivered")
    }

    /// The agent's properties file.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.path.join("agent.properties")
    }

    /// What the agent says.
    pub(crate) fn agent_log(&self) -> PathBuf {
        self.path.join("agent.log")
    }

    /// Leaves the directory where it is, for a look at it.
    pub(crate) fn keep(mut self) -> PathBuf {
        if let Some(temporary) = self.temporary.take() {
            let _ = temporary.keep();
        }
        self.path.clone()
    }

    /// The agent's configuration: log to channel to files, with segments so small that the run uses many.
    fn properties(&self) -> Result<String, Failure> {
        let Some(path) = self.path.to_str().filter(|path| !path.contains('\n')) else {
            return Err(Failure::new(
                Exit::Usage,
                "a properties file can only name directories whose names are text; choose another --dir",
            ));
        };
        let path = path.replace('\\', "\\\\");
        Ok(format!(
            "\
# Written by `flumen demo`: an access log goes through a file channel into files.
{AGENT_NAME}.sources = log
{AGENT_NAME}.channels = queue
{AGENT_NAME}.sinks = files

{AGENT_NAME}.sources.log.type = TAILDIR
{AGENT_NAME}.sources.log.channels = queue
{AGENT_NAME}.sources.log.filegroups = access
{AGENT_NAME}.sources.log.filegroups.access = {path}/logs/{LOG_NAME}.*
{AGENT_NAME}.sources.log.batchSize = 1000
{AGENT_NAME}.sources.log.backoffSleepIncrement = 1
{AGENT_NAME}.sources.log.maxBackoffSleep = 5

{AGENT_NAME}.channels.queue.type = file
{AGENT_NAME}.channels.queue.dataDirs = {path}/channel
{AGENT_NAME}.channels.queue.maxFileSize = 1048576

{AGENT_NAME}.sinks.files.type = file_roll
{AGENT_NAME}.sinks.files.channel = queue
{AGENT_NAME}.sinks.files.sink.directory = {path}/delivered
{AGENT_NAME}.sinks.files.sink.rollInterval = 0
{AGENT_NAME}.sinks.files.sink.batchSize = 1000
"
        ))
    }
}
