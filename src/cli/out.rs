//! The program's three ends. A stdout that was closed is an error like any other; a stderr that was
//! closed leaves nobody to tell, so what is said there is said in vain and the work goes on.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;

use super::exit::Failure;

const BUFFER: usize = 256 << 10;

/// Says something to people, on stderr.
pub(crate) fn say(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "flumen: {text}");
}

/// Stdout for data. The standard library's own handle buffers by lines and takes a bad descriptor for
/// success; this one writes large blocks and reports every error.
pub(crate) fn stdout() -> Result<BufWriter<File>, Failure> {
    io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .map(|descriptor| BufWriter::with_capacity(BUFFER, File::from(descriptor)))
        .map_err(|error| Failure::io("use stdout", &error))
}

/// Stdin for data, unbuffered; see [`stdout`] for why it is not the standard library's handle.
pub(crate) fn stdin() -> Result<File, Failure> {
    io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(File::from)
        .map_err(|error| Failure::io("use stdin", &error))
}
