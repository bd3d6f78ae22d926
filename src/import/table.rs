//! Delimited text, tab or comma, gzipped or not, with the line of every fault.

use super::cell::{Cell, parse};
use super::input::Input;
use crate::{Error, Result};
use csv::ByteRecord;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A table read record by record. Every record has as many cells as the first
/// line, the header.
pub(super) struct Table {
    path: PathBuf,
    reader: csv::Reader<Input>,
    header: Vec<String>,
    ahead: VecDeque<ByteRecord>,
    record: ByteRecord,
    base: Mark,
    plain: bool,
    delimiter: u8,
}

/// Where a record begins: byte of the file, and line counted from 0.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    byte: u64,
    line: u64,
}

impl Table {
    /// Opens `path` and reads its header. Gzip is told by its first bytes; the
    /// delimiter by the name (`.csv`, `.tsv`), else by what the header holds more of.
    pub fn open(path: &Path) -> Result<Table> {
        let failed = |e| Error::io(path, "cannot read", e);
        let mut file = File::open(path).map_err(failed)?;
        let mut magic = [0; 2];
        let zipped = file.read(&mut magic).map_err(failed)? == 2 && magic == [0x1f, 0x8b];
        file.rewind().map_err(failed)?;
        let name = path.to_string_lossy().to_ascii_lowercase();
        let delimiter = match name.trim_end_matches(".gz") {
            n if n.ends_with(".csv") => b',',
            n if n.ends_with(".tsv") => b'\t',
            _ => {
                let mut head = Vec::new();
                let input = Input::new(file.try_clone().map_err(failed)?, zipped);
                input.take(1 << 16).read_to_end(&mut head).map_err(failed)?;
                file.rewind().map_err(failed)?;
                let line = head.split(|&b| b == b'\n').next().unwrap_or_default();
                let count = |d| line.iter().filter(|&&b| b == d).count();
                if count(b',') > count(b'\t') { b',' } else { b'\t' }
            }
        };
        let mut table = Table {
            path: path.into(),
            reader: reader(Input::new(file, zipped), delimiter),
            header: Vec::new(),
            ahead: VecDeque::new(),
            record: ByteRecord::new(),
            base: Mark::default(),
            plain: !zipped,
            delimiter,
        };
        if !table.fill()? {
            return Err(Error::table(path, 1, "the table is empty"));
        }
        table.header = (0..table.record.len()).map(|i| table.text(i)).collect::<Result<_>>()?;
        Ok(table)
    }

    /// Whether records can be gone to: a table that is unzipped is read through.
    pub fn can_seek(&self) -> bool {
        self.plain
    }

