//! What the README shows works; its Rust example is a documentation test of the library.
#![cfg(feature = "agent")]

use flumen::agent::Config;

#[test]
fn the_sample_configuration_is_right() {
    let readme = include_str!("../README.md");
    let (_, sample) = readme.split_once("```properties\n").expect("the README has a sample");
    let (sample, _) = sample.split_once("```").expect("the sample ends");
    if let Err(error) = Config::parse(sample, "web.properties", "a1") {
        panic!("{error}");
    }
}
