//! The `flumen` program.
fn main() {}
