//! `flumen bench`: the channel durability benchmark, for any directory on any machine.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use flumen::Shutdown;

use super::exit::{Exit, Failure};
use super::progress::Progress;
use super::{out, report, signals};
use crate::bench::{self, BenchError, Form, Machine, Place, Plan, Report};

const EXAMPLE: &str = "\
Examples: measure the disk of a directory; keep the result; see what a change did
  $ flumen bench --dir /var/spool --quick
  $ flumen bench --dir /var/spool --json before.json --html before.html
  $ flumen bench --dir /var/spool --compare before.json";

/// Measure what a durable channel does on a disk, beside what the disk can
///
/// Works in a new directory inside DIR and removes it at the end. The full form takes up to ten minutes and
/// about 7 GiB, --quick a minute and 1.2 GiB. Each measure stands beside its limit, mostly "raw": the same
/// bytes written over blocks written before, and synced, in turn with the channel, round by round. The table
/// has medians of the rounds, the ratio to the limit, and whether Flumen's target for it was met, which says
/// as much about the machine as about Flumen.
///
/// Exits with 1 when a channel that was killed lost, repeated or confused events, and with 0 whatever the
/// speed. Other work on the machine or the disk falsifies what is measured: the report says how noisy it was.
/// `chrt -r 1 flumen bench` keeps other work from the processors, where the system allows that.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct BenchArgs {
    /// A directory on the disk to be measured [default: the current one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Write everything that was measured, round by round, to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write one page with charts to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Fewer rounds, shorter ones, and smaller backlogs: about a minute
    #[arg(long)]
    quick: bool,
    /// Show what changed since this result, a file that --json wrote
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Just enough to show that everything works: for tests
    #[arg(long, hide = true, conflicts_with = "quick")]
    tiny: bool,
    /// Do this piece of the work, for the process that started this one. An option, because messages about
    /// commands name the hidden ones too
    #[arg(long, hide = true)]
    child: Option<String>,
}

impl BenchArgs {
    fn form(&self) -> Form {
        match (self.quick, self.tiny) {
            (true, _) => Form::Quick,
            (_, true) => Form::Tiny,
            _ => Form::Full,
        }
    }

    fn directory(&self) -> &Path {
        self.dir.as_deref().unwrap_or(Path::new("."))
    }
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Failure {
        let exit = match &error {
            BenchError::Usage(_) => Exit::Usage,
            _ => Exit::Io,
        };
        Failure::new(exit, error.to_string())
    }
}

/// Runs the command.
pub(crate) fn run(args: &BenchArgs) -> Result<Exit, Failure> {
    if let Some(work) = &args.child {
        return run_child(work, args.directory(), args.form());
    }
    // All that may be wrong is found before the minutes of measuring.
    let old = args.compare.as_deref().map(read_old).transpose()?;
    if let (Some(json), Some(html)) = (&args.json, &args.html)
        && json == html
    {
        let text = format!("--json and --html both name {}; name two files", json.display());
        return Err(Failure::new(Exit::Usage, text));
    }
    let mut data = out::stdout()?;
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let html = args.html.as_deref().map(Output::open).transpose()?;
    let form = args.form();
    let shutdown = Shutdown::new();
    let signal = signals::stop_on_signal(shutdown.clone())?;
    let place = Place::new(args.directory(), form)?;
    announce(&place, form);
    let (report, ended) = measure(&place, form, &shutdown);
    if let Err((path, error)) = place.remove() {
        out::say(format_args!("cannot remove {}: {error}; remove it by hand", path.display()));
    }
    write_tables(&report, old.as_ref().filter(|_| ended.is_none()), &mut data)
        .map_err(|error| Failure::io("write to stdout", &error))?;
    match ended {
        Some(BenchError::Interrupted) => {
            let number = signal.try_recv().unwrap_or(2);
            let text = "interrupted: the table has what was measured by then; no file was written";
            return Err(Failure::new(Exit::Signal(number), text));
        }
        Some(error) => return Err(error.into()),
        None => {}
    }
    if let Some(json) = json {
        json.write(report.json()?.as_bytes())?;
    }
    if let Some(html) = html {
        html.write(bench::page(&report)?.as_bytes())?;
    }
    if report.is_wrong() {
        let text = "the channel that was killed did not keep its promise: see the rows \"SIGKILL at work\"";
        return Err(Failure::new(Exit::Difference, text));
    }
    Ok(Exit::Done)
}