    /// Goes to a record of a table that can seek.
    pub fn seek(&mut self, mark: Mark) -> Result<()> {
        let failed = |e| Error::io(&self.path, "cannot read", e);
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(mark.byte)).map_err(failed)?;
        self.reader = reader(Input::new(file, false), self.delimiter);
        self.ahead.clear();
        self.base = mark;
        Ok(())
    }

    /// Names of the columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The column `name`, or an error that lists those there are.
    pub fn column(&self, name: &str) -> Result<usize> {
        let mut found = self.header.iter().enumerate().filter(|(_, h)| *h == name);
        match (found.next(), found.next()) {
            (Some((column, _)), None) => Ok(column),
            (Some(_), Some(_)) => Err(Error::table(&self.path, 1, format!("two columns are named {name:?}"))),
            (None, _) => {
                let there = self.header.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", ");
                let more = if self.header.len() > 20 { ", ..." } else { "" };
                Err(Error::table(&self.path, 1, format!("has no column {name:?}; there is {there}{more}")))
            }
        }
    }

    /// Goes to the next record; false at the end.
    pub fn advance(&mut self) -> Result<bool> {
        if let Some(record) = self.ahead.pop_front() {
            self.record = record;
            return Ok(true);
        }
        self.fill()
    }

    /// The next `n` records, or fewer at the end, without going to them.
    pub fn peek(&mut self, n: usize) -> Result<&[ByteRecord]> {
        while self.ahead.len() < n {
            match self.read()? {
                Some(record) => self.ahead.push_back(record),
                None => break,
            }
        }
        self.ahead.make_contiguous();
        let ahead = self.ahead.as_slices().0;
        Ok(&ahead[..n.min(ahead.len())])
    }

    /// The cell in `column` of the present record, without surrounding blanks.
    pub fn cell(&self, column: usize) -> &[u8] {
        self.record.get(column).unwrap_or_default().trim_ascii()
    }

    /// The cell in `column` as text.
    pub fn text(&self, column: usize) -> Result<String> {
        match std::str::from_utf8(self.cell(column)) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(self.fault(format!("cell {} is not UTF-8", column + 1))),
        }
    }

    /// The cell in `column` as text, empty where it is a word for no value.
    pub fn known_text(&self, column: usize) -> Result<String> {
        if parse(self.cell(column)) == Cell::Missing { Ok(String::new()) } else { self.text(column) }
    }

    /// The cell in `column` as a number, NaN where missing. Anything else is an error.
    pub fn number(&self, column: usize) -> Result<f32> {
        match parse(self.cell(column)) {
            Cell::Number(value) => Ok(value),
            Cell::Missing => Ok(f32::NAN),
            Cell::Infinite => Err(self.bad_cell(column, "is infinite, or too large")),
            Cell::Text => Err(self.bad_cell(column, "is not a number")),
        }
    }

    /// Where the present record begins.
    pub fn mark(&self) -> Mark {
        let at = self.record.position();
        Mark {
            byte: self.base.byte + at.map_or(0, csv::Position::byte),
            line: self.base.line + at.map_or(0, |p| p.line().saturating_sub(1)),
        }
    }

    /// 1-based line that the present record begins on.
    pub fn line(&self) -> u64 {
        self.mark().line + 1
    }

    /// An error about the present record.
    pub fn fault(&self, what: impl Into<String>) -> Error {
        Error::table(&self.path, self.line(), what)
    }

    /// An error about the cell in `column` of the present record.
    pub fn bad_cell(&self, column: usize, what: &str) -> Error {
        let shown = String::from_utf8_lossy(self.cell(column));
        let name = self.header.get(column).map_or("", String::as_str);
        self.fault(format!("column {name:?}: {shown:.60?} {what}"))
    }

    /// The next record, the present one staying as it is.
    fn read(&mut self) -> Result<Option<ByteRecord>> {
        let present = std::mem::take(&mut self.record);
        let more = self.fill();
        let next = std::mem::replace(&mut self.record, present);
        more.map(|more| more.then_some(next))
    }

    /// Reads the next record into the present one's memory; false at the end.
    fn fill(&mut self) -> Result<bool> {
        loop {
            self.reader.get_mut().record_begins();
            let more = self.reader.read_byte_record(&mut self.record);
            let begun = self.record.position().map_or(1, csv::Position::line);
            if !more.map_err(|e| {
                Error::table(&self.path, self.base.line + begun, format!("cannot read on: {e}"))
            })? {
                return Ok(false);
            }
            let last = self.reader.get_ref().end() == Some(self.reader.position().byte());
            if last && Input::is_tail(&self.record) {
                return Ok(false);
            }
            // The position of a record is that of the blank lines before it; the
            // line it begins on is counted back from where it ended.
            let cells = self.record.as_slice();
            // Hardly a record has any, which is found out faster than how many.
            let within = match cells.contains(&b'\n') {
                true => cells.iter().filter(|&&b| b == b'\n').count() as u64,
                false => 0,
            };
            let begins = self.reader.position().line().saturating_sub(within + u64::from(!last));
            skip_blank(&mut self.record, begins.saturating_sub(begun));
            let line = self.base.line + begins;
            if last {
                let what = "a quote is opened in this record and never closed";
                return Err(Error::table(&self.path, line, what));
            }
            let record = &self.record;
            // A blank line of a file with CR LF line ends.
            if record.len() == 1 && record[0].trim_ascii().is_empty() && self.header.len() != 1 {
                continue;
            }
            if !self.header.is_empty() && record.len() != self.header.len() {
                let what = format!("has {} cells, the header has {}", record.len(), self.header.len());
                return Err(Error::table(&self.path, line, what));
            }
            return Ok(true);
        }
    }
}

/// Moves the position of `record` past `blank` line ends at one byte each.
fn skip_blank(record: &mut ByteRecord, blank: u64) {
    if let Some(mut at) = record.position().cloned() {
        let (byte, line) = (at.byte() + blank, at.line() + blank);
        at.set_byte(byte).set_line(line);
        record.set_position(Some(at));
    }
}

