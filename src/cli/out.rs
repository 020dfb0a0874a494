//! The program's three ends. A stdout that was closed is an error like any other; a stderr that was
//! closed leaves nobody to tell, so what is said there is said in vain and the work goes on.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use flumen::Recovery;

use super::exit::{Exit, Failure};

const BUFFER: usize = 256 << 10;

/// Says something to people, on stderr.
pub(crate) fn say(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "flumen: {text}");
}

/// Says what the opening of a channel has mended.
pub(crate) fn warn_of(recovery: &Recovery) {
    recovery.warnings().into_iter().for_each(|warning| say(format_args!("warning: {warning}")));
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

/// Stdout for data that is gone from where it was once it is written: it must not be closed.
///
/// Before `main`, the standard library opens the null device in place of a standard descriptor that is
/// closed, for reading and writing. A shell's `> /dev/null` is for writing only, so it is told apart.
pub(crate) fn stdout_that_keeps() -> Result<BufWriter<File>, Failure> {
    let out = stdout()?;
    if is_stand_in(out.get_ref()) {
        return Err(Failure::new(
            Exit::Io,
            "stdout is closed; to throw events away, use > /dev/null",
        ));
    }
    Ok(out)
}

fn is_stand_in(mut file: &File) -> bool {
    let device = |metadata: io::Result<Metadata>| metadata.ok().map(|m| m.rdev());
    let null = device(fs::metadata("/dev/null"));
    null.is_some() && device(file.metadata()) == null && file.read(&mut [0]).is_ok()
}

/// Stdin for data, unbuffered; see [`stdout`] for why it is not the standard library's handle.
pub(crate) fn stdin() -> Result<File, Failure> {
    io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(File::from)
        .map_err(|error| Failure::io("use stdin", &error))
}
