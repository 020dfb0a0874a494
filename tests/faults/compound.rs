//! A fault at the n-th call, then a loss of power at a call behind it, then a fault in the recovery of that,
//! and again a loss of power: for every n.

use flumen::FileChannel;
use flumen::storage::sim::{CallKind, Crash, FaultPlan, SimDisk};

use crate::oracle::{Oracle, check};
use crate::scenes::Scene;
use crate::sweep::Kind;

/// More calls than any script has.
const TURNS_MAX: u64 = 100_000;

/// In the scene that begins with a new channel a failed sync is one of a file, not of the directory: when the
/// first slot's name is lost, though it is still shown and later syncs succeed, a loss of power before the
/// first segment counts leaves a segment without a header and no valid slot, which is refused (T7). Nothing
/// was acknowledged then.
fn plan(scene: &Scene, kind: Kind, sticky: bool, turn: u64) -> FaultPlan {
    let plan = kind.plan(sticky, turn);
    if kind.name.starts_with("sync") && scene.name == "run" {
        return plan.on(&[CallKind::SyncData, CallKind::SyncAll]);
    }
    plan
}

#[derive(Default)]
pub(crate) struct Compound {
    /// Losses of power behind a fault, at different moments or with different images.
    pub(crate) images: u64,
    /// Recoveries of such an image in which a fault struck.
    pub(crate) struck_recoveries: u64,
}

impl Compound {
    /// Every `step`-th n; of the calls behind it every `stride`-th, beginning elsewhere for each n.
    pub(crate) fn sweep(
        &mut self,
        scene: &Scene,
        kind: Kind,
        sticky: bool,
        first: u64,
        step: u64,
        stride: u64,
    ) {
        for turn in (first..TURNS_MAX).step_by(step as usize) {
            let disk = scene.base.snapshot();
            let queue = scene.queue.clone();
            let mut oracle = Oracle::new(disk.clone(), scene.options.clone(), queue);
            disk.set_plan(plan(scene, kind, sticky, turn));
            disk.record();
            (scene.script)(&mut oracle);
            let Some(struck) = disk.strikes().first().map(|strike| strike.call) else {
                return;
            };
            let moments = disk.take_recording();
            let behind = moments.iter().filter(|moment| moment.calls() >= struck);
            for moment in behind.skip((turn % stride) as usize).step_by(stride as usize) {
                let what = format!(
                    "{}:{}:{}:{turn}, power loss at call {}",
                    scene.name,
                    kind.name,
                    if sticky { "sticky" } else { "once" },
                    moment.calls()
                );
                let allowed = oracle.allowed_at(moment.calls());
                self.lose_power(scene, moment, turn, &allowed, &what);
            }
        }
    }

    fn lose_power(
        &mut self,
        scene: &Scene,
        moment: &SimDisk,
        turn: u64,
        allowed: &[Vec<String>],
        what: &str,
    ) {
        let seed = crate::seed().wrapping_mul(7919) + turn * 1009 + moment.calls();
        let crash = if seed.is_multiple_of(3) { Crash::LoseAll } else { Crash::Random(seed) };
        let image = moment.crash(&crash);
        let what = format!("{what}, {crash:?}");
        if seed.is_multiple_of(2) {
            let kinds = Kind::all();
            let kind = kinds[(seed / 2 % kinds.len() as u64) as usize];
            // A sync that lies in a recovery is not survived by anybody.
            if kind.name != "sync_late" {
                let plan = kind.plan(seed.is_multiple_of(5), seed / 7 % 70);
                let what = format!("{what}, {} in recovery ({plan:?})", kind.name);
                self.fail_recovery(scene, &image.snapshot(), plan, seed, allowed, &what);
            }
        }
        self.images += 1;
        judge(&image, scene, allowed, &what);
    }

    fn fail_recovery(
        &mut self,
        scene: &Scene,
        image: &SimDisk,
        plan: FaultPlan,
        seed: u64,
        allowed: &[Vec<String>],
        what: &str,
    ) {
        image.set_plan(plan);
        // Whether it opens or not: it ends without a close.
        drop(FileChannel::open_on(image.storage(), scene.options.clone()));
        self.struck_recoveries += u64::from(!image.strikes().is_empty());
        image.clear_plans();
        for crash in [Crash::Random(seed), Crash::LoseAll] {
            judge(&image.crash(&crash), scene, allowed, &format!("{what}, then {crash:?}"));
        }
        judge(image, scene, allowed, &format!("{what}, then the death of the process"));
    }
}

fn judge(image: &SimDisk, scene: &Scene, allowed: &[Vec<String>], what: &str) {
    if let Err(error) = check(image, &scene.options, allowed, false) {
        panic!(
            "{what}: {error}\nreplay: FLUMEN_EFFORT=short FLUMEN_SEED={} FLUMEN_ONLY={} \
             cargo test --test faults i7_a_loss_of_power",
            crate::seed(),
            what.split(',').next().unwrap_or_default()
        );
    }
}
