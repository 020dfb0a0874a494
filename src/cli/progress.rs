//! Progress for whoever watches: on stderr, only when that is a terminal, and only once the work has
//! taken a second. Nobody else sees a byte of it.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::report;

const QUIET: Duration = Duration::from_secs(1);

/// A bar or a spinner that shows itself when the work takes long, and goes when it is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    wanted: bool,
    shown: bool,
}

impl Progress {
    /// For work whose size is not known.
    pub(crate) fn spinner() -> Progress {
        Progress::new(ProgressBar::hidden(), "{spinner} {msg} ({elapsed})")
    }

    /// For work of `total` steps.
    pub(crate) fn bar(total: u64) -> Progress {
        let bar = ProgressBar::hidden();
        bar.set_length(total);
        Progress::new(bar, "{wide_bar} {percent:>3} %  {msg} ({elapsed})")
    }

    fn new(bar: ProgressBar, template: &str) -> Progress {
        bar.set_style(ProgressStyle::with_template(template).expect("the template is a constant"));
        Progress {
            bar,
            started: Instant::now(),
            wanted: std::io::stderr().is_terminal(),
            shown: false,
        }
    }

    /// Shows nothing after all: for work whose data goes to the same terminal.
    pub(crate) fn hide(&mut self) {
        self.wanted = false;
    }

    /// So many events with so many bytes were `done` ("put", "taken") by now.
    pub(crate) fn events(&mut self, done: &str, events: u64, bytes: u64) {
        if self.is_shown() {
            let (events, bytes) = (report::thousands(events), report::bytes(bytes));
            self.bar.set_message(format!("{events} events {done}, {bytes}"));
            self.bar.tick();
        }
    }

    /// The work is at `step`; `message` says more.
    pub(crate) fn step(&mut self, step: u64, message: impl FnOnce() -> String) {
        if self.is_shown() {
            self.bar.set_message(message());
            self.bar.set_position(step);
        }
    }

    fn is_shown(&mut self) -> bool {
        if self.wanted && !self.shown && self.started.elapsed() >= QUIET {
            self.shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.shown
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
