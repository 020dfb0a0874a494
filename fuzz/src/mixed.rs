//! The directories of two channels, mixed: an opening refuses, or it delivers of one channel only.

use crate::bodies::id;
use crate::edit::{Reach, edit};
use crate::input::Input;
use crate::look;
use crate::recovery::{again, agrees, ids, image, is_a_state};
use crate::sample::{Files, Sample, samples};

/// The input: which two, for each name whose file it is, and then edits, of which the source may be the other
/// channel.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let choice = input.byte();
    let all = samples();
    let pair = [&all[usize::from(choice & 1)], &all[2]];
    let mut files = mix(&mut input, pair);
    for _ in 0..usize::from(choice >> 1 & 3) {
        let sample = pair[input.below(2)];
        if !input.is_empty() && edit(&mut files, &mut input, sample) == Reach::Forgery {
            return;
        }
    }
    let disk = image(pair[0], &files);
    let tools = look::tools(&disk, choice & 0xf0 == 0);
    let found = look::deliver(&disk).ok();
    if let Some(saved) = &tools.salvaged {
        ids(&saved.events);
        let channels = saved.events.iter().filter_map(id).map(channel);
        let channels: Vec<_> = channels.collect();
        assert!(channels.windows(2).all(|pair| pair[0] == pair[1]), "salvaged: {channels:?}");
    }
    agrees(&tools, found.as_ref(), Reach::Accident);
    if let Some(found) = &found {
        let first = found.events.first().and_then(id).map(channel);
        let of = |sample: &&&Sample| {
            let first_put = sample.states.iter().find_map(|held| held.queue.first());
            first_put.copied().map(channel) == first
        };
        match pair.iter().find(of) {
            Some(sample) => is_a_state(found, &sample.states),
            None => assert!(found.events.is_empty(), "I4: of neither channel"),
        }
        again(&disk, found, Reach::Accident);
    }
    look::ended(&disk);
}

fn channel(id: u32) -> u32 {
    id / 1000
}

/// Each name has the file of the one, of the other, an older one of either, or none.
fn mix(input: &mut Input<'_>, pair: [&Sample; 2]) -> Files {
    let mut files = Files::new();
    let names: std::collections::BTreeSet<_> =
        pair.iter().flat_map(|sample| sample.files.keys()).collect();
    for name in names {
        let choice = input.byte();
        let sample = pair[usize::from(choice & 1)];
        let source = match choice >> 1 & 7 {
            0 => continue,
            1 => sample.past.get(usize::from(choice >> 4)),
            _ => Some(&sample.files),
        };
        if let Some(bytes) = source.and_then(|files| files.get(name)) {
            files.insert(name.clone(), bytes.clone());
        }
    }
    files
}
