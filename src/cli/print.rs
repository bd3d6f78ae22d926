use crate::{Error, Result};
use std::fmt::Display;
use std::io::{ErrorKind, Write, stdout};

/// Writes `text` to standard output. That nobody reads on, as with `| head`,
/// is no error.
pub fn print(text: impl Display) -> Result<()> {
    let mut out = stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|e| Error::io("standard output", "cannot write", e)),
    }
}
