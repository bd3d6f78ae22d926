//! Which filters the chunks of an array pass through.

use hdf5::Dataset;
use hdf5_sys::h5p::{H5Pget_filter2, H5Pget_nfilters};
use std::ffi::c_uint;
use std::ptr::null_mut;

// Numbers of the HDF Group's registry, as in H5Zpublic.h.
const DEFLATE: i32 = 1;
const SHUFFLE: i32 = 2;
const FLETCHER32: i32 = 3;

/// Refuses filters other than shuffle, deflate and fletcher32, one that is there
/// twice, and an array without checksums. (Not `Dataset::filters`: that trusts
/// the file for the number of parameters of each filter.)
pub(super) fn check(array: &Dataset) -> hdf5::Result<()> {
    let plist = array.create_plist()?;
    let mut seen = [false; 3];
    let id = plist.id();
    let _one_at_a_time = hdf5_sys::LOCK.lock();
    // SAFETY: the id is that of a dataset creation list, which `plist` keeps open; the lock is held.
    let count = unsafe { H5Pget_nfilters(id) };
    let Ok(count) = c_uint::try_from(count) else { return Err("has unreadable filters".into()) };
    for at in 0..count {
        let (mut flags, mut parameters, mut config) = (0, 0, 0);
        // SAFETY: as above; no parameters and no name are asked for, so none are written.
        let filter = unsafe {
            H5Pget_filter2(id, at, &mut flags, &mut parameters, null_mut(), 0, null_mut(), &mut config)
        };
        match filter {
            DEFLATE | SHUFFLE | FLETCHER32 => {
                if std::mem::replace(&mut seen[filter as usize - 1], true) {
                    return Err(format!("uses filter number {filter} twice").into());
                }
            }
            other => return Err(format!("uses the unknown filter number {other}").into()),
        }
    }
    if !seen[FLETCHER32 as usize - 1] {
        return Err("has no checksums (fletcher32)".into());
    }
    Ok(())
}
