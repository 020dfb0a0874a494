//! What the fuzz targets of whole channels share. Those of single decoders are in the library itself, behind
//! `cfg(fuzzing)`, because decoders are private.

mod bodies;
mod edit;
mod input;
mod look;
mod model;

pub mod mixed;
pub mod operations;
pub mod recovery;
pub mod sample;
