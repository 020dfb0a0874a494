//! Openings, and what they must find.

use std::collections::BTreeMap;
use std::fmt;

use flumen::storage::sim::{Crash, Hostile, SimDisk};
use flumen::{Channel, Event, FileChannel, OpenError, TakeError};

use super::history::{Ending, Settings, Size};
use super::player::{Played, Player, cursor, ensure};
use super::reference::{Item, State};

/// How often an opening is tried: each may meet a fault of its own.
const OPENINGS: usize = 4;

impl Player {
    /// Ends the use of the channel, and says whether the machine has lost its power.
    pub(super) fn end(&mut self, ending: Ending) -> bool {
        let image = match ending {
            Ending::Close | Ending::Abandon => None,
            Ending::LoseAll => Some(self.disk.crash(&Crash::LoseAll)),
            Ending::KeepAll => Some(self.disk.crash(&Crash::KeepAll)),
            Ending::Random(seed) => Some(self.disk.crash(&Crash::Random(u64::from(seed)))),
            Ending::Hostile(seed) => {
                Some(self.disk.crash(&Crash::Hostile(u64::from(seed), Hostile::USUAL)))
            }
        };
        self.puts = Default::default();
        self.takes = Default::default();
        self.channel = None;
        match image {
            Some(image) => self.switch_to(image),
            None => return self.restart_machine(),
        }
        true
    }

    fn switch_to(&mut self, image: SimDisk) {
        self.outcome.counts.crashes += 1;
        self.outcome.counts.faults += self.disk.strikes().len() as u64;
        self.disk = image;
        self.has_lost_writes = false;
        self.strikes_before = 0;
    }

    /// A machine that a fault has switched off.
    fn restart_machine(&mut self) -> bool {
        let is_off = self.disk.is_off();
        if is_off {
            self.seed = self.seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let hostile = Crash::Hostile(self.seed, Hostile::USUAL);
            let crash = if self.seed & 4 == 0 { Crash::Random(self.seed) } else { hostile };
            self.switch_to(self.disk.crash(&crash));
        }
        is_off
    }

    /// Opens, with the faults that are armed, and holds what is found against what was promised. False when
    /// it took more than one try.
    pub(super) fn open(
        &mut self,
        settings: Settings,
        mut is_power_lost: bool,
    ) -> Result<bool, String> {
        self.settings = settings;
        if settings.lazy_acks {
            self.unfill();
        }
        self.strikes_before = self.disk.strikes().len();
        self.was_limited = self.is_limited;
        let mut tries = 1;
        let channel = loop {
            match FileChannel::open_on(self.disk.storage(), settings.options()) {
                Ok(channel) => break channel,
                Err(OpenError::Storage(error)) => {
                    let is_excused = self.has_trouble() || self.is_limited;
                    ensure(is_excused && tries < OPENINGS, || format!("I10: no opening: {error}"))?;
                    is_power_lost |= self.restart_machine();
                    self.disk.clear_plans();
                    self.unfill();
                    tries += 1;
                }
                Err(error) => return Err(format!("I6, I10: no opening: {error}")),
            }
        };
        self.outcome.counts.openings += 1;
        self.outcome.counts.in_doubt += u64::from(self.model.is_in_doubt());
        self.channel = Some(channel);
        self.has_ended = false;
        let found = self.look()?;
        let allowed = self.model.allowed(is_power_lost);
        let state = allowed
            .iter()
            .find(|state| found.is(state))
            .ok_or_else(|| format!("I1 to I5: found {found}, allowed {}", brief(&allowed)))?;
        self.model.found(state.clone());
        self.compare_shown()?;
        Ok(tries == 1)
    }

    /// What is in the queue that was just opened, seen through another opening of a copy: of the disk as it
    /// stands, or of what a loss of power leaves, since what an opening has found it has made durable.
    fn look(&self) -> Result<Found, String> {
        let image = match self.outcome.counts.openings % 3 {
            0 => self.disk.snapshot(),
            1 => self.disk.crash(&Crash::LoseAll),
            _ => self.disk.crash(&Crash::Random(self.outcome.counts.operations)),
        };
        image.set_capacity(None);
        let open = || FileChannel::open_on(image.storage(), self.settings.options());
        let mut opened = open();
        // A failed write-back may be reported late, to an opening.
        for _ in 1..OPENINGS {
            match opened {
                Err(OpenError::Storage(_)) if self.has_lost_writes => opened = open(),
                _ => break,
            }
        }
        let channel = opened.map_err(|error| format!("I10: a copy cannot be opened: {error}"))?;
        let altered = |event: &Event| format!("I4: altered: {event:?}");
        let items = drain(&channel)?;
        let items = items.iter().map(|event| Item::of(event).ok_or_else(|| altered(event)));
        let items = items.collect::<Result<_, _>>()?;
        let next = channel.stats().next_sequence;
        Ok(Found { next, items, cursors: cursors_of(&channel)? })
    }

