//! What must always hold, and what must be reached for that to mean anything.

use stateright::Property;

use crate::disk::{Kind, Name};
use crate::engine::Then;
use crate::model::{Protocol, Put, State, Wrong};

/// The invariants.
pub(crate) fn promises() -> Vec<Property<Protocol>> {
    fn is(state: &State, wrong: fn(Wrong) -> bool) -> bool {
        state.wrong.is_some_and(wrong)
    }
    vec![
        Property::always("i1 an acknowledged event is there", |_, state: &State| {
            !is(state, |wrong| wrong == Wrong::Lost)
        }),
        Property::always("i5 an acknowledged take never comes back", |_, state: &State| {
            !is(state, |wrong| wrong == Wrong::Returned)
        }),
        Property::always("i5 nothing that was gone comes back", |_, state: &State| {
            !is(state, |wrong| wrong == Wrong::Revived)
        }),
        Property::always("i3 the order stays", |_, state: &State| {
            !is(state, |wrong| wrong == Wrong::Order)
        }),
        Property::always("i5 no number is used twice", |_, state: &State| {
            !is(state, |wrong| wrong == Wrong::NumberReused)
        }),
        Property::always("i6 a crash is no damage", |_, state: &State| {
            !is(state, |wrong| matches!(wrong, Wrong::Damage(_)))
        }),
    ]
}

/// Each is reached within some of the bounds: else the promises would be empty ones.
pub(crate) fn situations() -> Vec<Property<Protocol>> {
    vec![
        Property::sometimes("one event is served and another one gone", |_, state: &State| {
            let open = state.engine.as_ref().is_some_and(|engine| engine.is_idle());
            let is_one = |put: Put| state.events.iter().any(|event| event.0 == put);
            open && is_one(Put::Gone) && is_one(Put::Promised)
        }),
        Property::sometimes("a recycled file holds records of two segments", |_, state: &State| {
            state.disk.files.iter().any(|file| {
                let mut records = file.records.iter().filter_map(|record| record.cache.as_ref());
                let first = records.next().map(|record| record.segment);
                records.any(|record| Some(record.segment) != first)
            })
        }),
        Property::sometimes("a rest was carried over and is served", |_, state: &State| {
            let Some(engine) = state.engine.as_ref().filter(|engine| engine.is_idle()) else {
                return false;
            };
            state.disk.files[engine.file as usize].records.iter().any(|record| {
                record.durable.as_ref().is_some_and(|record| {
                    record.segment == engine.number && matches!(record.kind, Kind::Moved { .. })
                })
            })
        }),
        Property::sometimes("closed", |_, state: &State| {
            let mut slots = state.disk.slots.iter();
            slots.all(|slot| slot.durable.as_ref().is_some_and(|slot| slot.clean))
        }),
        Property::sometimes("written behind the end of a clean close", |_, state: &State| {
            // Only an opening that goes on there leaves the number unused that it sets aside.
            let engine = state.engine.as_ref().filter(|engine| !engine.flight.is_empty());
            let mut slots = state.disk.slots.iter().filter_map(|slot| slot.durable.as_ref());
            engine.is_some_and(|engine| slots.any(|slot| slot.numbers_used > engine.number))
        }),
        Property::sometimes("a crash left what an opening prepared", |model, state: &State| {
            let newest = state.disk.slots.iter().filter_map(|slot| slot.cache.as_ref());
            let named = newest.map(|slot| slot.tail).max().unwrap_or(u8::MAX);
            let mut names = state.disk.files.iter().map(|file| file.name.durable);
            let is_later = |name: Name| matches!(name, Name::Segment(number) if number > named);
            state.engine.is_none()
                && state.left.crashes < model.bounds.crashes
                && state.left.rolls == model.bounds.rolls
                && names.any(is_later)
        }),
        Property::sometimes("an opening meets a torn slot", |model, state: &State| {
            let is_opening = state.engine.as_ref().is_some_and(|one| one.then == Then::Served);
            is_opening
                && state.left.lost_slots == model.bounds.lost_slots
                && state.disk.slots.iter().any(|slot| slot.cache.is_none())
        }),
        Property::sometimes("a read shows what a failed sync lost", |model, state: &State| {
            state.left.failed_syncs < model.bounds.failed_syncs
                && state.engine.as_ref().is_some_and(|engine| engine.then == Then::Served)
                && state
                    .disk
                    .files
                    .iter()
                    .any(|file| file.records.iter().any(|record| record.shows_what_is_lost()))
        }),
    ]
}
