//! `verify` and `salvage` while the disks fail: an I/O error is never taken for damage, a salvage that says
//! it is done is whole and durable, and the damaged channel is not touched.

use std::collections::BTreeMap;
use std::sync::Arc;

use flumen::storage::sim::{CallKind, Crash, Fault, FaultPlan, SimDisk};
use flumen::tools::{SalvageError, salvage_on, verify_on};
use flumen::{CommitError, FileChannel, OpenError};

use crate::scenes::Scene;
use crate::support::history::{brief, drain, options};
use crate::sweep::{Kind, Tally};

const CALLS_MAX: u64 = 200_000;

/// A channel, perhaps damaged, and what the tools say of it in peace.
struct Patient {
    disk: SimDisk,
    findings: String,
    saved: Vec<String>,
}

fn files(disk: &SimDisk) -> BTreeMap<String, Option<Vec<u8>>> {
    let names = disk.file_names().into_iter().filter(|name| name != "LOCK");
    names.map(|name| (name.clone(), disk.read_file(&name))).collect()
}

fn saved(image: &SimDisk) -> Result<Vec<String>, String> {
    let channel = FileChannel::open_on(image.storage(), options()).map_err(|e| e.to_string())?;
    drain(&channel)
}

impl Patient {
    fn new(scene: &Scene, damage: bool) -> Patient {
        let disk = scene.base.snapshot();
        if damage {
            let mut names = disk.file_names().into_iter().filter(|name| name.ends_with(".seg"));
            let name = names.nth(1).expect("several segments");
            assert!(disk.flip_bit(&name, 8 * 9000));
        }
        let verified = verify_on(disk.storage(), &mut |_, _| {}).expect("readable");
        assert_eq!(verified.is_intact(), !damage);
        let target = SimDisk::new(9);
        salvage_on(disk.storage(), target.storage(), options(), &mut |_, _| {}).expect("works");
        let saved = saved(&target).expect("whole");
        assert_eq!(saved == scene.queue, !damage, "something is lost by the damage");
        let disk = disk.snapshot();
        Patient { disk, findings: format!("{:?}", verified.findings), saved }
    }

    /// Faults on the damaged channel's disk, or on the new one's. Whether the fault struck.
    fn salvage(&self, plan: FaultPlan, on_target: bool, is_harmless: bool) -> Vec<CallKind> {
        let (source, target) = (self.disk.snapshot(), SimDisk::new(9));
        let before = files(&source);
        let failing = if on_target { &target } else { &source };
        failing.set_plan(plan);
        failing.add_plan(FaultPlan::new(Fault::PowerLoss).after(CALLS_MAX));
        let outcome = salvage_on(source.storage(), target.storage(), options(), &mut |_, _| {});
        assert!(!failing.is_off(), "no end in {CALLS_MAX} calls");
        let kinds: Vec<CallKind> = failing.strikes().iter().map(|strike| strike.kind).collect();
        failing.clear_plans();
        assert!(files(&source) == before, "the damaged channel was changed");
        match outcome {
            Ok(_) => {
                let found =
                    saved(&target.crash(&Crash::LoseAll)).expect("it said that it was done");
                assert_eq!(brief(&found), brief(&self.saved), "it said that it was done");
            }
            Err(
                SalvageError::Open(OpenError::Storage(_))
                | SalvageError::Create(OpenError::Storage(_))
                | SalvageError::Put(_)
                | SalvageError::Commit(CommitError::Stopped(_) | CommitError::NoSpace(_))
                | SalvageError::Close(_),
            ) => {
                let only_data = |kind: &CallKind| matches!(kind, CallKind::Read | CallKind::Write);
                assert!(!is_harmless || !kinds.iter().all(only_data), "to be carried on");
            }
            Err(error) => panic!("an I/O error was taken for something else: {error}"),
        }
        kinds
    }

    fn verify(&self, plan: FaultPlan) -> Vec<CallKind> {
        let disk = self.disk.snapshot();
        let before = files(&disk);
        disk.set_plan(plan);
        disk.add_plan(FaultPlan::new(Fault::PowerLoss).after(CALLS_MAX));
        let outcome = verify_on(Arc::clone(&disk.storage()), &mut |_, _| {});
        assert!(!disk.is_off(), "no end in {CALLS_MAX} calls");
        assert!(files(&disk) == before, "the channel was changed");
        match outcome {
            Ok(verified) => assert_eq!(format!("{:?}", verified.findings), self.findings),
            Err(OpenError::Storage(_)) => {}
            Err(error) => panic!("an I/O error was taken for something else: {error}"),
        }
        disk.strikes().iter().map(|strike| strike.kind).collect()
    }
}

/// Every fault at every `step`-th call of the tools.
pub(crate) fn sweep(step: u64, tally: &mut Tally) {
    let scenes = Scene::all();
    let find = |name| scenes.iter().find(|scene| scene.name == name).expect("there is one");
    let patients = [
        Patient::new(find("clean"), false),
        Patient::new(find("clean"), true),
        Patient::new(find("unclean"), true),
    ];
    for (index, patient) in patients.iter().enumerate() {
        for kind in Kind::all().into_iter().filter(|kind| kind.name != "sync_late") {
            for sticky in [false, true] {
                for place in ["verify", "source", "target"] {
                    for turn in (0..).step_by(step as usize) {
                        let plan = kind.plan(sticky, turn);
                        let what = format!("{place} {index} {} {sticky} {turn}", kind.name);
                        let run = || match place {
                            "verify" => patient.verify(plan),
                            place => patient.salvage(plan, place == "target", kind.is_harmless()),
                        };
                        let run = std::panic::AssertUnwindSafe(run);
                        let kinds = std::panic::catch_unwind(run)
                            .unwrap_or_else(|_| panic!("{what}: see above"));
                        if kinds.is_empty() {
                            break;
                        }
                        tally.count(kind.name, &kinds);
                    }
                }
            }
        }
    }
}
