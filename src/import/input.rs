//! The bytes of a table: unzipped where need be, bounded a record, ended so that
//! a quote left open is noticed.

use std::fs::File;
use std::io::{Error, Read, Result};

/// A longer record is a quote left open, or no table.
const LONGEST_RECORD: u64 = 1 << 28;

/// A record that is put behind the last one. A reader of delimited text ends
/// silently where a file ends within quotes; such a file swallows this record.
const TAIL: &[u8] = b"\nend\n";

/// The content of a file, then [`TAIL`].
pub(super) struct Input {
    inner: Box<dyn Read + Send>,
    /// Bytes of the content so far.
    length: u64,
    /// Bytes of the tail that were read, once the content has ended.
    tail: Option<usize>,
    /// Bytes that may be read before the next record begins.
    allowance: u64,
}

impl Input {
    /// Reads `file` from where it stands.
    pub fn new(file: File, zipped: bool) -> Input {
        let inner: Box<dyn Read + Send> =
            if zipped { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
        Input { inner, length: 0, tail: None, allowance: LONGEST_RECORD }
    }

    /// A record begins: it may take what a record may.
    pub fn record_begins(&mut self) {
        self.allowance = LONGEST_RECORD;
    }

    /// Where a reader stands that has read everything, the tail included.
    pub fn end(&self) -> Option<u64> {
        self.tail.map(|_| self.length + TAIL.len() as u64)
    }

    /// Whether `record`, with which a reader came to the end, is the tail alone.
    pub fn is_tail(record: &csv::ByteRecord) -> bool {
        record.len() == 1 && &record[0] == TAIL.trim_ascii()
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if self.allowance == 0 {
            return Err(Error::other("a record is longer than 256 MiB; is a quote left open?"));
        }
        let most = into.len().min(usize::try_from(self.allowance).unwrap_or(usize::MAX));
        let into = &mut into[..most];
        if self.tail.is_none() {
            let n = self.inner.read(into)?;
            self.length += n as u64;
            self.allowance -= n as u64;
            if n > 0 || into.is_empty() {
                return Ok(n);
            }
        }
        let done = self.tail.unwrap_or(0);
        let n = (&TAIL[done..]).read(into)?;
        self.tail = Some(done + n);
        Ok(n)
    }
}
