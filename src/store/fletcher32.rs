//! Fletcher's checksum (IEEE Transactions on Communications 30, 1982) as HDF5's
//! filter takes it: over big-endian words of 16 bits, modulo 65,535.

/// Words that are summed side by side.
const LANES: usize = 16;
/// Rows of words until the sums of sums might leave 32 bits.
const ROWS: usize = 360;

/// The checksum of `bytes`.
pub(super) fn fletcher32(bytes: &[u8]) -> u32 {
    // The first sum adds up all words, the second what the first was after each
    // word. Of a run of n words, word i counts n - i times in the second.
    let (mut first, mut second) = (0u64, 0u64);
    let runs = bytes.chunks_exact(2 * LANES * ROWS);
    let rest = runs.remainder();
    let rows = rest.chunks_exact(2 * LANES);
    let words = rows.remainder();
    for run in runs.chain([&rest[..rest.len() - words.len()]]) {
        let (a, b) = sum_rows(run);
        let count = (run.len() / 2) as u64;
        let own = LANES as u64 * b.iter().map(|&b| u64::from(b)).sum::<u64>();
        let skew: u64 = (0..).zip(&a).map(|(lane, &a)| lane * u64::from(a)).sum();
        second = (second + count * first + own - skew) % 65_535;
        first = (first + a.iter().map(|&a| u64::from(a)).sum::<u64>()) % 65_535;
    }
    for word in words.chunks(2) {
        first += u64::from(u16::from_le_bytes([word[0], word.get(1).copied().unwrap_or(0)]));
        second += first;
    }
    // Sums of little-endian words so far: swapping a word's bytes is multiplying by
    // 256 modulo 65,535. HDF5 writes 65,535 for 0, but where every byte is 0.
    let zero = bytes.iter().all(|&b| b == 0);
    let folded = |sum: u64| match (sum % 65_535) * 256 % 65_535 {
        0 if !zero => 65_535,
        sum => sum as u32,
    };
    folded(second) << 16 | folded(first)
}

/// Of at most [`ROWS`] rows, a lane: the sum of its words, and the sum of that
/// after each row.
#[inline]
fn sum_rows(run: &[u8]) -> ([u32; LANES], [u32; LANES]) {
    let (mut a, mut b) = ([0u32; LANES], [0u32; LANES]);
    for row in run.chunks_exact(2 * LANES) {
        for lane in 0..LANES {
            a[lane] += u32::from(u16::from_le_bytes([row[2 * lane], row[2 * lane + 1]]));
            b[lane] += a[lane];
        }
    }
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Word by word, as `H5_checksum_fletcher32` of the HDF5 library does.
    fn plain(bytes: &[u8]) -> u32 {
        let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
        let (mut first, mut second) = (0u32, 0u32);
        for word in bytes.chunks(2) {
            first = fold(first + (u32::from(word[0]) << 8 | word.get(1).map_or(0, |&b| u32::from(b))));
            second = fold(second + first);
        }
        fold(second) << 16 | fold(first)
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_plain_way(
            bytes in prop::collection::vec(any::<u8>(), 0..40_000),
            fill in prop::sample::select(vec![0u8, 1, 0xff]),
            filled in 0..40_000usize,
        ) {
            prop_assert_eq!(fletcher32(&bytes), plain(&bytes));
            let filled = vec![fill; filled];
            prop_assert_eq!(fletcher32(&filled), plain(&filled));
        }
    }
}
