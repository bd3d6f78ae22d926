use twox_hash::XxHash3_128;

/// The checksum of `bytes`: XXH3 with 128 bits, in hexadecimal, as `xxhsum -H2` prints it.
pub fn checksum(bytes: &[u8]) -> String {
    format!("{:032x}", XxHash3_128::oneshot(bytes))
}

#[cfg(test)]
mod tests {
    /// What xxhsum prints for an empty file.
    #[test]
    fn it_is_that_of_xxhsum() {
        assert_eq!(super::checksum(b""), "99aa06d3014798d86001c324468d497f");
    }
}
