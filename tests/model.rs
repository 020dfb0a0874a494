//! I1 to I5, I7, I8, I10: long random histories against a model of lists and maps that shares no code with the engine,
//! and pairs of histories that must deliver the same.
//!
//! A history has several puts and takes open at once, rollbacks, cursors, capacity limits, full disks, reopenings with
//! other settings, process deaths, losses of power and I/O errors. After an error the model goes on asserting: what
//! was acknowledged is there, a commit that met the error is there whole or not at all, and the log is a prefix.
//!
//! ```sh
//! FLUMEN_EFFORT=short cargo test --profile campaign --no-default-features --test model -- --nocapture
//! ```
//!
//! The long form (`FLUMEN_EFFORT=long`) runs two million histories, in some hours; another `FLUMEN_SEED` gives others.
//! A failure is shrunk and prints its history, and `FLUMEN_CASE`, which runs that case alone.

#![allow(clippy::disallowed_types, reason = "not the engine's locks")]

#[path = "model/cases.rs"]
mod cases;
#[path = "model/metamorphic.rs"]
mod metamorphic;
#[path = "support/model.rs"]
mod model;
#[path = "model/strategy.rs"]
mod strategy;
mod support;

use std::sync::Mutex;

use metamorphic::{RELATIONS, compare, pairs};
use model::{Counts, run};
use proptest::strategy::Strategy;
use strategy::{THEMES, histories};
use support::effort::{Effort, figure};

#[test]
fn i1_to_i8_random_histories_are_as_the_model_says() {
    let effort = Effort::get();
    let histories_wanted = effort.pick(600, 16_000, 2_000_000);
    let total = Mutex::new(Counts::default());
    let longest = |case: u64| if case.is_multiple_of(4) { 200 } else { 60 };
    cases::check(
        "i1_to_i8",
        histories_wanted,
        |case| histories(THEMES[(case / 3 % 4) as usize], longest(case)),
        |history| {
            let outcome = run(&history)?;
            total.lock().expect("no worker panics").add(&outcome.counts);
            Ok(())
        },
    );
    let counts = total.into_inner().expect("no worker panics");
    if std::env::var_os("FLUMEN_CASE").is_some() {
        return;
    }
    let floor = |short: u64| effort.pick(1, short, short);
    figure("model.histories", histories_wanted, floor(16_000));
    figure("model.operations", counts.operations, floor(500_000));
    figure("model.events", counts.events, floor(200_000));
    figure("model.openings", counts.openings, floor(40_000));
    figure("model.crashes", counts.crashes, floor(5_000));
    figure("model.faults", counts.faults, floor(5_000));
    figure("model.in_doubt", counts.in_doubt, floor(500));
}

#[test]
fn i3_i4_what_is_no_business_of_a_consumer_changes_nothing_for_it() {
    let effort = Effort::get();
    let wanted = effort.pick(60, 3_000, 600_000);
    cases::check(
        "i3_i4",
        wanted,
        |case| {
            let relation = RELATIONS[(case % 6) as usize];
            pairs(40).prop_map(move |pair| (relation, pair)).boxed()
        },
        |(relation, pair)| compare(&pair, relation),
    );
    if std::env::var_os("FLUMEN_CASE").is_none() {
        figure("metamorphic.pairs", wanted, effort.pick(1, 3_000, 3_000));
    }
}
