//! Running the stages, two at a time where they allow it, behind a progress bar.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::build::{LIBRARY, Programs, place, root};
use crate::planted;
use crate::report::{Outcome, Report, figures};
use crate::stages::{Build, PLANTED, Stage};
use crate::{Arguments, Size};

/// How long a fuzz target runs in the long form.
const LONG_FUZZING: Duration = Duration::from_secs(3600);
const SHORT_FUZZING: Duration = Duration::from_secs(60);

/// Runs them all; false when one has failed.
pub(crate) fn run(
    stages: &[Stage],
    programs: &Programs,
    arguments: &Arguments,
    report: &mut Report,
) -> Result<bool, String> {
    let logs = place().join("logs");
    std::fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
    let bar = ProgressBar::new(stages.len() as u64);
    let style = ProgressStyle::with_template("[{elapsed_precise}] {bar:30} {pos}/{len} {msg}");
    bar.set_style(style.expect("the template is a constant"));
    bar.enable_steady_tick(Duration::from_secs(1));
    let runner = Runner { programs, arguments, logs: &logs, bar: &bar };
    let (alone, beside): (Vec<Stage>, Vec<Stage>) = stages.iter().partition(|stage| stage.alone);
    let mut outcomes: Vec<Outcome> = alone.iter().map(|stage| runner.stage(stage)).collect();
    // The rest has one busy core each.
    let waiting = Mutex::new(beside.into_iter());
    let done = Mutex::new(&mut outcomes);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("no runner panics").next();
                    let Some(stage) = next else { return };
                    let outcome = runner.stage(&stage);
                    done.lock().expect("no runner panics").push(outcome);
                }
            });
        }
    });
    bar.finish_and_clear();
    let is_good = outcomes.iter().all(|outcome| outcome.problem.is_none());
    report.add(outcomes);
    Ok(is_good)
}

struct Runner<'a> {
    programs: &'a Programs,
    arguments: &'a Arguments,
    logs: &'a Path,
    bar: &'a ProgressBar,
}

impl Runner<'_> {
    fn stage(&self, stage: &Stage) -> Outcome {
        self.bar.set_message(stage.name);
        let begin = Instant::now();
        let log = self.logs.join(format!("{}.log", stage.name));
        let result = match stage.name {
            PLANTED => planted::hunt(self.programs, &log),
            _ => self.program(stage, &log),
        };
        let (printed, problem) = match result {
            Ok(printed) => (printed, None),
            Err(problem) => (String::new(), Some(problem)),
        };
        let found = figures(&printed);
        let is_there = |(name, floor): &&(&str, u64)| {
            found.iter().any(|figure| figure.name == *name && figure.value >= *floor)
        };
        let owed = stage.figures.iter().find(|owed| !is_there(owed));
        let missing = owed.map(|(name, floor)| format!("{name} is not reported, or below {floor}"));
        let problem = problem.or(missing);
        let line = match &problem {
            None => format!("{:16} {:5} s", stage.name, begin.elapsed().as_secs()),
            Some(problem) => format!("{:16} FAILED: {problem}", stage.name),
        };
        let skipped: Vec<String> = printed.lines().filter_map(skipped).collect();
        self.bar.suspend(|| {
            eprintln!("{line}");
            skipped.iter().for_each(|what| eprintln!("{:16} SKIPPED: {what}", ""));
        });
        self.bar.inc(1);
        let seconds = begin.elapsed().as_secs();
        Outcome { stage: *stage, seconds, figures: found, skipped, problem }
    }

    /// Runs a stage's program, and gives what it printed.
    fn program(&self, stage: &Stage, log: &Path) -> Result<String, String> {
        let key = (stage.build, stage.target.to_string());
        let program = self.programs.get(&key).ok_or("was not built")?;
        let mut command = Command::new(program);
        command.current_dir(root()).env("FLUMEN_EFFORT", self.arguments.size.name());
        command.env("FLUMEN_SEED", self.arguments.seed.to_string());
        command.env("CARGO_MANIFEST_DIR", root());
        let fresh = match stage.build {
            Build::Fuzz => Some(self.fuzz(stage, &mut command)?),
            _ => {
                command.args(["--nocapture", stage.filter]);
                None
            }
        };
        let status = captured(&mut command, log).and_then(|mut child| child.wait());
        drop(fresh);
        let printed = read(log)?;
        match status.map_err(|error| error.to_string())? {
            status if status.success() => Ok(printed),
            status => {
                let lines: Vec<&str> = printed.lines().collect();
                let end = lines[lines.len().saturating_sub(30)..].join("\n");
                Err(format!("{status}; {} ends with:\n{end}", log.display()))
            }
        }
    }

    /// New inputs go to a directory of their own: the corpus in the repository is the seed.
    fn fuzz(&self, stage: &Stage, command: &mut Command) -> Result<tempfile::TempDir, String> {
        let fresh = tempfile::tempdir().map_err(|error| error.to_string())?;
        let time = match self.arguments.size {
            Size::Short => SHORT_FUZZING,
            Size::Long => LONG_FUZZING,
        };
        command.arg(fresh.path()).arg(Path::new("fuzz/corpus").join(stage.target));
        command.arg(format!("-max_total_time={}", time.as_secs()));
        command.arg(format!("-seed={}", self.arguments.seed));
        command.args(["-malloc_limit_mb=64", "-print_final_stats=1", "-timeout=10"]);
        Ok(fresh)
    }
}

/// What a program says that it could not do here.
fn skipped(line: &str) -> Option<String> {
    line.split_once("SKIPPED: ").map(|(_, what)| what.to_string())
}

/// Starts a program that prints into a file.
fn captured(command: &mut Command, log: &Path) -> std::io::Result<std::process::Child> {
    let file = File::create(log)?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()
}

fn read(log: &Path) -> Result<String, String> {
    let bytes = std::fs::read(log).map_err(|error| format!("{}: {error}", log.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How a test ended that was to fail.
pub(crate) enum Stopped {
    Failed,
    Passed,
    TimedOut,
}

/// Runs one test with a bug planted.
pub(crate) fn with_bug(
    programs: &Programs,
    (build, target, test): (Build, &str, &str),
    bug: &str,
    time: Duration,
) -> Result<(Stopped, String), String> {
    let target = if target.is_empty() { LIBRARY } else { target };
    let program =
        programs.get(&(build, target.to_string())).ok_or(format!("{target} was not built"))?;
    let mut command = Command::new(program);
    command.current_dir(root()).env("FLUMEN_PLANTED", bug).args(["--nocapture", "--exact", test]);
    command.env("FLUMEN_EFFORT", "").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // A program that was ended closes both; what cannot be read is not missed.
        let _ = out.as_mut().map(|pipe| pipe.read_to_end(&mut text));
        let _ = send.send(text);
    });
    std::thread::spawn(move || err.as_mut().map(|pipe| std::io::copy(pipe, &mut std::io::sink())));
    let printed = receive.recv_timeout(time);
    if printed.is_err() {
        child.kill().map_err(|error| error.to_string())?;
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let printed = printed.map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok(match printed {
        Err(_) => (Stopped::TimedOut, String::new()),
        Ok(text) if status.success() => (Stopped::Passed, text),
        Ok(text) => (Stopped::Failed, text),
    })
}
