//! The only place that names locks and atomics: the standard library's, or loom's or shuttle's when their
//! models run (`--cfg loom`, `--cfg shuttle`, in this crate's unit tests only).

#[cfg(all(test, loom))]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) use super::model::Condvar;

    /// Lets the others go on.
    pub(crate) fn sleep(_: std::time::Duration) {
        loom::thread::yield_now();
    }
}

#[cfg(all(test, shuttle))]
mod imp {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64};
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};

    /// Lets the others go on.
    pub(crate) fn sleep(_: std::time::Duration) {
        shuttle::thread::yield_now();
    }
}

// Aliases and not re-exports: a re-export is the forbidden type itself, and the lint would fire at every use.
#[cfg(not(all(test, any(loom, shuttle))))]
#[allow(clippy::disallowed_types, reason = "the one door to the locks")]
mod imp {
    pub(crate) type AtomicBool = std::sync::atomic::AtomicBool;
    pub(crate) type AtomicU64 = std::sync::atomic::AtomicU64;
    pub(crate) type Condvar = std::sync::Condvar;
    pub(crate) type Mutex<T> = std::sync::Mutex<T>;
    pub(crate) type MutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;

    /// Waits on `condvar` while `condition` holds, at most for `timeout`; see [`lock`](super::lock)
    /// for why poison is ignored.
    pub(crate) fn wait_timeout_while<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        timeout: std::time::Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        condvar
            .wait_timeout_while(guard, timeout, condition)
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .0
    }

    /// For waits on another process, which nothing in this one can end.
    #[allow(clippy::disallowed_methods, reason = "the one door to it, too")]
    pub(crate) fn sleep(time: std::time::Duration) {
        std::thread::sleep(time);
    }
}

use std::sync::PoisonError;

#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use imp::wait_timeout_while;
pub(crate) use imp::{AtomicBool, AtomicU64, Condvar, Mutex, MutexGuard, sleep};

/// A point in time.
pub(crate) struct Moment(#[cfg(not(all(test, any(loom, shuttle))))] std::time::Instant);

#[cfg(not(all(test, any(loom, shuttle))))]
#[allow(clippy::disallowed_methods, reason = "how long to wait depends on it, and nothing else")]
impl Moment {
    pub(crate) fn now() -> Moment {
        Moment(std::time::Instant::now())
    }

    pub(crate) fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }

    #[cfg(test)]
    pub(crate) fn in_future(time: std::time::Duration) -> Moment {
        Moment(std::time::Instant::now() + time)
    }

    #[cfg(test)]
    pub(crate) fn ago(time: std::time::Duration) -> Moment {
        Moment(std::time::Instant::now() - time)
    }
}

/// The models have no clock: time stands still.
#[cfg(all(test, any(loom, shuttle)))]
impl Moment {
    pub(crate) fn now() -> Moment {
        Moment()
    }

    pub(crate) fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

/// Locks `mutex`. A thread that panicked while it held the lock does not take the others down with
/// it: every structure behind these locks is whole between any two statements that could panic, or,
/// in the group commit, a guard has stopped the channel.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits on `condvar`; see [`lock`] for why poison is ignored.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits on `condvar`, which belongs to `mutex`, and at most for `timeout`.
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) fn wait_timeout<'a, T>(
    _mutex: &'a Mutex<T>,
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: std::time::Duration,
) -> MutexGuard<'a, T> {
    condvar.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0
}

/// Does `act`, and says how long that took. In the models, which have no clock, it always takes long.
pub(crate) fn timed<T>(act: impl FnOnce() -> T) -> (T, std::time::Duration) {
    let begin = Moment::now();
    let done = act();
    let is_model = cfg!(all(test, any(loom, shuttle)));
    (done, if is_model { std::time::Duration::from_secs(1) } else { begin.elapsed() })
}

/// The models have no clock: such a wait may end at any time, a notification or not.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) fn wait_timeout<'a, T>(
    mutex: &'a Mutex<T>,
    _condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    _timeout: std::time::Duration,
) -> MutexGuard<'a, T> {
    drop(guard);
    lock(mutex)
}

/// The models have no clock: they explore the waits that are ended by a notification.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) fn wait_timeout_while<'a, T>(
    condvar: &Condvar,
    mut guard: MutexGuard<'a, T>,
    timeout: std::time::Duration,
    mut condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    while !timeout.is_zero() && condition(&mut guard) {
        guard = wait(condvar, guard);
    }
    guard
}

/// The lock of the simulated disk, and the place before each of its calls where other threads may come in:
/// that lock itself.
#[cfg(all(feature = "sim", not(all(test, any(loom, shuttle)))))]
pub(crate) mod disk {
    pub(crate) use super::{Mutex, MutexGuard, lock};

    pub(crate) fn step() {}
}

/// The lock of the simulated disk, which models do not see: a call of the disk is one step, taken without
/// giving way, so nobody ever waits for this lock, and a disk can outlive an execution. Where threads may
/// meet between two calls of the disk loom's models say themselves, in `channel::loom_tests::steps`; under
/// shuttle it is before each call.
#[cfg(all(test, any(loom, shuttle)))]
#[allow(clippy::disallowed_types, reason = "what models must not see")]
pub(crate) mod disk {
    pub(crate) type Mutex<T> = std::sync::Mutex<T>;
    pub(crate) type MutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn step() {
        #[cfg(shuttle)]
        {
            // Not `yield_now`, which would make the thread the last in line where priorities count.
            let place = shuttle::sync::atomic::AtomicBool::new(false);
            place.load(std::sync::atomic::Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, loom))]
pub(crate) mod model;
