use crate::{Error, Result};
use std::io::{ErrorKind, Write};

/// Prints a result on standard output. A reader that has gone away, as `head`
/// does, is no error; a full disk behind a redirection is.
pub fn say(text: impl std::fmt::Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::io("standard output", "cannot write", e)),
        _ => Ok(()),
    }
}
