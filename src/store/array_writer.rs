//! Arrays on their way in: rows are cut into chunks, the chunks pass the filters on
//! all threads, and go to the file one after the other.

use super::chunk::{self, CHECKSUM, Stored};
use super::chunk_io::{self, Offset};
use bytemuck::NoUninit;
use hdf5::Dataset;
use rayon::prelude::*;

/// Appends rows to an array. Complete chunks are held until [`flush`]. What the
/// file then holds depends neither on how the rows were handed over nor on the
/// number of threads.
pub(super) struct ArrayWriter {
    array: Dataset,
    /// Bytes of a value.
    width: usize,
    /// Values of a row.
    columns: usize,
    /// Rows and columns of a chunk.
    chunk: [usize; 2],
    /// Rows so far.
    rows: usize,
    /// Rows that the file has room for.
    extent: usize,
    /// The chunks side by side that are being filled.
    band: Vec<Vec<u8>>,
    /// Complete chunks that are not in the file yet.
    full: Vec<Full>,
    /// Whether chunks are deflated: whether it was worth it for the first.
    deflated: Option<bool>,
}

/// A complete chunk.
struct Full {
    offset: Offset,
    bytes: Vec<u8>,
    /// Whether zeros were filled in.
    padded: bool,
}

impl ArrayWriter {
    /// Of a new `array` of values of `width` bytes, with one dimension or two.
    pub fn new(array: Dataset, width: usize, shape: &[usize], chunk: &[usize]) -> ArrayWriter {
        let at = |of: &[usize], axis: usize| of.get(axis).copied().unwrap_or(1);
        ArrayWriter {
            array,
            width,
            columns: at(shape, 1),
            chunk: [at(chunk, 0), at(chunk, 1)],
            rows: 0,
            extent: at(shape, 0),
            band: Vec::new(),
            full: Vec::new(),
            deflated: None,
        }
    }

    /// The array itself.
    pub fn array(&self) -> &Dataset {
        &self.array
    }

    /// Appends whole rows, one after the other.
    pub fn append<T: NoUninit>(&mut self, values: &[T]) {
        debug_assert!(size_of::<T>() == self.width && values.len().is_multiple_of(self.columns));
        let row = self.columns * self.width;
        let mut rest: &[u8] = bytemuck::cast_slice(values);
        while !rest.is_empty() {
            let room = self.chunk[0] - self.rows % self.chunk[0];
            let (here, later) = rest.split_at(rest.len().min(room * row));
            self.fill_band(here, row);
            self.rows += here.len() / row;
            if self.rows.is_multiple_of(self.chunk[0]) {
                self.close_band(self.rows - self.chunk[0], false);
            }
            rest = later;
        }
    }

    fn fill_band(&mut self, rows: &[u8], row: usize) {
        let wide = self.chunk[1] * self.width;
        if self.band.is_empty() {
            let size = self.chunk[0] * wide + CHECKSUM;
            self.band.resize_with(row.div_ceil(wide), || Vec::with_capacity(size));
        }
        if let [chunk] = &mut self.band[..]
            && row == wide
        {
            chunk.extend_from_slice(rows);
            return;
        }
        for row in rows.chunks_exact(row) {
            for (chunk, part) in self.band.iter_mut().zip(row.chunks(wide)) {
                let end = chunk.len() + wide;
                chunk.extend_from_slice(part);
                chunk.resize(end, 0);
            }
        }
    }

    fn close_band(&mut self, first_row: usize, short: bool) {
        let [height, wide] = self.chunk;
        for (mut bytes, column) in self.band.drain(..).zip((0..).step_by(wide)) {
            bytes.resize(height * wide * self.width, 0);
            let padded = short || column + wide > self.columns;
            self.full.push(Full { offset: [first_row, column], bytes, padded });
        }
    }

    /// Fills up the last chunks; no rows can follow.
    pub fn close(&mut self) {
        self.close_band(self.rows - self.rows % self.chunk[0], true);
    }

    /// The complete chunks as they go to the file.
    fn filter(&mut self) -> Vec<(Offset, Stored)> {
        let width = self.width;
        let mut full = self.full.drain(..);
        let mut stored = Vec::with_capacity(full.len());
        let deflated = match self.deflated {
            Some(deflated) => deflated,
            None => {
                let Some(first) = full.next() else { return stored };
                let (chunk, deflated) = chunk::store_first(first.bytes, width, first.padded);
                stored.push((first.offset, chunk));
                *self.deflated.insert(deflated)
            }
        };
        let rest: Vec<Full> = full.collect();
        // Zeros that were filled in are not worth their place.
        let rest =
            rest.into_par_iter().map(|f| (f.offset, chunk::store(f.bytes, width, deflated || f.padded)));
        stored.par_extend(rest);
        stored
    }
}

/// Sends the complete chunks of `arrays` through the filters in parallel, and writes them.
pub(super) fn flush<'a>(arrays: impl IntoIterator<Item = &'a mut ArrayWriter>) -> hdf5::Result<()> {
    let mut arrays: Vec<&mut ArrayWriter> = arrays.into_iter().filter(|a| !a.full.is_empty()).collect();
    for array in arrays.iter_mut().filter(|a| a.extent < a.rows) {
        array.extent = array.rows;
        // Only arrays of one dimension grow.
        array.array.resize(array.extent)?;
    }
    let stored: Vec<Vec<(Offset, Stored)>> = arrays.par_iter_mut().map(|array| array.filter()).collect();
    for (array, chunks) in arrays.iter().zip(&stored) {
        chunks.iter().try_for_each(|(offset, chunk)| chunk_io::write(&array.array, *offset, chunk))?;
    }
    Ok(())
}
