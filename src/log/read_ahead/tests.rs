use std::sync::mpsc::{Receiver, Sender, channel};

use super::only_read::{OnlyRead, numbers};
use super::*;

struct Bench {
    ahead: ReadAhead,
    file: Arc<dyn File>,
    begun: Receiver<u64>,
    go: Sender<io::Result<()>>,
}

impl Bench {
    fn new() -> Bench {
        let ((begun, seen), (go, may)) = (channel(), channel());
        let may = Mutex::new(may);
        // Each read says that it begins, and ends when it is told how.
        let read = move |buffer: &mut [u8], offset| {
            begun.send(offset).expect("the test waits for it");
            lock(&may).recv().expect("the test lets it go on")?;
            numbers(buffer, offset)
        };
        let file = Arc::new(OnlyRead { read });
        Bench { ahead: ReadAhead::start().expect("threads are to be had"), file, begun: seen, go }
    }

    fn ask(&self, offset: u64) {
        let (file, block) = (Arc::clone(&self.file), Arc::new(vec![0; 20]));
        self.ahead.ask(Request { file, offset, size: 10, block });
    }

    /// Waits for the read to begin, and says how it is to end.
    fn end_read(&self, outcome: io::Result<()>) {
        self.begun.recv().expect("it begins");
        self.go.send(outcome).expect("it waits");
    }
}

#[test]
fn what_was_asked_for_comes_with_its_place() {
    let bench = Bench::new();
    assert!(bench.ahead.take().is_none(), "nothing was asked");
    for offset in [0, 10, 200] {
        bench.ask(offset);
        bench.end_read(Ok(()));
        let (request, count) = bench.ahead.take().expect("asked");
        assert_eq!((request.offset, count), (offset, Outcome::Read(10)));
        assert!(request.block[..10].iter().zip(offset..).all(|(byte, at)| *byte == at as u8));
        assert_eq!(request.block[10..], [0; 10]);
        assert!(bench.ahead.take().is_none(), "it was taken");
    }
}

/// I6: who wants those bytes reads them again, and is told what is wrong.
#[test]
fn i6_an_error_is_met_by_who_then_reads() {
    let bench = Bench::new();
    bench.ask(7);
    bench.end_read(Err(io::ErrorKind::Other.into()));
    let (request, count) = bench.ahead.take().expect("asked");
    assert_eq!((request.offset, count), (7, Outcome::Failed));
    bench.ask(8);
    bench.end_read(Ok(()));
    assert_eq!(bench.ahead.take().expect("asked").1, Outcome::Read(10), "it goes on");
}

#[test]
fn a_read_that_panics_holds_nobody_up() {
    let bench = Bench::new();
    bench.ask(1);
    bench.begun.recv().expect("it begins");
    let Bench { ahead, file, begun, go } = bench;
    drop(go);
    assert!(matches!(ahead.take(), Some((_, Outcome::Failed))));
    // Nobody serves any more: what is asked for is taken back.
    let block = Arc::new(vec![0; 20]);
    ahead.ask(Request { file, offset: 2, size: 10, block });
    assert!(matches!(ahead.take(), Some((_, Outcome::TakenBack))));
    assert!(begun.try_recv().is_err());
}

/// I8: what is let go of gives back its space at once.
#[test]
fn i8_no_file_is_held_by_one_that_has_ended() {
    let bench = Bench::new();
    bench.ask(1);
    bench.end_read(Ok(()));
    drop(bench.ahead);
    assert_eq!(Arc::strong_count(&bench.file), 1);
}

/// A block that somebody uses, or that is too small, is not read into.
#[test]
fn i4_only_a_block_of_its_own_is_read_into() {
    let bench = Bench::new();
    let used = Arc::new(vec![0; 20]);
    for block in [Arc::clone(&used), Arc::new(vec![0; 9])] {
        bench.ahead.ask(Request { file: Arc::clone(&bench.file), offset: 0, size: 10, block });
        bench.ahead.wait_for_read();
        assert!(matches!(bench.ahead.take(), Some((_, Outcome::Failed))));
    }
    assert_eq!(*used, [0; 20]);
    assert!(bench.begun.try_recv().is_err());
}
