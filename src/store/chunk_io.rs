//! Stored chunks in and out of a file, past HDF5's filters.

use super::chunk::Stored;
use hdf5::Dataset;
use hdf5_sys::h5::{herr_t, hsize_t};
use hdf5_sys::h5d::{H5Dread_chunk1, H5Dwrite_chunk};
use hdf5_sys::h5i::hid_t;
use hdf5_sys::h5p::H5P_DEFAULT;

unsafe extern "C" {
    // As in H5Dpublic.h since HDF5 1.10.2; the crate does not declare it. (What it has in its
    // place, H5Dget_chunk_info_by_coord, walks through all chunks for one.)
    fn H5Dget_chunk_storage_size(dset_id: hid_t, offset: *const hsize_t, size: *mut hsize_t) -> herr_t;
}

/// Most dimensions of an array.
const DIMENSIONS: usize = 2;

/// Row and column where a chunk begins; an array of one dimension has column 0 alone.
pub(super) type Offset = [usize; DIMENSIONS];

/// Reads the chunk that begins at `offset`, of at most `limit` bytes.
pub(super) fn read(array: &Dataset, offset: Offset, limit: usize) -> hdf5::Result<Stored> {
    let mut bytes = Vec::new();
    let skipped = read_into(array, offset, limit, &mut bytes)?;
    Ok(Stored { bytes, skipped })
}

/// Like [`read`], into `bytes`, whatever they held; returns which filters the chunk did not pass.
pub(super) fn read_into(
    array: &Dataset,
    offset: Offset,
    limit: usize,
    bytes: &mut Vec<u8>,
) -> hdf5::Result<u32> {
    let at = offset.map(|n| n as hsize_t);
    check_dimensions(array)?;
    crate::status::beat();
    let mut size: hsize_t = 0;
    let _one_at_a_time = hdf5_sys::LOCK.lock();
    // SAFETY: `array` keeps its id open and has no more dimensions than `at`; the lock is held.
    let found = unsafe { H5Dget_chunk_storage_size(array.id(), at.as_ptr(), &mut size) };
    if found < 0 || size == 0 {
        return Err(format!("its chunk at {offset:?} is not there").into());
    }
    let Some(size) = usize::try_from(size).ok().filter(|&size| size <= limit) else {
        return Err(format!("its chunk at {offset:?} has {size} bytes, of {limit} at most").into());
    };
    bytes.resize(size, 0);
    let mut skipped = 0;
    // SAFETY: as above; HDF5 writes the bytes that it has just told of, which `bytes` holds.
    let read = unsafe {
        H5Dread_chunk1(array.id(), H5P_DEFAULT, at.as_ptr(), &mut skipped, bytes.as_mut_ptr().cast())
    };
    if read < 0 {
        return Err(format!("its chunk at {offset:?} cannot be read: {}", reason()).into());
    }
    Ok(skipped)
}

/// Writes the chunk that begins at `offset`, which lies within the array's extent.
pub(super) fn write(array: &Dataset, offset: Offset, chunk: &Stored) -> hdf5::Result<()> {
    let at = offset.map(|n| n as hsize_t);
    check_dimensions(array)?;
    let (size, from) = (chunk.bytes.len(), chunk.bytes.as_ptr().cast());
    let _one_at_a_time = hdf5_sys::LOCK.lock();
    // SAFETY: `array` keeps its id open and has no more dimensions than `at`; `from` is good for
    // `size` bytes; the lock is held.
    let written = unsafe { H5Dwrite_chunk(array.id(), H5P_DEFAULT, chunk.skipped, at.as_ptr(), size, from) };
    if written < 0 {
        return Err(format!("its chunk at {offset:?} cannot be written: {}", reason()).into());
    }
    Ok(())
}

fn check_dimensions(array: &Dataset) -> hdf5::Result<()> {
    match array.ndim() {
        1..=DIMENSIONS => Ok(()),
        n => Err(format!("has {n} dimensions").into()),
    }
}

/// Why the last call to HDF5 failed, as far as it tells.
fn reason() -> String {
    match hdf5::Error::query() {
        Ok(error) => error.to_string(),
        Err(_) => "HDF5 does not say why".into(),
    }
}
