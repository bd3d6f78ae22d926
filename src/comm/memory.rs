use std::fs::read_to_string;

/// Memory that processes of this node can still take, in bytes; `None` where
/// the system does not tell.
pub(super) fn available() -> Option<u64> {
    field("/proc/meminfo", "MemAvailable")
}

/// Memory of this process in bytes, as Linux counts it. All are zero where the
/// system does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct ProcessMemory {
    /// Held now.
    pub resident: u64,
    /// Most that was held at once.
    pub peak: u64,
    /// Of what is held now, memory that other processes hold too.
    pub shared: u64,
}

impl ProcessMemory {
    /// Of this process, at this moment.
    pub fn now() -> Self {
        let of = |name| field("/proc/self/status", name).unwrap_or(0);
        Self { resident: of("VmRSS"), peak: of("VmHWM"), shared: of("RssShmem") }
    }
}

/// A line `name:  123 kB` of a file of the kernel, in bytes.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(1024 * line.split_whitespace().next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_seen() {
        let taken = std::hint::black_box(vec![1u8; 64 << 20]);
        let memory = ProcessMemory::now();
        assert!(memory.peak >= taken.len() as u64 && memory.peak >= memory.resident);
        assert!(available().unwrap() > 1 << 20);
    }
}
