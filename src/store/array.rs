//! Chunked, filtered arrays: how they are created, and what is checked before one is read.

use super::array_reader::ArrayReader;
use super::array_writer::{self, ArrayWriter};
use super::chunk::DEFLATE_LEVEL;
use super::filters::{self, Pipeline};
use bytemuck::NoUninit;
use hdf5::{Container, Dataset, Extent, Group, H5Type};
use std::marker::PhantomData;

/// Size that chunks are cut to: large enough to compress well and to be a piece of
/// work for a thread, small enough that its caches hold one.
pub(super) const CHUNK_BYTES: usize = 1 << 18;
/// Pairs a chunk.
pub(super) const CHUNK_PAIRS: usize = 1 << 16;
/// Pairs a block when a dataset is streamed.
pub(super) const BLOCK_PAIRS: usize = 1 << 18;
/// A larger chunk is refused, for HDF5 holds whole chunks in memory.
const LARGEST_CHUNK: usize = 1 << 26;
/// Deflate cannot shrink data more than this; more is a lie about the shape.
const LARGEST_RATIO: u64 = 1100;

/// Creates an array that can grow along its first dimension.
pub(super) fn create<T: H5Type>(
    group: &Group,
    name: &str,
    shape: &[usize],
    chunk: &[usize],
) -> hdf5::Result<Dataset> {
    let extents: Vec<Extent> = shape
        .iter()
        .enumerate()
        .map(|(axis, &n)| if axis == 0 { Extent::resizable(n) } else { Extent::fixed(n) })
        .collect();
    group
        .new_dataset::<T>()
        .shape(hdf5::SimpleExtents::new(extents))
        .chunk(chunk.to_vec())
        .shuffle()
        .deflate(DEFLATE_LEVEL)
        .fletcher32()
        .create(name)
}

/// Begins the array `name`, which can grow along its first dimension; what is
/// written to it passes no filter of HDF5's own.
pub(super) fn begin<T: H5Type>(
    group: &Group,
    name: &str,
    shape: &[usize],
    chunk: &[usize],
) -> hdf5::Result<ArrayWriter> {
    let array = create::<T>(group, name, shape, chunk)?;
    Ok(ArrayWriter::new(array, size_of::<T>(), shape, chunk))
}

/// Creates `name` and fills it with `values`.
pub(super) fn write<T: H5Type + NoUninit>(group: &Group, name: &str, values: &[T]) -> hdf5::Result<()> {
    let chunk = CHUNK_PAIRS.clamp(1, values.len().max(1));
    let mut array = begin::<T>(group, name, &[values.len()], &[chunk])?;
    array.append(values);
    array.close();
    array_writer::flush([&mut array])
}

/// Opens the array `name` of type `T`; the shape has `ndim` dimensions and can be trusted.
pub(super) fn open<T: H5Type>(group: &Group, name: &str, ndim: usize) -> hdf5::Result<ArrayReader<T>> {
    let array = group.dataset(name)?;
    holds::<T>(&array)?;
    let (shape, chunk, pipeline) = checked_layout(&array, size_of::<T>())?;
    if shape.len() != ndim {
        return Err(format!("has {} dimensions, not {ndim}", shape.len()).into());
    }
    Ok(ArrayReader { array, shape, chunk, pipeline, value: PhantomData })
}

/// Refuses an array or attribute of any type but `T`, as this program writes it.
/// (HDF5 itself compares the types. Not by `Datatype::to_descriptor`, which is
/// also behind every reading and printing of a type: it writes the members of an
/// enum, of any size that a file chooses, into 8 bytes.)
pub(super) fn holds<T: H5Type>(object: &Container) -> hdf5::Result<()> {
    if object.dtype()?.is::<T>() {
        return Ok(());
    }
    Err(format!("does not hold {}", T::type_descriptor()).into())
}

/// The shape of `array`, once its chunks, filters and stored bytes are found to
/// bear it out, so that reading allocates no more than the file can fill.
pub(super) fn checked_shape(array: &Dataset, bytes_a_value: usize) -> hdf5::Result<Vec<usize>> {
    checked_layout(array, bytes_a_value).map(|(shape, ..)| shape)
}

/// Like [`checked_shape`], with the shape of a chunk and the filters.
pub(super) fn checked_layout(
    array: &Dataset,
    bytes_a_value: usize,
) -> hdf5::Result<(Vec<usize>, Vec<usize>, Pipeline)> {
    let shape = array.shape();
    let size = shape.iter().try_fold(bytes_a_value, |n, &d| n.checked_mul(d));
    let Some(size) = size else { return Err(format!("claims the impossible shape {shape:?}").into()) };
    let Some(chunk) = array.chunk() else { return Err("is not chunked".into()) };
    if chunk.iter().try_fold(bytes_a_value, |n, &d| n.checked_mul(d)).is_none_or(|n| n > LARGEST_CHUNK) {
        return Err(format!("has chunks of {chunk:?} values; the limit is 64 MiB").into());
    }
    let pipeline = filters::of(array)?;
    if size as u64 > array.storage_size().saturating_mul(LARGEST_RATIO) {
        return Err(
            format!("claims shape {shape:?}, but only {} bytes are stored", array.storage_size()).into()
        );
    }
    Ok((shape, chunk, pipeline))
}
