//! Child processes: this very program with a hidden option. Each has a process group of its own, so that a
//! Ctrl-C reaches the parent alone, which ends its children in good order.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flumen::Shutdown;

use super::error::BenchError;
use super::form::Form;
use super::work::{Outcome, Work};

/// How often a parent looks at its child.
const TICK: Duration = Duration::from_millis(5);

/// A running child. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts a child that does `work` in `directory`.
    pub(crate) fn start(work: &Work, directory: &Path, form: Form) -> Result<Running, BenchError> {
        let program = std::env::current_exe()
            .map_err(|error| BenchError::io("find this program's own file", &error))?;
        let text = |error: serde_json::Error| BenchError::Failed(error.to_string());
        let mut command = Command::new(program);
        command.arg("bench").arg("--dir").arg(directory);
        if form != Form::Full {
            command.arg(format!("--{}", form.name()));
        }
        command.arg("--child").arg(serde_json::to_string(work).map_err(text)?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .process_group(0)
            .spawn()
            .map_err(|error| BenchError::io("start a child process", &error))?;
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                let lines = BufReader::new(stdout).lines();
                lines.map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        let errors = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut text = String::new();
                let _ = stderr.read_to_string(&mut text);
                text
            })
        });
        Ok(Running { child, lines, errors })
    }

    /// Waits for its end and gives what it says; `tick` is called now and then.
    pub(crate) fn finish(
        mut self,
        shutdown: &Shutdown,
        tick: &mut dyn FnMut(),
    ) -> Result<(Outcome, Vec<String>), BenchError> {
        let no_news = |error| BenchError::io("learn what became of a child process", &error);
        let status = loop {
            if let Some(status) = self.child.try_wait().map_err(no_news)? {
                break status;
            }
            if shutdown.sleep(TICK) {
                return Err(BenchError::Interrupted);
            }
            tick();
        };
        let mut lines: Vec<String> = self.lines.iter().collect();
        let answer = lines.pop().unwrap_or_default();
        match (status.success(), serde_json::from_str(&answer)) {
            (true, Ok(outcome)) => Ok((outcome, lines)),
            _ => Err(self.complaint(&status.to_string())),
        }
    }

    /// Waits for a line that is `word`; the lines until there.
    pub(crate) fn wait_for(&mut self, word: &str, shutdown: &Shutdown) -> Result<(), BenchError> {
        loop {
            match self.lines.recv_timeout(TICK) {
                Ok(line) if line == word => return Ok(()),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(self.complaint("it ended too early"));
                }
                _ if shutdown.is_stopped() => return Err(BenchError::Interrupted),
                _ => {}
            }
        }
    }

    /// Kills it with SIGKILL, and gives what it had said by then.
    pub(crate) fn kill(mut self) -> Result<Vec<String>, BenchError> {
        let status = self.child.kill().and_then(|()| self.child.wait());
        let status = status.map_err(|error| BenchError::io("kill a child process", &error))?;
        if status.code().is_some() {
            return Err(self.complaint("it ended before it was to be killed"));
        }
        Ok(self.lines.iter().collect())
    }

    fn complaint(&mut self, what: &str) -> BenchError {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let said = self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default();
        let said = said.trim();
        let prefix = "flumen: ";
        match said.is_empty() {
            true => BenchError::Failed(format!("a child process failed: {what}")),
            false => BenchError::Failed(said.strip_prefix(prefix).unwrap_or(said).into()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it was waited for already, which is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
