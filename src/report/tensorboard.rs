use crate::{Error, Result, status};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Start of the names of event files; TensorBoard reads those of a folder in the order of their names.
pub const PREFIX: &str = "events.out.tfevents.";

/// A TensorBoard event file that is being written: TFRecords (length, masked CRC32C, an `Event` message of
/// TensorFlow's `event.proto`, masked CRC32C), each in one piece as soon as it is told.
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a file in `folder`, which is there, behind those that are there. From `step` on, what these
    /// hold was undone: TensorBoard drops it.
    pub fn create(folder: &Path, step: u64) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut second = latest(folder)?.map_or(now, |latest| now.max(latest.saturating_add(1)));
        let (host, process) = (status::own_host(), std::process::id());
        let (path, file) = loop {
            let path = folder.join(format!("{PREFIX}{second:010}.{host}.{process}"));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => second = second.saturating_add(1),
                Err(e) => return Err(Error::io(path, "cannot create", e)),
            }
        };
        let mut events = Self { path, file };
        events.append(0, &field(FILE_VERSION, b"brain.Event:2"))?;
        events.append(step, &session_start())?;
        Ok(events)
    }

    /// Tells what these came to at a step, those that are not finite left out.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<()> {
        self.append(step, &field(SUMMARY, &summary(values)))
    }

    fn append(&mut self, step: u64, what: &[u8]) -> Result<()> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let record = record(&event(seconds, step, what));
        self.file.write_all(&record).map_err(|e| Error::io(&self.path, "cannot write", e))
    }
}

/// The highest time in the names of event files in `folder`.
fn latest(folder: &Path) -> Result<Option<u64>> {
    let failed = |e| Error::io(folder, "cannot read the folder", e);
    let mut latest = None;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let second =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok());
        latest = latest.max(second);
    }
    Ok(latest)
}

/// Fields of `Event`, `SessionLog`, `Summary` and `Summary.Value`.
const WALL_TIME: u64 = 1;
const STEP: u64 = 2;
const FILE_VERSION: u64 = 3;
const SUMMARY: u64 = 5;
const SESSION_LOG: u64 = 7;
const STATUS: u64 = 1;
const STATUS_START: u64 = 1;
const VALUE: u64 = 1;
const TAG: u64 = 1;
const SIMPLE_VALUE: u64 = 2;

/// Wire types of protocol buffers.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// An `Event` message: `what` happened at a step, at so many seconds since 1970.
fn event(seconds: f64, step: u64, what: &[u8]) -> Vec<u8> {
    let mut event = Vec::new();
    varint(&mut event, WALL_TIME << 3 | FIXED64);
    event.extend(seconds.to_le_bytes());
    varint(&mut event, STEP << 3 | VARINT);
    varint(&mut event, step);
    event.extend_from_slice(what);
    event
}

/// That a session begins.
fn session_start() -> Vec<u8> {
    let mut log = Vec::new();
    varint(&mut log, STATUS << 3 | VARINT);
    varint(&mut log, STATUS_START);
    field(SESSION_LOG, &log)
}

/// A `Summary` message: a named number each.
fn summary(values: &[(&str, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, number) in values.iter().filter(|(_, number)| number.is_finite()) {
        let mut value = field(TAG, tag.as_bytes());
        varint(&mut value, SIMPLE_VALUE << 3 | FIXED32);
        value.extend((*number as f32).to_le_bytes());
        summary.extend(field(VALUE, &value));
    }
    summary
}

fn varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// A field of text or a message.
fn field(number: u64, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    varint(&mut field, number << 3 | LENGTH);
    varint(&mut field, content.len() as u64);
    field.extend_from_slice(content);
    field
}

/// A TFRecord.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked(&length).to_le_bytes());
    record.extend_from_slice(content);
    record.extend(masked(content).to_le_bytes());
    record
}

/// CRC32C, turned and shifted so that the checksum of bytes that hold one is not degenerate.
fn masked(content: &[u8]) -> u32 {
    crc32c::crc32c(content).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that TensorBoard's own `tensorboard.compat` makes of the same messages.
    #[test]
    fn records_and_messages_are_those_of_tensorboard() {
        let version = record(&field(FILE_VERSION, b"brain.Event:2"));
        let expected = b"\x0f\0\0\0\0\0\0\0\x6d\x53\x2b\x09\x1a\x0dbrain.Event:2\xfc\x98\x51\x29";
        assert_eq!(version, expected);
        let at = b"\x09\0\0\0\0\0\0\xf8\x3f\x10\xac\x02";
        assert_eq!(event(1.5, 300, &session_start()), [at, &b"\x3a\x02\x08\x01"[..]].concat());
        let told = event(1.5, 300, &field(SUMMARY, &summary(&[("val_r2", 0.5), ("val_loss", f64::NAN)])));
        let value = b"\x2a\x0f\x0a\x0d\x0a\x06val_r2\x15\0\0\0\x3f";
        assert_eq!(told, [at, &value[..]].concat());
    }

    #[test]
    fn a_file_goes_behind_those_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(format!("{PREFIX}9000000000.n1.7")), "").unwrap();
        std::fs::write(dir.path().join("history.csv"), "").unwrap();
        let mut events = EventFile::create(dir.path(), 41).unwrap();
        let before = std::fs::metadata(&events.path).unwrap().len();
        events.scalars(60, &[("train_loss", 0.25)]).unwrap();
        let written = std::fs::read(&events.path).unwrap();
        assert!(before > 0 && written.len() as u64 > before, "what is told is not there at once");
        let name = events.path.file_name().unwrap().to_str().unwrap().to_string();
        assert!(name.starts_with(&format!("{PREFIX}9000000001.")), "{name}");
        let mut rest = &written[..];
        let mut lengths = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let stored = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            assert_eq!(stored(8), masked(&rest[..8]));
            assert_eq!(stored(12 + length), masked(&rest[12..12 + length]));
            lengths.push(length);
            rest = &rest[16 + length..];
        }
        assert_eq!(lengths.len(), 3);
        EventFile::create(&dir.path().join("absent"), 0).err().unwrap();
    }
}
