//! SIGTERM, SIGINT and SIGHUP ask for a clean end; asked twice, the program ends at once.

use std::sync::mpsc;
use std::thread;

use flumen::Shutdown;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::exit::Failure;

/// Receives the number of the first signal.
pub(crate) type FirstSignal = mpsc::Receiver<i32>;

/// From now on the first SIGTERM, SIGINT or SIGHUP stops `shutdown`, and a second one ends the process with
/// 128 + its number, whatever it does. That is safe: a channel is made for being killed.
pub(crate) fn stop_on_signal(shutdown: Shutdown) -> Result<FirstSignal, Failure> {
    let hang_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let mut signals = Signals::new([SIGTERM, SIGINT].into_iter().chain(hang_up))
        .map_err(|error| Failure::io("watch for signals", &error))?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut signals = signals.forever();
            if let Some(first) = signals.next() {
                // The receiver may be gone: not every command cares which signal it was.
                let _ = sender.send(first);
                shutdown.stop();
            }
            if let Some(second) = signals.next() {
                signal_hook::low_level::exit(128 + second);
            }
        })
        .map_err(|error| Failure::io("start a thread", &error))?;
    Ok(receiver)
}

/// Whether the program was started with a signal ignored, as by `nohup`: then it stays so.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}
