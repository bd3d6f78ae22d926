//! Fixed-length UTF-8 strings, padded with NUL: unlike HDF5's variable-length
//! strings, they pass through the filters, so deflate and fletcher32 cover them.

use super::array::{self, CHUNK_BYTES};
use hdf5::types::FixedUnicode;
use hdf5::{Container, Group, Location};
use ndarray::{ArrayView1, s};
use std::str::FromStr;

/// Longest string that a store holds, in bytes.
pub(super) const LONGEST: usize = 1 << 16;
/// Longest text of one attribute, in bytes.
pub(super) const LONGEST_ATTRIBUTE: usize = LONGEST;

/// Calls `$call::<WIDTH>` with the smallest width that holds `$bytes`.
macro_rules! at_width {
    ($bytes:expr, $call:ident($($arg:expr),*)) => {
        match $bytes {
            ..=8 => $call::<8>($($arg),*),
            ..=16 => $call::<16>($($arg),*),
            ..=32 => $call::<32>($($arg),*),
            ..=64 => $call::<64>($($arg),*),
            ..=128 => $call::<128>($($arg),*),
            ..=256 => $call::<256>($($arg),*),
            ..=512 => $call::<512>($($arg),*),
            ..=1024 => $call::<1024>($($arg),*),
            ..=4096 => $call::<4096>($($arg),*),
            ..=16384 => $call::<16384>($($arg),*),
            ..=65536 => $call::<65536>($($arg),*),
            longer => Err(format!("holds a string of {longer} bytes; the limit is {LONGEST}").into()),
        }
    };
}

fn fixed<const N: usize>(text: &str) -> hdf5::Result<FixedUnicode<N>> {
    if text.contains('\0') {
        return Err(format!("{text:?} holds a NUL character").into());
    }
    FixedUnicode::from_str(text).map_err(|e| e.to_string().into())
}

fn plain<const N: usize>(text: &FixedUnicode<N>) -> hdf5::Result<String> {
    // Not `as_str`: that trusts the file to hold UTF-8.
    match std::str::from_utf8(text.as_bytes()) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err("holds bytes that are not UTF-8".into()),
    }
}

/// Creates the dataset `name` in `group` with one string a row.
pub(super) fn write(group: &Group, name: &str, values: &[String]) -> hdf5::Result<()> {
    fn at<const N: usize>(group: &Group, name: &str, values: &[String]) -> hdf5::Result<()> {
        let rows = (CHUNK_BYTES / N).clamp(1, values.len().max(1));
        let array = array::create::<FixedUnicode<N>>(group, name, &[values.len()], &[rows])?;
        for (block, start) in values.chunks(rows).zip((0..).step_by(rows)) {
            let block = block.iter().map(|v| fixed(v)).collect::<hdf5::Result<Vec<FixedUnicode<N>>>>()?;
            array.write_slice(ArrayView1::from(&block), s![start..start + block.len()])?;
        }
        Ok(())
    }
    let longest = values.iter().map(String::len).max().unwrap_or(0);
    at_width!(longest, at(group, name, values))
}

/// Reads the strings of the dataset `name` in `group`.
pub(super) fn read(group: &Group, name: &str) -> hdf5::Result<Vec<String>> {
    fn at<const N: usize>(array: &hdf5::Dataset, rows: usize) -> hdf5::Result<Vec<String>> {
        let block = (CHUNK_BYTES / N).max(1);
        let mut values = Vec::new();
        for start in (0..rows).step_by(block) {
            let end = rows.min(start + block);
            for text in &array.read_slice_1d::<FixedUnicode<N>, _>(s![start..end])? {
                values.push(plain(text)?);
            }
        }
        Ok(values)
    }
    let array = group.dataset(name)?;
    let width = width(&array)?;
    let shape = array::checked_shape(&array, width)?;
    let &[rows] = &shape[..] else { return Err("is not one-dimensional".into()) };
    at_width!(width, at(&array, rows))
}

/// Writes one string as the attribute `name`, replacing one that is there.
pub(super) fn write_attr(object: &Location, name: &str, value: &str) -> hdf5::Result<()> {
    fn at<const N: usize>(object: &Location, name: &str, value: &str) -> hdf5::Result<()> {
        object.new_attr::<FixedUnicode<N>>().create(name)?.write_scalar(&fixed::<N>(value)?)
    }
    if object.attr(name).is_ok() {
        object.delete_attr(name)?;
    }
    at_width!(value.len(), at(object, name, value))
}

/// Writes a list of strings as the attribute `name`.
pub(super) fn write_attr_list(object: &Location, name: &str, values: &[String]) -> hdf5::Result<()> {
    fn at<const N: usize>(object: &Location, name: &str, values: &[String]) -> hdf5::Result<()> {
        let values = values.iter().map(|v| fixed(v)).collect::<hdf5::Result<Vec<FixedUnicode<N>>>>()?;
        object.new_attr::<FixedUnicode<N>>().shape(values.len()).create(name)?.write(&values)
    }
    let longest = values.iter().map(String::len).max().unwrap_or(0);
    at_width!(longest, at(object, name, values))
}

/// Reads the string attribute `name`.
pub(super) fn read_attr(object: &Location, name: &str) -> hdf5::Result<String> {
    let mut values = read_attr_list(object, name)?;
    match values.len() {
        1 => Ok(values.remove(0)),
        n => Err(format!("attribute {name} holds {n} strings, not one").into()),
    }
}

/// Reads the list-of-strings attribute `name`.
pub(super) fn read_attr_list(object: &Location, name: &str) -> hdf5::Result<Vec<String>> {
    fn at<const N: usize>(attr: &Container) -> hdf5::Result<Vec<String>> {
        attr.as_reader().read_raw::<FixedUnicode<N>>()?.iter().map(plain).collect()
    }
    let attr = object.attr(name).map_err(|_| hdf5::Error::from(format!("lacks the attribute {name}")))?;
    let width = width(&attr)?;
    if attr.space()?.size().saturating_mul(width) > 1 << 28 {
        return Err(format!("attribute {name} is too large").into());
    }
    at_width!(width, at(&attr))
}

/// Bytes of each string of an array or attribute, one of the widths that are written.
pub(super) fn width(object: &Container) -> hdf5::Result<usize> {
    fn at<const N: usize>(object: &Container) -> hdf5::Result<usize> {
        array::holds::<FixedUnicode<N>>(object).map(|()| N)
    }
    at_width!(object.dtype()?.size(), at(object))
        .map_err(|_: hdf5::Error| "does not hold UTF-8 text of a fixed length".into())
}
