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