fn announce(place: &Place, form: Form) {
    let path = fs::canonicalize(place.path()).unwrap_or_else(|_| place.path().to_path_buf());
    let (space, minutes) = match form {
        Form::Full => (report::bytes(form.space()), "up to ten minutes"),
        Form::Quick => (report::bytes(form.space()), "about a minute"),
        Form::Tiny => (report::bytes(form.space()), "seconds"),
    };
    out::say(format_args!(
        "measuring in {}, which is removed afterwards; it takes {minutes} and up to {space} of disk",
        path.display()
    ));
}

fn measure(place: &Place, form: Form, shutdown: &Shutdown) -> (Report, Option<BenchError>) {
    let machine = Machine::this(place.path());
    let (load, time) = (bench::load(), bench::ProcessorTime::so_far());
    let begin = Instant::now();
    let mut bar: Option<Progress> = None;
    let mut progress = |task: &str, done: u64, total: u64| {
        let bar = bar.get_or_insert_with(|| Progress::bar(total));
        bar.step(done, || task.to_string());
    };
    let plan = Plan { form, place: place.path(), shutdown, progress: &mut progress };
    let (rows, ended) = bench::run(plan);
    drop(bar);
    let seconds = begin.elapsed().as_secs_f64();
    (Report::new(form, machine, load, time, seconds, rows), ended)
}

fn write_tables(report: &Report, old: Option<&Report>, out: &mut dyn Write) -> io::Result<()> {
    if report.rows.is_empty() {
        return Ok(());
    }
    bench::write_table(report, out)?;
    if let Some(old) = old {
        writeln!(out)?;
        bench::write_comparison(old, report, out)?;
    }
    out.flush()
}

fn read_old(path: &Path) -> Result<Report, Failure> {
    // A result has some 100 KB; what is far larger is none.
    const MOST: u64 = 64 << 20;
    let name = path.display().to_string();
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut text));
    read.map_err(|error| Failure::new(Exit::Usage, format!("cannot read {name}: {error}")))?;
    Ok(Report::parse(&text, &name)?)
}

/// A file that will be written at the end; that it can be is found out at the beginning.
struct Output {
    path: PathBuf,
    file: File,
    /// It was not there before: it goes again when there is nothing to write into it.
    is_new: bool,
}

impl Output {
    fn open(path: &Path) -> Result<Output, Failure> {
        let is_new = !path.exists();
        let file = File::options().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| {
            let text = format!("cannot write {}: {error}; name another file", path.display());
            Failure::new(Exit::Usage, text)
        })?;
        Ok(Output { path: path.to_path_buf(), file, is_new })
    }

    fn write(mut self, text: &[u8]) -> Result<(), Failure> {
        self.is_new = false;
        let is_file = self.file.metadata().is_ok_and(|metadata| metadata.is_file());
        let cut = if is_file { self.file.set_len(0) } else { Ok(()) };
        cut.and_then(|()| self.file.write_all(text))
            .map_err(|error| Failure::io(format_args!("write {}", self.path.display()), &error))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_new {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Runs a piece of the benchmark for the process that started this one, and ends when that does.
fn run_child(work: &str, directory: &Path, form: Form) -> Result<Exit, Failure> {
    std::thread::spawn(|| {
        // Nothing is ever written into it: it ends with the parent.
        let _ = io::stdin().read(&mut [0]);
        signal_hook::low_level::exit(1);
    });
    let failed = |error: serde_json::Error| Failure::new(Exit::Usage, error.to_string());
    let work: bench::Work = serde_json::from_str(work).map_err(failed)?;
    let outcome = bench::work(&work, directory, form)?;
    let mut text = serde_json::to_string(&outcome).map_err(failed)?;
    text.push('\n');
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::io("write to stdout", &error))?;
    Ok(Exit::Done)
}
