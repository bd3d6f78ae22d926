//! Attributes that are one number.

use super::array;
use hdf5::{H5Type, Location};

/// Writes the number `value` as the new attribute `name`.
pub(super) fn write<T: H5Type>(object: &Location, name: &str, value: &T) -> hdf5::Result<()> {
    object.new_attr::<T>().create(name)?.write_scalar(value)
}

/// Reads the attribute `name`, which has to be one number of type `T`.
pub(super) fn read<T: H5Type>(object: &Location, name: &str) -> hdf5::Result<T> {
    let attr = object.attr(name).map_err(|_| hdf5::Error::from(format!("lacks the attribute {name}")))?;
    array::holds::<T>(&attr).map_err(|e| hdf5::Error::from(format!("attribute {name} {e}")))?;
    attr.as_reader().read_scalar()
}
