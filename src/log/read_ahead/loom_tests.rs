//! Who reads and who reads ahead, in every interleaving: what was asked for comes back once, as it is in the
//! file, and neither waits for ever.

use loom::thread::JoinHandle;

use super::only_read::{OnlyRead, numbers};
use super::{Arc, Exchange, File, Outcome, Request, io};
use crate::sync::model::{Seen, explore, spawn};

const FAILS: u64 = 99;

/// An exchange, the thread that serves it, and a file.
fn served() -> (Arc<Exchange>, JoinHandle<()>, Arc<dyn File>) {
    let exchange = Arc::new(Exchange::default());
    let own = Arc::clone(&exchange);
    let thread = spawn(move || own.serve());
    let read = |buffer: &mut [u8], offset| match offset {
        FAILS => Err(io::ErrorKind::Other.into()),
        _ => numbers(buffer, offset),
    };
    (exchange, thread, Arc::new(OnlyRead { read }))
}

fn ask(exchange: &Exchange, file: &Arc<dyn File>, offset: u64) {
    let block = Arc::new(vec![0; 4]);
    exchange.ask(Request { file: Arc::clone(file), offset, size: 4, block });
}

fn take(exchange: &Exchange, offset: u64, seen: &Seen) {
    let (request, outcome) = exchange.take().expect("asked");
    assert_eq!(request.offset, offset);
    let wanted: Vec<u8> = (0..4).map(|at| (offset + at) as u8).collect();
    match outcome {
        Outcome::Read(count) => {
            assert_eq!((count, &*request.block), (4, &wanted));
            seen.note("read");
        }
        Outcome::Failed => {
            assert_eq!(offset, FAILS);
            seen.note("failed");
        }
        Outcome::TakenBack => {
            assert_eq!(*request.block, [0; 4], "not begun");
            seen.note("taken back");
        }
    }
    assert!(exchange.take().is_none(), "once");
}

#[test]
fn what_is_asked_for_comes_back_once_and_as_it_is() {
    let finished = explore("read_ahead.turns", None, 9_000, |seen| {
        let (exchange, thread, file) = served();
        for offset in [FAILS, 20] {
            ask(&exchange, &file, offset);
            take(&exchange, offset, seen);
        }
        exchange.end();
        thread.join().expect("no panic");
        assert_eq!(Arc::strong_count(&file), 1);
    });
    finished.reached(&["read", "failed", "taken back", "slept"]);
}

/// It ends while a block is asked for, is being read, or lies there.
#[test]
fn i8_whenever_it_ends_no_file_is_held() {
    let finished = explore("read_ahead.end", None, 120, |seen| {
        let (exchange, thread, file) = served();
        ask(&exchange, &file, 10);
        exchange.end();
        seen.note_if(Arc::strong_count(&file) == 1, "closed");
        thread.join().expect("no panic");
    });
    finished.always("closed");
    finished.reached(&["slept"]);
}
