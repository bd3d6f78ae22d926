use crate::{Error, Result, status};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use twox_hash::XxHash3_128;

/// The checksum of `bytes`: XXH3 with 128 bits, in hexadecimal, as `xxhsum -H2` prints it.
pub fn checksum(bytes: &[u8]) -> String {
    format!("{:032x}", XxHash3_128::oneshot(bytes))
}

/// The length and the checksum of a file, which is read in pieces.
pub fn checksum_of_file(path: &Path) -> Result<(u64, String)> {
    let failed = |e| Error::io(path, "cannot read", e);
    let mut file = File::open(path).map_err(failed)?;
    let (mut hash, mut bytes) = (XxHash3_128::new(), 0);
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return Ok((bytes, format!("{:032x}", hash.finish_128()))),
            n => {
                hash.write(&piece[..n]);
                bytes += n as u64;
                status::beat();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_xxhsum_and_of_the_file() {
        // What xxhsum prints for an empty file.
        assert_eq!(checksum(b""), "99aa06d3014798d86001c324468d497f");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..3_000_001u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(checksum_of_file(&path).unwrap(), (3_000_001, checksum(&bytes)));
        assert!(checksum_of_file(dir.path()).is_err());
    }
}
