//! The only place that names locks and atomics: the standard library's, or loom's when its models
//! run.

#[cfg(all(test, loom))]
mod imp {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

    /// Loom has no clock: its model explores the waits that are ended by a notification.
    pub(crate) fn wait_timeout_while<'a, T>(
        condvar: &Condvar,
        mut guard: MutexGuard<'a, T>,
        _timeout: std::time::Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = super::wait(condvar, guard);
        }
        guard
    }
}

// Aliases and not re-exports: a re-export is the forbidden type itself, and the lint would fire at every use.
#[cfg(not(all(test, loom)))]
#[allow(clippy::disallowed_types, reason = "the one door to the locks")]
mod imp {
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
}

use std::sync::PoisonError;

pub(crate) use imp::{Condvar, Mutex, MutexGuard, wait_timeout_while};

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
