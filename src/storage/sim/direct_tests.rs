//! Direct writes on the simulated disk: no more durable than others, and of whole blocks.

use std::io::ErrorKind;

use super::*;
use crate::storage::{Access, DIRECT_BLOCK, File, write_all_at};

const BLOCK: usize = DIRECT_BLOCK;

/// Memory that begins at a multiple of a block.
struct Aligned(Vec<u8>, usize);

impl Aligned {
    fn of(bytes: &[u8]) -> Aligned {
        let mut memory = vec![0; bytes.len() + 2 * BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK);
        memory[start..start + bytes.len()].copy_from_slice(bytes);
        Aligned(memory, start)
    }

    fn at(&self, count: usize) -> &[u8] {
        &self.0[self.1..self.1 + count]
    }
}

/// A disk with a durable file of two blocks of ones, which is open for direct writes.
fn disk() -> (SimDisk, Arc<dyn File>) {
    let disk = SimDisk::new(1);
    disk.write_file("a", &[1; 2 * BLOCK]);
    let file = disk.storage().open("a", Access::Direct).expect("it is there");
    (disk, file)
}

fn found(disk: &SimDisk) -> Vec<u8> {
    disk.read_file("a").expect("it is there")
}

#[test]
fn a_disk_that_takes_none_says_so_when_the_file_is_opened() {
    for seed in [1, 2, 3, 4] {
        let disk = SimDisk::new(seed);
        disk.write_file("a", b"");
        let open = |name| disk.storage().open(name, Access::Direct).err().map(|e| e.kind());
        let expected = (seed % 2 == 0).then_some(ErrorKind::Unsupported);
        assert_eq!(open("a"), expected, "{seed}");
        assert_eq!(open("b"), Some(ErrorKind::NotFound));
        disk.set_direct(seed % 2 == 0);
        assert_eq!(open("a").is_none(), seed % 2 == 0);
    }
}

#[test]
fn what_is_not_whole_blocks_is_refused() {
    let (disk, file) = disk();
    let bytes = Aligned::of(&[2; 2 * BLOCK]);
    let kind = |bytes: &[u8], offset| file.write_at(bytes, offset).err().map(|e| e.kind());
    let refused = Some(ErrorKind::InvalidInput);
    assert_eq!(kind(bytes.at(BLOCK), 512), refused, "the offset");
    assert_eq!(kind(bytes.at(512), 0), refused, "the count");
    assert_eq!(kind(&bytes.at(BLOCK + 512)[512..], 0), refused, "the memory");
    assert_eq!(found(&disk), [1; 2 * BLOCK]);
    assert_eq!(kind(bytes.at(BLOCK), BLOCK as u64), None);
}

#[test]
fn a_short_one_ends_with_a_sector() {
    let (disk, file) = disk();
    disk.set_plan(FaultPlan::new(Fault::Short(700)).on(&[CallKind::Write]));
    let bytes = Aligned::of(&[2; BLOCK]);
    assert_eq!(file.write_at(bytes.at(BLOCK), 0).expect("works"), 512);
    disk.set_plan(FaultPlan::new(Fault::Short(1)).on(&[CallKind::Write]).sticky());
    write_all_at(&*file, bytes.at(BLOCK), 0).expect("it is finished");
    assert_eq!(found(&disk), [[2; BLOCK], [1; BLOCK]].concat());
    disk.clear_plans();
    let rest = file.write_at(&bytes.at(BLOCK)[512..], 512).err().map(|e| e.kind());
    assert_eq!(rest, Some(ErrorKind::InvalidInput), "the last one was not short");
}

#[test]
fn it_is_durable_when_it_is_synced() {
    let (disk, file) = disk();
    write_all_at(&*file, Aligned::of(&[2; BLOCK]).at(BLOCK), 0).expect("works");
    assert_eq!(found(&disk)[0], 2, "others read it");
    assert_eq!(found(&disk.crash(&Crash::LoseAll))[0], 1);
    file.sync_data().expect("works");
    assert_eq!(found(&disk.crash(&Crash::LoseAll))[0], 2);
}

/// Power-safe overwrite: noise in what is written is no noise in what is written over itself.
#[test]
fn what_is_written_over_itself_is_not_in_danger() {
    let (disk, file) = disk();
    let mut block = [1; BLOCK];
    block[1000..3000].fill(2);
    write_all_at(&*file, Aligned::of(&block).at(BLOCK), 0).expect("works");
    let left = found(&disk.crash(&Crash::Choose(&|_, _| Fate::Garbage(7))));
    assert_ne!(left[1000..3000], block[1000..3000]);
    assert_eq!(left[..1000], [1; 1000]);
    assert_eq!(left[3000..], [1; 2 * BLOCK - 3000]);
    file.sync_data().expect("works");
    write_all_at(&*file, Aligned::of(&block).at(BLOCK), 0).expect("works");
    assert_eq!(disk.pending_effects(), 0, "nothing is new");
}

/// What only the cache shows, since a sync has failed, is written all the same.
#[test]
fn what_a_failed_sync_has_lost_it_brings_back() {
    let (disk, file) = disk();
    let cached = disk.storage().open("a", Access::ReadWrite).expect("it is there");
    write_all_at(&*cached, &[2; 600], 0).expect("works");
    disk.set_plan(FaultPlan::new(Fault::FailedSync(FailedSync::Lost)));
    cached.sync_data().expect_err("fails");
    assert_eq!(found(&disk)[..600], [2; 600], "shown");
    let mut block = [1; BLOCK];
    block[..600].fill(2);
    write_all_at(&*file, Aligned::of(&block).at(BLOCK), 0).expect("works");
    let again = disk.storage().open("a", Access::Direct).expect("it is there");
    again.sync_data().expect("works");
    assert_eq!(found(&disk.crash(&Crash::LoseAll))[..BLOCK], block);
}
