//! Which images are made of one moment: reliability's list, short of nothing where it is small.

use std::fmt;

use flumen::storage::sim::{Crash, EffectKind, Hostile, SimDisk};

/// Beyond this many effects none is dropped or kept alone.
const SINGLES_MAX: usize = 40;

/// One way to crash, with a name that says it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Image {
    /// The process dies, the system lives on.
    Process,
    /// The pending effects whose bits are set.
    Bits(u64),
    Prefix(usize),
    Drop(usize),
    Keep(usize),
    Pair(usize, usize),
    /// So many bytes of the call in flight.
    Torn(u64),
    Random(u64),
    Hostile(u64),
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Image::Process => write!(f, "process"),
            Image::Bits(bits) => write!(f, "bits-{bits}"),
            Image::Prefix(count) => write!(f, "prefix-{count}"),
            Image::Drop(one) => write!(f, "drop-{one}"),
            Image::Keep(one) => write!(f, "keep-{one}"),
            Image::Pair(one, other) => write!(f, "pair-{one}-{other}"),
            Image::Torn(count) => write!(f, "torn-{count}"),
            Image::Random(seed) => write!(f, "random-{seed}"),
            Image::Hostile(seed) => write!(f, "hostile-{seed}"),
        }
    }
}

impl Image {
    pub(crate) fn parse(text: &str) -> Image {
        let mut parts = text.split('-');
        let kind = parts.next().unwrap_or_default();
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok()).unwrap_or(0);
        match kind {
            "process" => Image::Process,
            "bits" => Image::Bits(number()),
            "prefix" => Image::Prefix(number() as usize),
            "drop" => Image::Drop(number() as usize),
            "keep" => Image::Keep(number() as usize),
            "pair" => Image::Pair(number() as usize, number() as usize),
            "torn" => Image::Torn(number()),
            "random" => Image::Random(number()),
            "hostile" => Image::Hostile(number()),
            other => panic!("no image is called {other}"),
        }
    }

    /// The disk that is found.
    pub(crate) fn take(&self, moment: &SimDisk) -> SimDisk {
        match *self {
            Image::Process => moment.snapshot(),
            Image::Bits(bits) => moment.crash(&Crash::Bits(bits)),
            Image::Prefix(count) => moment.crash(&Crash::Prefix(count)),
            Image::Drop(one) => moment.crash(&Crash::Drop(one)),
            Image::Keep(one) => moment.crash(&Crash::OnlyKeep(one)),
            Image::Pair(one, other) => {
                moment.crash(&Crash::Subset(&|index, _| index != one && index != other))
            }
            Image::Torn(count) => moment.crash(&Crash::Torn(count)),
            Image::Random(seed) => moment.crash(&Crash::Random(seed)),
            Image::Hostile(seed) => moment.crash(&Crash::Hostile(seed, Hostile::USUAL)),
        }
    }
}

/// How many images to make of a moment.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Detail {
    /// Every subset up to so many pending effects.
    pub(crate) subsets: usize,
    /// So many bytes of those that the call in flight changes, each time.
    pub(crate) torn_step: usize,
    /// Seeds of random subsets.
    pub(crate) random: u64,
    /// Seeds of noise in what was in flight.
    pub(crate) hostile: u64,
}

impl Detail {
    /// For a large write that is only the way to the next moment.
    pub(crate) const COARSE: Detail = Detail { subsets: 2, torn_step: 4096, random: 0, hostile: 2 };
    /// Inside a recovery, where the images multiply.
    pub(crate) const INSIDE: Detail = Detail { subsets: 4, torn_step: 64, random: 2, hostile: 2 };
}

/// All images of a moment, some of them more than once; of those that the moment before had too, when `is_next`
/// says that they were looked at there, only a few.
pub(crate) fn images(moment: &SimDisk, detail: Detail, is_next: bool) -> Vec<Image> {
    let pending = moment.pending();
    let count = pending.len();
    // What is in the lock file is for people. Its fate is always the same, so that it counts for nothing.
    let is_meant = |index: &usize| pending[*index].file != "LOCK";
    let meant: Vec<usize> = (0..count).filter(is_meant).collect();
    let kept = (0..count.min(64)).filter(|index| !is_meant(index));
    let kept = kept.fold(0, |bits: u64, index| bits | 1 << index);
    let is_new = |index: usize| !is_next || pending[index].in_flight;
    if !(0..count).any(is_new) && is_next {
        return Vec::new();
    }
    let mut images = vec![Image::Process, Image::Prefix(count)];
    if meant.len() <= detail.subsets && count < 64 {
        let subset = |chosen: u64| {
            let bits = meant.iter().enumerate().filter(move |(bit, _)| chosen >> bit & 1 == 1);
            bits.map(|(_, index)| *index)
        };
        let chosen = (0..1u64 << meant.len())
            .filter(|chosen| !is_next || subset(*chosen).any(is_new))
            .map(|chosen| subset(chosen).fold(kept, |bits, index| bits | 1 << index));
        images.extend(chosen.map(Image::Bits));
    } else {
        images.push(Image::Bits(kept));
        images.extend((0..count).filter(|index| is_new(*index)).map(Image::Prefix));
        if meant.len() <= SINGLES_MAX && detail.subsets > 2 {
            images.extend(meant.iter().copied().map(Image::Drop));
            images.extend(meant.iter().copied().filter(|index| is_new(*index)).map(Image::Keep));
        }
        if meant.len() <= 2 * detail.subsets {
            let pairs = meant.iter().flat_map(|one| meant.iter().map(move |other| (*one, *other)));
            let pairs = pairs.filter(|(one, other)| one < other);
            images.extend(pairs.map(|(one, other)| Image::Pair(one, other)));
        }
    }
    let seed = moment.moment_hash();
    let is_data = |index: &usize| matches!(pending[*index].kind, EffectKind::Data { .. });
    if meant.iter().any(is_data) {
        let points = moment.torn_points();
        images.extend(points.into_iter().step_by(detail.torn_step).map(Image::Torn));
        images.extend((0..detail.random).map(|turn| Image::Random(seed ^ turn)));
        images.extend((0..detail.hostile).map(|turn| Image::Hostile(seed ^ turn)));
    }
    images
}
