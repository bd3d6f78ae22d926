//! Arrays on their way out: chunks come from the file one after the other, and are
//! checked and undone on all threads.

use super::chunk;
use super::chunk_io;
use super::filters::Pipeline;
use bytemuck::Pod;
use hdf5::Dataset;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// An open array of `T` with one dimension or two, of which type, shape, chunks
/// and filters are checked.
#[derive(Debug)]
pub(super) struct ArrayReader<T> {
    pub(super) array: Dataset,
    /// Rows, or rows and columns.
    pub(super) shape: Vec<usize>,
    /// The same, of a chunk.
    pub(super) chunk: Vec<usize>,
    pub(super) pipeline: Pipeline,
    pub(super) value: PhantomData<fn() -> T>,
}

impl<T: Pod + Send + Sync> ArrayReader<T> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.shape[0]
    }

    /// Reads everything, row after row.
    pub fn read_all(&self) -> hdf5::Result<Vec<T>> {
        self.read(0..self.rows())
    }

    /// Reads `rows`, one after the other.
    pub fn read(&self, rows: Range<usize>) -> hdf5::Result<Vec<T>> {
        if rows.start > rows.end || rows.end > self.rows() {
            return Err(format!("rows {}..{} of {} were asked for", rows.start, rows.end, self.rows()).into());
        }
        let columns: usize = self.shape[1..].iter().product();
        let mut values: Vec<T> = Vec::new();
        let size = rows.len().checked_mul(columns);
        if size.is_none_or(|size| values.try_reserve_exact(size).is_err()) {
            return Err("is too large for this machine's memory".into());
        }
        values.resize(rows.len() * columns, T::zeroed());
        let height = self.chunk[0];
        let mut bands = Vec::new();
        let (mut rest, mut row) = (&mut values[..], rows.start);
        while !rest.is_empty() {
            let end = rows.end.min(row - row % height + height);
            let (band, later) = rest.split_at_mut((end - row) * columns);
            bands.push((row, band));
            (rest, row) = (later, end);
        }
        bands.into_par_iter().try_for_each(|(row, band)| self.read_band(row, columns, band))?;
        Ok(values)
    }

    /// Fills `band` with the rows from `row` on, which lie in one chunk or in several side by side.
    fn read_band(&self, row: usize, columns: usize, band: &mut [T]) -> hdf5::Result<()> {
        let (height, wide) = (self.chunk[0], self.chunk.get(1).copied().unwrap_or(1));
        let width = size_of::<T>();
        let size = height * wide * width;
        let limit = chunk::longest_stored(size);
        let within = row % height;
        for first in (0..columns).step_by(wide) {
            let stored = chunk_io::read(&self.array, [row - within, first], limit)?;
            let bytes = chunk::restore(stored, &self.pipeline, width, size)?;
            let bytes = &bytes[within * wide * width..];
            let band: &mut [u8] = bytemuck::cast_slice_mut(band);
            if wide == columns {
                band.copy_from_slice(&bytes[..band.len()]);
                continue;
            }
            let taken = wide.min(columns - first) * width;
            for (to, from) in band.chunks_exact_mut(columns * width).zip(bytes.chunks_exact(wide * width)) {
                to[first * width..][..taken].copy_from_slice(&from[..taken]);
            }
        }
        Ok(())
    }
}
