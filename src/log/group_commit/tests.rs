use std::sync::{Arc, OnceLock, Weak};

use super::*;

/// A full disk, with a crowd: whenever one entry is refused the next is already there.
#[derive(Default)]
struct Crowd {
    commit: OnceLock<Weak<GroupCommit<Crowd>>>,
    refused: Mutex<usize>,
}

const CROWD_MAX: usize = 1_000;

impl Groups for Crowd {
    type Entry = ();
    type Group = ();
    type Error = &'static str;

    fn fits(&self, _: &VecDeque<()>) -> usize {
        0
    }

    fn make_room(&self, (): &()) -> Result<bool, &'static str> {
        let commit = self.commit.get().and_then(Weak::upgrade).expect("set when it was made");
        if *lock(&self.refused) < CROWD_MAX {
            assert!(commit.submit(()).is_ok(), "it has not stopped");
        }
        Ok(false)
    }

    fn refuse(&self, (): ()) {
        *lock(&self.refused) += 1;
    }

    fn write(&self, _: Vec<()>, _: usize) -> Result<(), &'static str> {
        unreachable!("nothing fits")
    }

    fn sync(&self, (): &()) -> Result<(), &'static str> {
        unreachable!("nothing is written")
    }

    fn apply(&self, (): ()) {
        unreachable!("nothing is written")
    }

    fn broken(&self) -> &'static str {
        "broken"
    }

    fn closed(&self) -> &'static str {
        "closed"
    }
}

#[test]
fn i8_a_refused_committer_does_not_serve_those_who_come_after_it() {
    let commit = Arc::new(GroupCommit::new(Crowd::default()));
    let set = commit.groups().commit.set(Arc::downgrade(&commit));
    set.expect("not set before");
    assert!(commit.commit(()).is_ok(), "a refusal is told by `refuse`");
    assert_eq!(*lock(&commit.groups().refused), 1, "its own");
    // Those left are not forgotten.
    assert!(commit.push().is_ok(), "nothing stops it");
    assert!(*lock(&commit.groups().refused) > 1, "theirs");
}
