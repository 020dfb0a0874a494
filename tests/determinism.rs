//! The simulated disk is deterministic with the whole engine on it: the same history and the same seed give
//! the same calls, outcomes, write-backs and images, and another seed gives others. Without that no failure
//! of a campaign could be replayed.

mod support;

use std::collections::HashSet;

use flumen::storage::sim::{Crash, Fault, FaultPlan, SimDisk};
use support::history::{Runner, Step, open};

const STEPS: [Step; 14] = [
    Step::Put(3),
    Step::PutLarge(30),
    Step::Take(2),
    Step::PutLarge(40),
    Step::TakeLater(2),
    Step::Maintain,
    Step::PutLarge(30),
    Step::Reopen,
    Step::Put(5),
    Step::PutRollback(2),
    Step::Abandon,
    Step::Take(3),
    Step::TakeRollback(1),
    Step::Checkpoint,
];

/// Everything that can be told of a run: its calls, each moment of it, each moment after some crashes.
#[derive(PartialEq, Eq, Debug, Hash)]
struct Run {
    calls: u64,
    trace: u64,
    image: u64,
    moments: Vec<(u64, u64, u64)>,
    strikes: usize,
}

fn run(seed: u64, write_back: u64, fault_at: u64) -> Run {
    let mut runner = Runner::new(seed);
    runner.disk.write_back_between_calls(write_back, 30);
    // Nothing but short counts: the history goes on.
    runner.disk.set_plan(FaultPlan::new(Fault::Short(600)).after(fault_at).times(5));
    runner.run(&STEPS);
    let disk = runner.disk.clone();
    drop(runner);
    let moment = |image: &SimDisk| {
        let crash = image.crash(&Crash::Random(image.calls()));
        (image.trace_hash(), image.image_hash(), crash.image_hash())
    };
    Run {
        calls: disk.calls(),
        trace: disk.trace_hash(),
        image: disk.image_hash(),
        moments: disk.take_recording().iter().map(moment).collect(),
        strikes: disk.strikes().len(),
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let mut seen = HashSet::new();
    let mut traces = HashSet::new();
    for (seed, write_back, fault_at) in [(1, 1, 3), (2, 1, 3), (1, 2, 3), (1, 1, 40)] {
        let one = run(seed, write_back, fault_at);
        let other = run(seed, write_back, fault_at);
        assert!(one == other, "seeds {seed} and {write_back}, fault at {fault_at}");
        assert_eq!(one.strikes, 5);
        assert!(one.moments.len() as u64 > one.calls, "write-backs are moments too");
        traces.insert(one.trace);
        seen.insert(one);
    }
    assert_eq!((seen.len(), traces.len()), (4, 4), "each seed has its say");
}

/// Recovery is a part of it: the same crash is recovered by the same calls.
#[test]
fn recovery_is_deterministic() {
    let mut runner = Runner::new(5);
    runner.run(&STEPS[..7]);
    let mut traces = HashSet::new();
    let recording = runner.disk.take_recording();
    for (index, moment) in recording.iter().enumerate().step_by(3) {
        let recover = || {
            let image = moment.crash(&Crash::Random(index as u64));
            drop(open(&image).expect("opens"));
            (image.calls(), image.trace_hash(), image.image_hash())
        };
        assert_eq!(recover(), recover(), "crash after call {index}");
        traces.insert(recover());
    }
    assert!(traces.len() > 10, "{} ways to recover", traces.len());
}