    /// I4: counts and cursors are those of the model.
    pub(super) fn compare_shown(&self) -> Played {
        let (stats, state) = (self.channel().stats(), self.model.logged());
        let shown = (stats.next_sequence, stats.events, stats.bytes);
        let expected = (state.next, state.items.len() as u64, state.bytes());
        ensure(shown == expected || self.model.is_in_doubt(), || {
            format!("next sequence, events and bytes are {shown:?}, expected {expected:?}")
        })?;
        let oldest = state.items.keys().next().copied().unwrap_or(state.next);
        ensure(stats.oldest_sequence == oldest || self.model.is_in_doubt(), || {
            format!("the oldest sequence is {}, expected {oldest}", stats.oldest_sequence)
        })?;
        let cursors = cursors_of(self.channel())?;
        ensure(cursors == state.cursors || self.model.is_in_doubt(), || {
            format!("cursors {cursors:?}, expected {:?}", state.cursors)
        })
    }

    /// The disk has room for so many pages more.
    pub(super) fn fill(&mut self, pages: u64) {
        const PAGE: u64 = 4096;
        let sizes =
            self.disk.file_names().into_iter().filter_map(|name| self.disk.read_file(&name));
        let used: u64 = sizes.map(|bytes| (bytes.len() as u64).div_ceil(PAGE)).sum();
        self.disk.set_capacity(Some((used + pages) * PAGE));
        self.is_limited = true;
    }

    pub(super) fn unfill(&mut self) {
        self.disk.set_capacity(None);
        self.is_limited = false;
    }

    /// The end of every history: no faults any more. All that is left comes out, and the channel goes on.
    pub(super) fn finish(&mut self) -> Played {
        self.disk.clear_plans();
        self.puts = Default::default();
        if self.has_ended || self.has_trouble() {
            // A write-back that failed may be reported to any later opening, but for a new start.
            let lost = self.has_lost_writes;
            let is_power_lost = self.end(if lost { Ending::KeepAll } else { Ending::Abandon });
            self.unfill();
            self.open(self.settings, is_power_lost)?;
        }
        for open in self.takes.iter_mut().filter_map(Option::take) {
            self.model.free.extend(open.into_items());
        }
        self.model.used_events = self.model.free.len() as u64;
        self.model.used_bytes = self.model.free.values().map(|item| item.size()).sum();
        while !self.model.free.is_empty() {
            let mut take = self.begin_take();
            self.take(&mut take, u8::MAX)?;
            self.commit_take(take)?;
        }
        let before = self.outcome.counts.events;
        for _ in 0..2 {
            let mut put = self.begin_put();
            self.put(&mut put, 1, Size::Small(9))?;
            self.commit_put(put)?;
            if self.outcome.counts.events > before {
                break;
            }
            self.call("maintain", true, FileChannel::maintain)?;
        }
        // On a disk with room for one segment only, puts stay refused when that is full, though nothing in it is
        // wanted any more: `i8_one_segment_that_is_full` in tests/full_disk.rs.
        let has_worked = self.outcome.counts.events == before + 1;
        let is_known = self.is_limited && self.channel().stats().segments == 1;
        ensure(has_worked || is_known, || {
            "I8: the channel was drained, and puts do not go on".into()
        })?;
        self.unfill();
        self.close()?;
        let is_power_lost = self.end(Ending::Close);
        self.open(self.settings, is_power_lost).map(|_| ())
    }
}

/// What an opening found.
struct Found {
    next: u64,
    items: Vec<Item>,
    cursors: BTreeMap<u8, u8>,
}

impl Found {
    fn is(&self, state: &State) -> bool {
        self.next == state.next
            && self.cursors == state.cursors
            && self.items.iter().eq(state.items.values())
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<u64> = self.items.iter().map(|item| item.id).collect();
        write!(f, "next {} events {ids:?} cursors {:?}", self.next, self.cursors)
    }
}

/// Everything, in order; nothing is committed.
fn drain(channel: &FileChannel) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    let mut full = Vec::new();
    loop {
        let mut take = channel.begin_take();
        loop {
            match take.take() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => return Ok(events),
                Err(TakeError::TransactionFull) => break,
                Err(error) => return Err(format!("I6: a copy cannot be read: {error}")),
            }
        }
        full.push(take);
    }
}

fn cursors_of(channel: &FileChannel) -> Result<BTreeMap<u8, u8>, String> {
    let mut cursors = BTreeMap::new();
    for (name, value) in channel.cursors("") {
        let number = (0..=u8::MAX).find(|number| cursor(*number) == name);
        match (number, &value[..]) {
            (Some(number), [value]) => cursors.insert(number, *value),
            _ => return Err(format!("a cursor that nobody set: {name} = {value:?}")),
        };
    }
    Ok(cursors)
}

/// States in few words.
fn brief(states: &[State]) -> String {
    let one = |state: &State| {
        let ids: Vec<u64> = state.items.values().map(|item| item.id).collect();
        let sequences: Vec<&u64> = state.items.keys().collect();
        format!("next {} events {ids:?} at {sequences:?} cursors {:?}", state.next, state.cursors)
    };
    states.iter().map(one).collect::<Vec<_>>().join(" | ")
}
