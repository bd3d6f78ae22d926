//! What the hdf5 crate does not write, through HDF5's own functions.

use hdf5::plist::DatasetCreate;
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::{h5a, h5d, h5o, h5p, h5t};
use std::ffi::{CStr, CString};
use std::path::Path;
use std::ptr::null;

/// An enum of one member of 512 bytes. HDF5 takes integers of any size.
fn wide_enum() -> hdf5::Datatype {
    let plain = hdf5::Datatype::from_type::<u64>().unwrap();
    let _one_at_a_time = hdf5_sys::LOCK.lock();
    // SAFETY: the ids are those of types that are open, the last is given away; the member's
    // value is as long as the type, its name ends in NUL; the lock is held.
    let wide = unsafe {
        let integer = h5t::H5Tcopy(plain.id());
        assert!(h5t::H5Tset_size(integer, 512) >= 0);
        let id = h5t::H5Tenum_create(integer);
        assert!(h5t::H5Tenum_insert(id, c"one".as_ptr(), [0x41u8; 512].as_ptr().cast()) >= 0);
        h5t::H5Tclose(integer);
        hdf5::from_id(id)
    };
    wide.unwrap()
}

/// Puts an empty array of type `dtype` in the place of one, chunked and filtered
/// as `change` leaves its list.
fn put(path: &Path, place: &str, dtype: &hdf5::Datatype, change: impl FnOnce(&DatasetCreate)) {
    let file = hdf5::File::open_rw(path).unwrap();
    let old = file.dataset(place).unwrap();
    let (list, space) = (old.create_plist().unwrap(), old.space().unwrap());
    drop(old);
    change(&list);
    file.unlink(place).unwrap();
    let name = CString::new(place).unwrap();
    let _one_at_a_time = hdf5_sys::LOCK.lock();
    // SAFETY: every id is that of an object kept open above; the lock is held.
    unsafe {
        let (dtype, space, list) = (dtype.id(), space.id(), list.id());
        // Set anew, for HDF5 2 remembers in it the size of a value of the old array.
        let mut chunk = [0; 2];
        let dimensions = h5p::H5Pget_chunk(list, 2, chunk.as_mut_ptr());
        assert!(dimensions < 0 || h5p::H5Pset_chunk(list, dimensions, chunk.as_ptr()) >= 0);
        let id = h5d::H5Dcreate2(file.id(), name.as_ptr(), dtype, space, H5P_DEFAULT, list, H5P_DEFAULT);
        assert!(id >= 0, "{:?}", hdf5::Error::query());
        h5d::H5Dclose(id);
    }
}

/// Gives an array the type of [`wide_enum`].
pub fn make_array_wide(path: &Path, place: &str) {
    put(path, place, &wide_enum(), |_| ());
}

/// Gives an array of u32 one filter more, whether it has it or not.
pub fn add_filter(path: &Path, place: &str, filter: i32) {
    put(path, place, &hdf5::Datatype::from_type::<u32>().unwrap(), |list| {
        let _one_at_a_time = hdf5_sys::LOCK.lock();
        // SAFETY: the list is open; no parameters are given, so none are read; the lock is held.
        assert!(unsafe { h5p::H5Pset_filter(list.id(), filter, 0, 0, null()) } >= 0);
    });
}

/// Gives an attribute of the object at `place` the type of [`wide_enum`].
pub fn make_attribute_wide(path: &Path, place: &str, attribute: &CStr) {
    let file = hdf5::File::open_rw(path).unwrap();
    let (wide, space) = (wide_enum(), hdf5::Dataspace::try_new(()).unwrap());
    let place = CString::new(place).unwrap();
    let _one_at_a_time = hdf5_sys::LOCK.lock();
    // SAFETY: every id is that of an object kept open above, or here as long as it is used; what is
    // written is as long as the type; the lock is held.
    unsafe {
        let object = h5o::H5Oopen(file.id(), place.as_ptr(), H5P_DEFAULT);
        assert!(object >= 0 && h5a::H5Adelete(object, attribute.as_ptr()) >= 0);
        let (wide, space) = (wide.id(), space.id());
        let id = h5a::H5Acreate2(object, attribute.as_ptr(), wide, space, H5P_DEFAULT, H5P_DEFAULT);
        assert!(id >= 0 && h5a::H5Awrite(id, wide, [0x41u8; 512].as_ptr().cast()) >= 0);
        h5a::H5Aclose(id);
        h5o::H5Oclose(object);
    }
}

/// Puts `bytes` in the place of a stored chunk of an array of one dimension, as if they had passed
/// by the filters of `skipped`.
pub fn write_chunk(path: &Path, place: &str, row: u64, skipped: u32, bytes: &[u8]) {
    let file = hdf5::File::open_rw(path).unwrap();
    let array = file.dataset(place).unwrap();
    assert_eq!(array.ndim(), 1);
    let _one_at_a_time = hdf5_sys::LOCK.lock();
    // SAFETY: the array is open and has one dimension; `bytes` is as long as is said; the lock is held.
    let written = unsafe {
        let from = bytes.as_ptr().cast();
        h5d::H5Dwrite_chunk(array.id(), H5P_DEFAULT, skipped, &row, bytes.len(), from)
    };
    assert!(written >= 0);
}
