//! The agent as a child process: this very program, started, watched and killed.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::place::{AGENT_NAME, Place};
use crate::cli::exit::{Exit, Failure};

/// The number of SIGKILL.
const SIGKILL: i32 = 9;
/// How much of the agent's log is shown when it ends unasked, in bytes.
const LOG_SHOWN: u64 = 2048;

/// A running agent. Killed when dropped, so that none outlives the demo.
pub(crate) struct Agent {
    child: Child,
}

impl Agent {
    /// Starts an agent; with `until_idle` it ends by itself when there is nothing more to deliver.
    pub(crate) fn start(place: &Place, until_idle: bool) -> Result<Agent, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::io("find this program's own file", &error))?;
        let cannot = |error| Failure::io("write the agent's log", &error);
        let mut log = File::options();
        let log = log.append(true).create(true);
        let log = log.open(place.agent_log()).map_err(cannot)?;
        let mut command = Command::new(&program);
        command.arg("agent").arg("--conf-file").arg(place.configuration());
        command.args(["--name", AGENT_NAME]);
        if until_idle {
            command.arg("--until-idle");
        }
        command.stdin(Stdio::null());
        command.stdout(log.try_clone().map_err(cannot)?);
        command.stderr(log);
        let child = command
            .spawn()
            .map_err(|e| Failure::io(format_args!("start {}", program.display()), &e))?;
        Ok(Agent { child })
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        self.child.try_wait().map_err(no_news)
    }

    /// Kills it with SIGKILL and waits for its end. True when that is what ended it: it was alive.
    pub(crate) fn kill(mut self) -> Result<bool, Failure> {
        let status = self.child.kill().and_then(|()| self.child.wait());
        Ok(status.map_err(no_news)?.signal() == Some(SIGKILL))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Both fail when it was waited for already, which is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn no_news(error: io::Error) -> Failure {
    Failure::io("learn what became of the agent", &error)
}

/// An agent that should have gone on, or should have ended well, did not.
pub(crate) fn ended_badly(place: &Place, status: ExitStatus) -> Failure {
    Failure::new(Exit::Io, format!("the agent ended by itself ({status})"))
        .with(last_words(&place.agent_log()))
}

/// The end of the agent's log.
pub(crate) fn last_words(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let start = file.metadata()?.len().saturating_sub(LOG_SHOWN);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(LOG_SHOWN).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_string())
    };
    match read() {
        Ok(text) if text.is_empty() => "the agent's log is empty".into(),
        Ok(text) => format!("the agent's log ends with:\n{text}"),
        Err(error) => format!("the agent's log cannot be read: {error}"),
    }
}

/// Bytes in the plain files of `directory`.
pub(crate) fn size_of_files(directory: &Path) -> io::Result<u64> {
    let mut size = 0;
    for file in fs::read_dir(directory)? {
        // A file may go between the listing and the question for its size.
        match file?.metadata() {
            Ok(metadata) if metadata.is_file() => size += metadata.len(),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(size)
}
