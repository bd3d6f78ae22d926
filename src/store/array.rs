//! Chunked, filtered arrays: how they are created, and what is checked before one is read.

use super::filters;
use hdf5::{Container, Dataset, Extent, Group, H5Type};

/// Size that chunks are cut to: large enough to compress well, and four of
/// them fit HDF5's chunk cache of 1 MiB.
pub(super) const CHUNK_BYTES: usize = 1 << 18;
/// Pairs a chunk.
pub(super) const CHUNK_PAIRS: usize = 1 << 16;
/// Pairs a block when a dataset is streamed.
pub(super) const BLOCK_PAIRS: usize = 1 << 18;
/// A larger chunk is refused, for HDF5 holds whole chunks in memory.
const LARGEST_CHUNK: usize = 1 << 26;
/// Deflate cannot shrink data more than this; more is a lie about the shape.
const LARGEST_RATIO: u64 = 1100;
/// Over the real IMPROVE tree, level 3 saves 2 % and level 6 5 % of the file,
/// for 7 % and 40 % more time.
const DEFLATE_LEVEL: u8 = 1;

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

/// Creates `name` and fills it with `values`.
pub(super) fn write<T: H5Type>(group: &Group, name: &str, values: &[T]) -> hdf5::Result<()> {
    let chunk = CHUNK_PAIRS.clamp(1, values.len().max(1));
    let array = create::<T>(group, name, &[values.len()], &[chunk])?;
    if values.is_empty() { Ok(()) } else { array.write_raw(values) }
}

/// Opens the array `name` of type `T`; the shape has `ndim` dimensions and can be trusted.
pub(super) fn open<T: H5Type>(group: &Group, name: &str, ndim: usize) -> hdf5::Result<(Dataset, Vec<usize>)> {
    let array = group.dataset(name)?;
    holds::<T>(&array)?;
    let shape = checked_shape(&array, size_of::<T>())?;
    if shape.len() != ndim {
        return Err(format!("has {} dimensions, not {ndim}", shape.len()).into());
    }
    Ok((array, shape))
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
    let shape = array.shape();
    let size = shape.iter().try_fold(bytes_a_value, |n, &d| n.checked_mul(d));
    let Some(size) = size else { return Err(format!("claims the impossible shape {shape:?}").into()) };
    let Some(chunk) = array.chunk() else { return Err("is not chunked".into()) };
    if chunk.iter().try_fold(bytes_a_value, |n, &d| n.checked_mul(d)).is_none_or(|n| n > LARGEST_CHUNK) {
        return Err(format!("has chunks of {chunk:?} values; the limit is 64 MiB").into());
    }
    filters::check(array)?;
    if size as u64 > array.storage_size().saturating_mul(LARGEST_RATIO) {
        return Err(
            format!("claims shape {shape:?}, but only {} bytes are stored", array.storage_size()).into()
        );
    }
    Ok(shape)
}
