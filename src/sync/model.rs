//! How the loom models of this crate are run: every interleaving of a few threads, within a bound that each
//! model names.
//!
//! Loom ends a model that blocks for ever with a panic, and so one that takes too many steps. It would end
//! one quietly after a set time or number of executions, so neither is set: a model that returns was
//! finished.
//!
//! A *bound* limits how often a thread is interrupted where it could go on; where it must wait, threads are
//! switched without limit. `None` is no limit.
#![allow(clippy::disallowed_types, reason = "what a model remembers must be invisible to loom")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, LockResult, Mutex, PoisonError};

use loom::model::Builder;
use loom::sync::MutexGuard;
use loom::thread::JoinHandle;

/// Words of stack for a thread of a model. Loom's default of 4096 is too little for a whole engine.
const STACK_WORDS: usize = 32 << 10;

thread_local! {
    /// Loom runs all threads of a model on one thread of the system, and each test on its own.
    static SLEEPS: Cell<u64> = const { Cell::new(0) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// Loom's condition variable, which counts how often somebody sleeps, and how often sleepers are called.
#[derive(Default)]
pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar::default()
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        SLEEPS.with(|sleeps| sleeps.set(sleeps.get() + 1));
        self.0.wait(guard)
    }

    pub(crate) fn notify_one(&self) {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        self.0.notify_all();
    }
}

/// How often threads of this model have slept so far.
pub(crate) fn sleeps() -> u64 {
    SLEEPS.with(Cell::get)
}

/// How often threads of this model have called sleepers so far, whether any was there or not.
pub(crate) fn calls() -> u64 {
    CALLS.with(Cell::get)
}

/// What happened in all executions of a model. Loom does not see it.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Seen {
    /// Counts one more execution in which `what` happened.
    pub(crate) fn note(&self, what: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    /// As [`Seen::note`], if `happened`.
    pub(crate) fn note_if(&self, happened: bool, what: &'static str) {
        if happened {
            self.note(what);
        }
    }

    /// How often `what` happened.
    pub(crate) fn count(&self, what: &'static str) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(what).copied().unwrap_or(0)
    }
}

/// A model that was explored to its end.
pub(crate) struct Finished {
    name: &'static str,
    executions: u64,
    seen: Seen,
}

impl Finished {
    /// Fails unless each of `outcomes` happened in some execution: a model that never reaches what it is
    /// about shows nothing.
    pub(crate) fn reached(&self, outcomes: &[&'static str]) {
        for outcome in outcomes {
            let count = self.seen.count(outcome);
            assert!(count > 0, "{}: never {outcome} in {} executions", self.name, self.executions);
        }
    }

    /// Fails unless `outcome` happened in every execution.
    pub(crate) fn always(&self, outcome: &'static str) {
        assert_eq!(
            self.seen.count(outcome),
            self.executions,
            "{}: not always {outcome}",
            self.name
        );
    }
}

/// Runs `body` in every interleaving and reports how many there were; fewer than `floor` is a failure.
#[allow(clippy::print_stdout, reason = "what the campaign reads")]
pub(crate) fn explore(
    name: &'static str,
    bound: Option<usize>,
    floor: u64,
    body: impl Fn(&Seen) + Send + Sync + 'static,
) -> Finished {
    let seen = Seen::default();
    let inner = seen.clone();
    let body = Arc::new(body);
    builder(bound).check(move || {
        inner.note("executions");
        let slept = sleeps();
        let (body, seen) = (Arc::clone(&body), inner.clone());
        spawn(move || body(&seen)).join().expect("a model that fails has panicked before");
        inner.note_if(sleeps() > slept, "slept");
    });
    let executions = seen.count("executions");
    for (outcome, count) in &*seen.0.lock().unwrap_or_else(PoisonError::into_inner) {
        println!("loom.{name}: {outcome} {count}");
    }
    // One part between the stage and the kind: the campaign adds such figures up.
    let part = name.replace('.', "_");
    println!("figure loom.{part}.executions {executions} {floor}");
    assert!(executions >= floor, "{name}: {executions} executions are below the floor of {floor}");
    Finished { name, executions, seen }
}

/// Runs `body` once, with one thread: for what models begin with and that is made of loom's locks meanwhile.
pub(crate) fn prepare<T: Send + 'static>(body: impl Fn() -> T + Send + Sync + 'static) -> T {
    let made = Arc::new(Mutex::new(None));
    let (into, body) = (Arc::clone(&made), Arc::new(body));
    builder(None).check(move || {
        let (into, body) = (Arc::clone(&into), Arc::clone(&body));
        let thread = spawn(move || {
            let value = body();
            *into.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        });
        thread.join().expect("what models begin with can be made");
    });
    let value = made.lock().unwrap_or_else(PoisonError::into_inner).take();
    value.expect("loom ran the body")
}

/// Starts a thread of a model.
pub(crate) fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let thread = loom::thread::Builder::new().stack_size(STACK_WORDS);
    thread.spawn(body).expect("loom's threads are made of memory")
}

fn builder(bound: Option<usize>) -> Builder {
    let mut builder = Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = 100_000;
    builder.max_permutations = None;
    builder.max_duration = None;
    builder.checkpoint_file = None;
    builder
}
