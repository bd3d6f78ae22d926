//! Who wrote a store, when, and by which commands: attributes of the root.

use super::{SCHEMA_VERSION, scalar, strings};
use hdf5::File;
use serde::{Deserialize, Serialize};

/// Attribute `format` of the root: what makes an HDF5 file a store.
const FORMAT: &str = "crossrx store";

/// Where a store came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Layout version.
    pub schema_version: u32,
    /// Program and version.
    pub program: String,
    /// The command lines that wrote it, one a line.
    pub command: String,
    /// Time of creation, UTC, ISO 8601.
    pub created: String,
}

/// The present time as `2026-01-31T12:00:00Z`.
pub fn utc_now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Whether `file` says that it is a store.
pub(super) fn is_store(file: &File) -> bool {
    strings::read_attr(file, "format").is_ok_and(|format| format == FORMAT)
}

/// Marks a new file as a store, written now by `command`.
pub(super) fn write(file: &File, command: &str) -> hdf5::Result<()> {
    strings::write_attr(file, "format", FORMAT)?;
    scalar::write(file, "schema_version", &SCHEMA_VERSION)?;
    strings::write_attr(file, "program", concat!("crossrx ", env!("CARGO_PKG_VERSION")))?;
    strings::write_attr(file, "command", latest(command))?;
    strings::write_attr(file, "created", &utc_now())
}

/// Appends a command that added to the store.
pub(super) fn add_command(file: &File, command: &str) -> hdf5::Result<()> {
    let commands = format!("{}\n{command}", read(file)?.command);
    strings::write_attr(file, "command", latest(&commands))
}

/// Reads the attributes. Refuses a file that is no store.
pub(super) fn read(file: &File) -> hdf5::Result<Provenance> {
    if !is_store(file) {
        return Err("is an HDF5 file, but not a crossrx store".into());
    }
    Ok(Provenance {
        schema_version: scalar::read(file, "schema_version")?,
        program: strings::read_attr(file, "program")?,
        command: strings::read_attr(file, "command")?,
        created: strings::read_attr(file, "created")?,
    })
}

/// The last of the lines of `commands`, as many as an attribute holds.
fn latest(commands: &str) -> &str {
    let over = commands.len().saturating_sub(strings::LONGEST_ATTRIBUTE);
    if over == 0 {
        return commands;
    }
    match commands.as_bytes()[over - 1..].iter().position(|&b| b == b'\n') {
        Some(end) if over + end < commands.len() => &commands[over + end..],
        // One line alone is too long: keep what names the program and what it did.
        _ => {
            let last = commands.rsplit('\n').next().unwrap_or_default();
            let end =
                (0..=strings::LONGEST_ATTRIBUTE.min(last.len())).rev().find(|&i| last.is_char_boundary(i));
            &last[..end.unwrap_or(0)]
        }
    }
}
