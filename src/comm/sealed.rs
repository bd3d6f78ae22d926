//! Memory that the processes of a node share: a file without a name or a place
//! on any file system (memfd_create(2), Linux 3.17). Unlike an MPI window, whose
//! pages come from `/dev/shm` when first written, it cannot run out while it is
//! being filled, needs no collective call to be freed, and is gone with the
//! last process that maps it. Once sealed, nobody can write to it or cut it short.

use super::memory::available;
use bytemuck::Pod;
#[cfg(feature = "mpi")]
use memmap2::MmapRaw;
use memmap2::{Mmap, MmapMut};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals};
use rustix::fs::{fstat, memfd_create};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Where another process of the node finds a segment, and how it knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct Address {
    process: u64,
    descriptor: u64,
    device: u64,
    inode: u64,
    bytes: u64,
}

/// Memory that this process fills for all of its node.
pub(super) struct Segment {
    file: File,
    map: MmapMut,
}

/// What neither this process nor another may do to a segment that is read.
fn seals() -> SealFlags {
    SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL
}

/// What nobody may do to a segment that several write to.
#[cfg(feature = "mpi")]
fn fixed_size() -> SealFlags {
    SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL
}

fn refused(what: &str) -> io::Error {
    io::Error::other(what)
}

impl Segment {
    /// Takes this many bytes, more than none, all zero. They are there when this
    /// returns: lack of memory is an error here, not a signal when they are written.
    pub fn create(bytes: usize) -> io::Result<Self> {
        // Linux would first end other processes to make room.
        if available().is_some_and(|there| there < bytes as u64) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let file = File::from(memfd_create("crossrx", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        fallocate(&file, FallocateFlags::empty(), 0, bytes as u64)?;
        // SAFETY: the file is new and has no name. Other processes of this job open it by its address,
        // and map it only when it is sealed, which it cannot be while this map lives.
        let map = unsafe { MmapMut::map_mut(&file)? };
        Ok(Self { file, map })
    }

    /// What [`join`] takes.
    pub fn address(&self) -> io::Result<Address> {
        let stat = fstat(&self.file)?;
        Ok(Address {
            process: std::process::id().into(),
            descriptor: self.file.as_raw_fd() as u64,
            device: stat.st_dev,
            inode: stat.st_ino,
            bytes: self.map.len() as u64,
        })
    }

    /// The memory, to be filled.
    pub fn values<T: Pod>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.map)
    }

    /// Ends the filling: from here on nobody can change the memory.
    pub fn seal(self) -> io::Result<Mmap> {
        let bytes = self.map.len();
        drop(self.map);
        fcntl_add_seals(&self.file, seals())?;
        map(&self.file, bytes)
    }

    /// The memory, to be written by all that map it, of a size that nobody can change.
    #[cfg(feature = "mpi")]
    pub fn write_together(self) -> io::Result<MmapRaw> {
        let bytes = self.map.len();
        drop(self.map);
        fcntl_add_seals(&self.file, fixed_size())?;
        map_to_write(&self.file, bytes)
    }
}

/// Opens the segment of another process of this node; [`map`] reads it once it is sealed.
pub(super) fn join(address: &Address) -> io::Result<File> {
    let path = format!("/proc/{}/fd/{}", address.process, address.descriptor);
    let open = File::options().read(true).write(true).open(&path);
    let file = open.map_err(|e| refused(&format!("cannot open {path}: {e}")))?;
    let stat = fstat(&file)?;
    // Processes of containers may number processes differently.
    if (stat.st_dev, stat.st_ino) != (address.device, address.inode) {
        return Err(refused("another process has the number of the one that holds the memory"));
    }
    Ok(file)
}

/// Maps a sealed segment of this many bytes.
pub(super) fn map(file: &File, bytes: usize) -> io::Result<Mmap> {
    if !fcntl_get_seals(file)?.contains(seals()) || file.metadata()?.len() != bytes as u64 {
        return Err(refused("the memory is not sealed, or has another size"));
    }
    // SAFETY: the seals, which cannot be taken back, keep every process from writing to the file and
    // from changing its size, so the map is as constant as a slice must be.
    unsafe { Mmap::map(file) }
}

/// Maps a segment of this many bytes that others write to, too.
#[cfg(feature = "mpi")]
pub(super) fn map_to_write(file: &File, bytes: usize) -> io::Result<MmapRaw> {
    if !fcntl_get_seals(file)?.contains(fixed_size()) || file.metadata()?.len() != bytes as u64 {
        return Err(refused("the memory can change its size, or has another"));
    }
    MmapRaw::map_raw(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_and_never_written() {
        let mut segment = Segment::create(4096 * 4).unwrap();
        let address = segment.address().unwrap();
        let joined = join(&address).unwrap();
        segment.values::<f32>()[4095] = 2.5;
        assert!(map(&joined, 4096 * 4).is_err(), "not sealed yet");
        let own = segment.seal().unwrap();
        let theirs = map(&joined, 4096 * 4).unwrap();
        for map in [&own, &theirs] {
            let values: &[f32] = bytemuck::cast_slice(map);
            assert_eq!((values[0], values[4095]), (0.0, 2.5));
        }
        assert!(map(&joined, 4096).is_err(), "another size");
        let path = format!("/proc/self/fd/{}", joined.as_raw_fd());
        let again = File::options().write(true).open(path).unwrap();
        assert!(again.set_len(1).is_err() && std::os::unix::fs::FileExt::write_at(&again, b"x", 0).is_err());
    }

    #[test]
    fn another_file_at_the_address_is_refused() {
        let address = Segment::create(8).unwrap().address().unwrap();
        let other = tempfile::tempfile().unwrap();
        let there = Address { descriptor: other.as_raw_fd() as u64, ..address };
        assert!(join(&there).unwrap_err().to_string().contains("another process"));
    }

    #[test]
    fn more_than_the_machine_has_is_an_error() {
        assert_eq!(Segment::create(1 << 50).err().unwrap().kind(), io::ErrorKind::OutOfMemory);
    }
}
