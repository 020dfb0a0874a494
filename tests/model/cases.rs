//! Many cases of a property, each with a seed of its own, on one thread or two.

use std::fmt::Debug;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proptest::strategy::{BoxedStrategy, Strategy};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::support::effort::{Effort, seed};

/// Runs `test` on so many random values, and fails with the smallest value for which it fails, and a command that runs
/// that case alone. `strategy` is given the case's number.
pub(crate) fn check<T: Debug + Send + 'static>(
    property: &str,
    cases: u64,
    strategy: impl Fn(u64) -> BoxedStrategy<T> + Sync,
    test: impl Fn(T) -> Result<(), String> + Sync,
) {
    let chosen = std::env::var("FLUMEN_CASE").ok();
    let first = chosen.map(|text| text.parse::<u64>().expect("FLUMEN_CASE is a number"));
    let (next, last) = (AtomicU64::new(first.unwrap_or(0)), first.map_or(cases, |case| case + 1));
    let failure = Mutex::new(None);
    let work = || {
        loop {
            let case = next.fetch_add(1, Relaxed);
            if case >= last || failure.lock().expect("no worker panics").is_some() {
                return;
            }
            if let Err(problem) = check_one(case, &strategy(case), &test) {
                failure.lock().expect("no worker panics").get_or_insert((case, problem));
                return;
            }
        }
    };
    match Effort::get() {
        Effort::Quick => work(),
        _ => std::thread::scope(|scope| {
            scope.spawn(work);
            scope.spawn(work);
        }),
    }
    if let Some((case, problem)) = failure.into_inner().expect("no worker panics") {
        let seed = seed();
        panic!(
            "{problem}\nagain: FLUMEN_SEED={seed} FLUMEN_CASE={case} cargo test --test model {property}"
        );
    }
}

fn check_one<T: Debug>(
    case: u64,
    strategy: &BoxedStrategy<T>,
    test: &impl Fn(T) -> Result<(), String>,
) -> Result<(), String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed().to_le_bytes());
    bytes[8..16].copy_from_slice(&case.to_le_bytes());
    let config = Config { failure_persistence: None, max_shrink_iters: 3000, ..Config::default() };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, random);
    let tree = strategy.new_tree(&mut runner).map_err(|reason| reason.to_string())?;
    let result = runner.run_one(tree, |value| test(value).map_err(TestCaseError::fail));
    match result {
        Ok(_) => Ok(()),
        Err(TestError::Fail(reason, smallest)) => {
            Err(format!("case {case}: {reason}\nsmallest: {smallest:?}"))
        }
        Err(TestError::Abort(reason)) => Err(format!("case {case}: {reason}")),
    }
}
