//! Which filters the chunks of an array pass through.

use arrayvec::ArrayVec;
use hdf5::Dataset;
use hdf5_sys::h5p::{H5Pget_filter2, H5Pget_nfilters};
use std::ffi::c_uint;
use std::ptr::null_mut;

/// A filter by its number in the HDF Group's registry, as in H5Zpublic.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    Deflate = 1,
    Shuffle = 2,
    Fletcher32 = 3,
}

/// The filters of an array in the order in which a chunk passes them on its way in.
pub(super) type Pipeline = ArrayVec<Filter, 3>;

/// The filters of `array`. Refuses those other than shuffle, deflate and
/// fletcher32, one that is there twice, and an array without checksums. (Not
/// `Dataset::filters`: that trusts the file for the number of parameters of each
/// filter.)
pub(super) fn of(array: &Dataset) -> hdf5::Result<Pipeline> {
    let plist = array.create_plist()?;
    let mut pipeline = Pipeline::new();
    let id = plist.id();
    let _one_at_a_time = hdf5_sys::LOCK.lock();
    // SAFETY: the id is that of a dataset creation list, which `plist` keeps open; the lock is held.
    let count = unsafe { H5Pget_nfilters(id) };
    let Ok(count) = c_uint::try_from(count) else { return Err("has unreadable filters".into()) };
    for at in 0..count {
        let (mut flags, mut parameters, mut config) = (0, 0, 0);
        // SAFETY: as above; no parameters and no name are asked for, so none are written.
        let number = unsafe {
            H5Pget_filter2(id, at, &mut flags, &mut parameters, null_mut(), 0, null_mut(), &mut config)
        };
        let known = [Filter::Deflate, Filter::Shuffle, Filter::Fletcher32];
        let Some(filter) = known.into_iter().find(|&f| f as i32 == number) else {
            return Err(format!("uses the unknown filter number {number}").into());
        };
        if pipeline.contains(&filter) {
            return Err(format!("uses filter number {number} twice").into());
        }
        pipeline.push(filter);
    }
    if !pipeline.contains(&Filter::Fletcher32) {
        return Err("has no checksums (fletcher32)".into());
    }
    Ok(pipeline)
}
