//! Writes the seeds into `corpus/`: parts of valid directories, and short runs of decisions. See README.md.

use std::fs;
use std::io;
use std::path::Path;

use flumen_fuzz::sample::samples;

/// Segments with large events make large seeds, and teach nothing more.
const SIZE_MAX: usize = 4 << 10;

const CONFIGURATION: &str = "\
# A Flume agent.
agent.sources = s1
agent.channels = c1 c\\u0032
agent.sinks: k1 \\
    k2
agent.channels.c1.type = file
agent.channels.c1.checkpointDir = /var/lib/a
agent.channels.c1.dataDirs = /var/lib/b
agent.channels.c1.capacity = 1000
agent.channels.c2.type = memory
agent.sources.s1.type = TAILDIR
agent.sources.s1.filegroups = f1
agent.sources.s1.filegroups.f1 = /var/log/.*\\\\.log
agent.sources.s1.channels = c1
agent.sinks.k1.type = file_roll
agent.sinks.k1.sink.directory = /tmp/out
agent.sinks.k1.channel = c1
agent.sinks.k2.type = logger
agent.sinks.k2.channel = c2
! another comment
agent.sinks.k2.channel = c3
bad = \\u00zz
";

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let directory = corpus.join(target);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(name), bytes)
    };
    for (index, sample) in samples().iter().enumerate() {
        for (name, bytes) in &sample.files {
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let short = name.trim_start_matches('0').trim_end_matches(".seg");
            let name = format!("sample-{index}-{short}");
            if name.contains("checkpoint") {
                write("checkpoint", &name, &bytes[..used])?;
            } else if !name.contains("reserve") && used < 4096 + SIZE_MAX {
                let mut folded = flumen::fuzzing::fold_segment(bytes);
                write("segment", &name, &folded)?;
                // One record, and the end of a block falls into its header: no later witness hides it.
                folded[0] = 2;
                let size = u32::from_le_bytes([97, 98, 99, 100].map(|at| folded[at])) as usize;
                folded.truncate(85 + (40 + size).next_multiple_of(8));
                flumen::fuzzing::seal_folded_segment(&mut folded, true);
                write("segment", &format!("{name}-moved"), &folded)?;
            }
        }
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for index in 0..24 {
        let run = format!("run-{index:02}");
        write("operations", &run, &dice.operations(24 + index * 6))?;
        write("recovery", &run, &dice.bytes(6 + index))?;
        write("mixed", &run, &dice.bytes(8 + index))?;
        write("payload", &run, &dice.transaction())?;
    }
    // One bit of each record, and of the numbers in the slots, of the sample that was not closed.
    for file in 0..5 {
        for record in 0..6 {
            write(
                "recovery",
                &format!("flip-{file}-{record}"),
                &[1, 0, file, 0, 2, record, 50, 3],
            )?;
        }
        for at in (40..112).step_by(8) {
            write("recovery", &format!("slot-{file}-{at}"), &[1, 0, file, 0, 1, at, 0])?;
        }
    }
    for (index, part) in CONFIGURATION.split_inclusive("c2.type").enumerate() {
        write("properties", &format!("part-{index}"), part.as_bytes())?;
    }
    write("properties", "whole", CONFIGURATION.as_bytes())
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit) as u8
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256)).collect()
    }

    /// A history that opens under the usual options, and puts and takes small events.
    fn operations(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![self.below(256), 0, 0];
        while bytes.len() < count {
            match self.below(9) {
                0..=2 => bytes.extend([0, self.below(4), self.below(32) & 0xfe]),
                3..=5 => bytes.extend([4, self.below(2), self.below(6), 0]),
                6 => bytes.extend([7 + self.below(4), 0, 0]),
                7 => bytes.extend([11, self.below(8), self.below(256), self.below(256), 0, 0]),
                _ => bytes.extend([12, self.below(12), self.below(40), self.below(16)]),
            }
        }
        bytes
    }

    /// Where to damage it, a cursor, and events of a few bytes.
    fn transaction(&mut self) -> Vec<u8> {
        let mut bytes =
            vec![0, self.below(60), 0, 1 << self.below(8), 0, 1, b'c', 0, 2, b'v', b'w'];
        for _ in 0..1 + self.below(4) {
            let size = self.below(9);
            bytes.extend([0, size]);
            bytes.extend(vec![b'x'; usize::from(size)]);
            bytes.extend([0, 1, 0, 1, b'a' + self.below(9), 0, 2, b'h', b'i']);
        }
        bytes
    }
}
