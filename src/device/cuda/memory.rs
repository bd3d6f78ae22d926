use super::Stream;
use crate::Result;

/// A place in a device's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(pub u64);

impl Address {
    /// No place: what a kernel takes as absent.
    pub const NONE: Address = Address(0);

    /// The place so many bytes further on.
    pub fn offset(self, bytes: usize) -> Self {
        Address(self.0 + bytes as u64)
    }
}

/// Memory of a device, given back when dropped. Zeros at first.
pub struct Memory {
    stream: Stream,
    at: Address,
    bytes: usize,
}

impl Memory {
    pub(super) fn new(stream: Stream, at: Address, bytes: usize) -> Self {
        Self { stream, at, bytes }
    }

    /// Where it is.
    pub fn at(&self) -> Address {
        self.at
    }

    /// How much of it there is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes `from` at byte `offset`. Panics if it does not fit.
    pub fn upload<T: bytemuck::NoUninit>(&self, offset: usize, from: &[T]) -> Result<()> {
        let from: &[u8] = bytemuck::cast_slice(from);
        assert!(offset + from.len() <= self.bytes, "{} bytes at {offset} of {}", from.len(), self.bytes);
        self.stream.driver().upload(self.at.offset(offset), from)
    }

    /// Reads into `to` from byte `offset`, after all that was asked of the stream. Panics if there is less.
    pub fn download<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(
        &self,
        offset: usize,
        to: &mut [T],
    ) -> Result<()> {
        let to: &mut [u8] = bytemuck::cast_slice_mut(to);
        assert!(offset + to.len() <= self.bytes, "{} bytes at {offset} of {}", to.len(), self.bytes);
        self.stream.driver().download(to, self.at.offset(offset))
    }

    /// Sets all of it to zero.
    pub fn zero(&self) -> Result<()> {
        self.stream.driver().zero(self.at, self.bytes)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.stream.driver().release(self.at);
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes at {:#x}", self.bytes, self.at.0)
    }
}