fn reader(input: Input, delimiter: u8) -> csv::Reader<Input> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        // Not the default: ending a record at CR would count its line one short.
        .terminator(csv::Terminator::Any(b'\n'))
        .buffer_capacity(1 << 18)
        .from_reader(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(name: &str, content: &[u8]) -> (tempfile::TempDir, Result<Table>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        let table = Table::open(&path);
        (dir, table)
    }

    #[test]
    fn faults_name_their_line() {
        for end in ["\n", "\r\n"] {
            let content = ["a\tb", "1\t2", "\"x\"\tinf", "1", ""].join(end);
            let (_dir, table) = table("t.tsv", content.as_bytes());
            let mut table = table.unwrap();
            assert_eq!(table.header(), ["a", "b"]);
            assert!(table.advance().unwrap());
            assert_eq!((table.number(1).unwrap(), table.mark().line), (2.0, 1));
            assert!(table.advance().unwrap());
            assert_eq!(table.cell(0), b"x");
            assert!(
                table
                    .number(1)
                    .unwrap_err()
                    .to_string()
                    .contains("t.tsv:3: column \"b\": \"inf\" is infinite")
            );
            assert!(table.number(0).unwrap_err().to_string().contains("is not a number"));
            let error = table.advance().unwrap_err().to_string();
            assert!(error.contains("t.tsv:4: has 1 cells, the header has 2"), "{error}");
        }
    }

    #[test]
    fn blank_lines_count() {
        for end in ["\n", "\r\n"] {
            let content = ["", "a\tb", "", "", "1\t2", "\"x", "", "y\"\t2", "", "3\tbad", "4\t5", "", "\"6"];
            let (_dir, table) = table("t.tsv", content.join(end).as_bytes());
            let mut table = table.unwrap();
            let mut next = || {
                assert!(table.advance().unwrap());
                (table.line(), table.mark())
            };
            let (first, (quoted, mark)) = (next().0, next());
            assert_eq!((first, quoted, next().0), (5, 6, 10));
            assert!(table.number(1).unwrap_err().to_string().contains("t.tsv:10: "));
            table.seek(mark).unwrap();
            for line in [6, 10, 11] {
                assert!(table.advance().unwrap());
                assert_eq!(table.line(), line);
            }
            let error = table.advance().unwrap_err().to_string();
            assert!(error.contains("t.tsv:13: a quote"), "{error}");
        }
    }

    #[test]
    fn a_quote_left_open_is_refused_at_its_line() {
        for end in ["", "\n", "\nD3\t3\n", "\nend\n"] {
            let (_dir, table) = table("t.tsv", format!("id\tx\nD1\t1\nD2\t\"2{end}").as_bytes());
            let mut table = table.unwrap();
            assert!(table.advance().unwrap());
            let error = table.advance().unwrap_err().to_string();
            assert!(error.contains("t.tsv:3: a quote") && error.contains("never closed"), "{error}");
        }
        assert!(table("t.tsv", b"\"id\tx").1.err().unwrap().to_string().contains("t.tsv:1: a quote"));
    }

    #[test]
    fn closed_quotes_and_the_word_end_are_content() {
        for last in ["\"end\"", "end", "end\n", "end\r\n", "\"e\nnd\"\n"] {
            let (_dir, table) = table("t.csv", format!("id\nend\n\"a\"\"\"\n{last}").as_bytes());
            let mut table = table.unwrap();
            let mut rows = 0;
            while table.advance().unwrap() {
                rows += 1;
            }
            assert_eq!(rows, 3, "{last:?}");
            assert!(!table.advance().unwrap());
        }
    }

    #[test]
    fn seeking_returns_to_a_record_and_its_line() {
        let (_dir, table) = table("t.csv", b"a,b\n1,2\n3,4\n5,6\n");
        let mut table = table.unwrap();
        table.advance().unwrap();
        table.advance().unwrap();
        let mark = table.mark();
        table.advance().unwrap();
        table.seek(mark).unwrap();
        assert!(table.advance().unwrap());
        assert_eq!((table.cell(0), table.mark().line), (&b"3"[..], 2));
        assert!(table.advance().unwrap());
        assert_eq!((table.cell(0), table.mark().line), (&b"5"[..], 3));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn any_bytes_are_read_or_refused(content in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(mut table) = table("t", &content).1 {
                let width = table.header().len();
                while let Ok(true) = table.advance() {
                    prop_assert_eq!(table.record.len(), width);
                }
            }
        }

        #[test]
        fn plain_cells_come_back(rows in proptest::collection::vec(("[a-z0-9 ._-]{1,8}", any::<f32>()), 1..20)) {
            let lines: Vec<String> = rows.iter().map(|(text, x)| format!("x{text}\t{x}")).collect();
            let (_dir, table) = table("t.tsv", format!("id\tx\n{}\n", lines.join("\n")).as_bytes());
            let mut table = table.unwrap();
            for (text, x) in &rows {
                prop_assert!(table.advance().unwrap());
                let written = format!("x{text}");
                prop_assert_eq!(table.text(0).unwrap(), written.trim_end());
                match table.number(1) {
                    Ok(y) => prop_assert!(y == *x || y.is_nan() && x.is_nan()),
                    Err(_) => prop_assert!(x.is_infinite()),
                }
            }
            prop_assert!(!table.advance().unwrap());
        }
    }
}
