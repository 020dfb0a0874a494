//! The worked example in `docs/FORMAT.md` is what the code writes, byte for byte.

use std::collections::BTreeMap;

use flumen::storage::sim::SimDisk;
use flumen::{Channel, ChannelOptions, Event, FileChannel};

const DOCUMENT: &str = include_str!("../docs/FORMAT.md");

/// The channel that the document describes.
fn example() -> SimDisk {
    let disk = SimDisk::new(1);
    let options = ChannelOptions::new().background(false).segment_size(64 << 10);
    let channel = FileChannel::open_on(disk.storage(), options).expect("a new channel");
    let mut put = channel.begin_put();
    put.put(Event::new("hello").with_header("k", "v")).expect("there is room");
    put.put(Event::new("")).expect("there is room");
    put.set_cursor("pos", b"7").expect("a valid cursor");
    put.commit().expect("the disk works");
    let mut take = channel.begin_take();
    assert!(take.take().expect("the disk works").is_some());
    take.commit().expect("the disk works");
    channel.close().expect("the disk works");
    disk
}

/// The bytes of each "hex" block, by file and offset.
fn documented() -> BTreeMap<String, BTreeMap<usize, u8>> {
    let mut files = BTreeMap::new();
    let mut lines = DOCUMENT.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```hex ") else { continue };
        let bytes: &mut BTreeMap<usize, u8> = files.entry(name.to_string()).or_default();
        for line in lines.by_ref().take_while(|line| *line != "```").filter(|line| !line.is_empty())
        {
            let (offset, rest) = line.split_once(':').expect("an offset and a colon");
            let offset = usize::from_str_radix(offset, 16).expect("a hexadecimal offset");
            let numbers = rest.split(';').next().unwrap_or_default().split_whitespace();
            for (index, number) in numbers.enumerate() {
                let byte = u8::from_str_radix(number, 16).expect("a hexadecimal byte");
                assert!(bytes.insert(offset + index, byte).is_none(), "{name}: {offset:x} twice");
            }
        }
    }
    files
}

#[test]
fn the_documented_bytes_are_those_on_disk() {
    let disk = example();
    let documented = documented();
    assert_eq!(documented.len(), 3, "a segment and two slots");
    for (name, shown) in documented {
        let bytes = disk.read_file(&name).expect("the documented file exists");
        assert!(*shown.keys().next_back().expect("some bytes") < bytes.len());
        for (offset, byte) in bytes.iter().enumerate() {
            let expected = shown.get(&offset).copied().unwrap_or(0);
            assert_eq!(*byte, expected, "{name}: byte {offset:#06x} is not as documented");
        }
    }
}
