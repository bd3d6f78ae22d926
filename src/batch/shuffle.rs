use crate::device::philox::{Stream, key, philox4x32_10};

/// Puts a lane's rows in the order of an epoch, by Fisher and Yates's shuffle
/// (Durstenfeld 1964). The order depends on seed, epoch, lane and length
/// alone. `order` is overwritten with a permutation of `0..order.len()`.
pub fn shuffle(order: &mut [u32], seed: u64, epoch: u32, lane: u32) {
    order.iter_mut().zip(0..).for_each(|(row, i)| *row = i);
    let key = key(seed);
    let mut words = [0; 4];
    for (draw, last) in (1..order.len()).rev().enumerate() {
        if draw % 4 == 0 {
            words = philox4x32_10(Stream::Shuffle.counter((draw / 4) as u32, epoch, lane, 0), key);
        }
        // The high word of the product favours no place by more than (last + 1) / 2^32.
        let other = (u64::from(words[draw % 4]) * (last as u64 + 1)) >> 32;
        order.swap(last, other as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_epoch_and_lane_has_a_permutation_of_its_own() {
        let order = |epoch, lane| {
            let mut order = vec![0; 1000];
            shuffle(&mut order, 1, epoch, lane);
            order
        };
        let mut sorted = order(0, 0);
        sorted.sort_unstable();
        assert!(sorted.iter().zip(0..).all(|(&a, b)| a == b));
        assert_eq!(order(0, 0), order(0, 0));
        assert_ne!(order(0, 0), order(1, 0));
        assert_ne!(order(0, 0), order(0, 1));
    }

    #[test]
    fn every_place_is_as_likely() {
        let mut counts = [[0u32; 5]; 5];
        for seed in 0..20_000 {
            let mut order = [0; 5];
            shuffle(&mut order, seed, 0, 0);
            order.iter().enumerate().for_each(|(place, &row)| counts[place][row as usize] += 1);
        }
        // Five standard errors of a binomial count of mean 4000.
        assert!(counts.iter().flatten().all(|&n| (f64::from(n) - 4000.0).abs() < 5.0 * 57.0), "{counts:?}");
    }
}
