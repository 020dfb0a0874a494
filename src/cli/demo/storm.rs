//! The storm: a log is written while the agent that delivers it is killed and restarted, again and again.
//!
//! The lines are divided evenly among the lives of the agent. A life ends by SIGKILL at a random line of
//! its share, but not before the agent has delivered something in this life: so each kill hits an agent
//! that works. The writer goes on while the agent is down or starts, up to the end of the present share.

use std::time::{Duration, Instant};

use flumen::Shutdown;

use super::child::{self, Agent};
use super::place::Place;
use super::writer::Writer;
use crate::cli::exit::{Exit, Failure};
use crate::cli::progress::Progress;
use crate::cli::report;
use crate::random::Random;

/// How often the demo looks at its agent, and writes.
const TICK: Duration = Duration::from_millis(2);
/// A kill comes at a random moment within this time after lines were written.
const AGONY: Duration = Duration::from_millis(10);
/// An agent that has work and delivers nothing for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the storm shall be.
pub(crate) struct Plan {
    /// Lines to write.
    pub(crate) lines: u64,
    /// How often to kill the agent.
    pub(crate) kills: u64,
}

impl Plan {
    /// The first line of the agent's life of this number, counted from 0; the last life is the one that
    /// is not killed.
    fn first_line(&self, life: u64) -> u64 {
        (u128::from(self.lines) * u128::from(life) / u128::from(self.kills + 1)) as u64
    }
}

/// What happened.
#[derive(Default)]
pub(crate) struct Weather {
    /// Agents that were alive and were ended by SIGKILL.
    pub(crate) kills: u64,
    /// The longest time from the start of an agent's process after a kill to its first delivery.
    pub(crate) slowest_restart: Option<Duration>,
    /// From the first start to the end of the last agent.
    pub(crate) took: Duration,
}

/// A storm under way.
pub(crate) struct Storm<'a> {
    plan: &'a Plan,
    place: &'a Place,
    writer: Writer<'a>,
    random: Random,
    shutdown: &'a Shutdown,
    progress: Progress,
    last_tick: Instant,
    weather: Weather,
}

impl<'a> Storm<'a> {
    /// A storm that ends early when `shutdown` is told to stop.
    pub(crate) fn new(
        plan: &'a Plan,
        place: &'a Place,
        writer: Writer<'a>,
        random: Random,
        shutdown: &'a Shutdown,
    ) -> Storm<'a> {
        Storm {
            plan,
            place,
            writer,
            random,
            shutdown,
            progress: Progress::bar(plan.lines),
            last_tick: Instant::now(),
            weather: Weather::default(),
        }
    }

    /// Lets it pass, to the point where all is written and the agent has nothing more to do. Gives what
    /// happened, and how often the log was rotated.
    pub(crate) fn pass(mut self) -> Result<(Weather, u64), Failure> {
        let started = Instant::now();
        self.last_tick = started;
        for life in 0..self.plan.kills {
            self.live_and_die(life)?;
        }
        let lines = self.plan.lines;
        self.writer.finish(lines).map_err(cannot_write)?;
        self.live_to_the_end()?;
        self.weather.took = started.elapsed();
        Ok((self.weather, self.writer.rotations()))
    }

    /// One life of an agent that ends by SIGKILL.
    fn live_and_die(&mut self, life: u64) -> Result<(), Failure> {
        let (first, end) = (self.plan.first_line(life), self.plan.first_line(life + 1));
        let last_words = first + 1 + self.random.below(end - first);
        let mut watch = Watch::new(self.place)?;
        let mut agent = Agent::start(self.place, false)?;
        while watch.first_delivery.is_none() || self.writer.lines() < last_words {
            self.tick(end)?;
            if let Some(status) = agent.ended()? {
                return Err(child::ended_badly(self.place, status));
            }
            watch.look(self.place)?;
        }
        // The agent has just been given lines. It dies anywhere on their way, not always at the first step.
        let agony = self.random.below(AGONY.as_micros() as u64);
        self.sleep(Duration::from_micros(agony))?;
        if !agent.kill()? {
            let text = "the agent ended by itself just before it was to be killed";
            let log = child::last_words(&self.place.agent_log());
            return Err(Failure::new(Exit::Io, text).with(log));
        }
        self.weather.kills += 1;
        self.note_restart(life, &watch);
        Ok(())
    }

    /// The life of the agent that delivers the rest and ends by itself.
    fn live_to_the_end(&mut self) -> Result<(), Failure> {
        let mut watch = Watch::new(self.place)?;
        let mut agent = Agent::start(self.place, true)?;
        loop {
            self.tick(self.plan.lines)?;
            // Asked before the look: what is delivered just before the end must not be missed.
            let ended = agent.ended()?;
            watch.look(self.place)?;
            match ended {
                None => {}
                Some(status) if status.success() => break,
                Some(status) => return Err(child::ended_badly(self.place, status)),
            }
        }
        self.note_restart(self.plan.kills, &watch);
        Ok(())
    }

    /// The first life is a start, no restart.
    fn note_restart(&mut self, life: u64, watch: &Watch) {
        if life > 0 {
            let slowest = self.weather.slowest_restart.max(watch.first_delivery);
            self.weather.slowest_restart = slowest;
        }
    }

    /// Lets time pass; an error when the demo is to end.
    fn sleep(&self, time: Duration) -> Result<(), Failure> {
        match self.shutdown.sleep(time) {
            false => Ok(()),
            true => Err(Failure::new(Exit::Io, "stopped before the end")),
        }
    }

    /// Writes what is due, up to `end` lines, and lets a little time pass.
    fn tick(&mut self, end: u64) -> Result<(), Failure> {
        self.sleep(TICK)?;
        let now = Instant::now();
        let elapsed = now.duration_since(self.last_tick);
        self.last_tick = now;
        self.writer.write_for(elapsed, end).map_err(cannot_write)?;
        let kills = self.weather.kills;
        let written = self.writer.lines();
        self.progress.step(written, || {
            format!("{} lines written, agent killed {kills} times", report::thousands(written))
        });
        Ok(())
    }
}

/// Sees from outside when an agent delivers: by the size of the delivered files.
struct Watch {
    started: Instant,
    /// The least size seen: a restarted agent first cuts off what it had not committed.
    floor: u64,
    size: u64,
    changed: Instant,
    /// How long it took from the start of this watch until the files grew.
    first_delivery: Option<Duration>,
}

impl Watch {
    /// To be begun just before the agent is started.
    fn new(place: &Place) -> Result<Watch, Failure> {
        let size = child::size_of_files(&place.delivered()).map_err(cannot_look)?;
        let started = Instant::now();
        Ok(Watch { started, floor: size, size, changed: started, first_delivery: None })
    }

    fn look(&mut self, place: &Place) -> Result<(), Failure> {
        let size = child::size_of_files(&place.delivered()).map_err(cannot_look)?;
        if size != self.size {
            self.size = size;
            self.changed = Instant::now();
        }
        self.floor = self.floor.min(size);
        if size > self.floor && self.first_delivery.is_none() {
            self.first_delivery = Some(self.started.elapsed());
        }
        if self.changed.elapsed() < PATIENCE {
            return Ok(());
        }
        let text = format!("the agent delivered nothing for {} s", PATIENCE.as_secs());
        Err(Failure::new(Exit::Io, text).with(child::last_words(&place.agent_log())))
    }
}

fn cannot_write(error: std::io::Error) -> Failure {
    Failure::io("write the log", &error)
}

fn cannot_look(error: std::io::Error) -> Failure {
    Failure::io("look at the delivered files", &error)
}
