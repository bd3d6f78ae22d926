use super::paired_moments::PairedMoments;
use rayon::slice::ParallelSliceMut;

/// Spearman's correlation: Pearson's on ranks, equal values sharing the mean of theirs.
pub(super) fn spearman(a: &[f32], b: &[f32]) -> f64 {
    if a.iter().chain(b).any(|v| v.is_nan()) {
        return f64::NAN;
    }
    PairedMoments::of(&average_ranks(a), &average_ranks(b)).correlation()
}

/// Ranks from 0, `[n]`; values that compare equal (0 and -0 do) share the mean of their ranks.
fn average_ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.par_sort_unstable_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tied in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let shared = first as f64 + (tied.len() - 1) as f64 / 2.0;
        for &i in tied {
            ranks[i] = shared;
        }
        first += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::average_ranks;

    #[test]
    fn equal_values_share_the_mean_rank() {
        assert_eq!(average_ranks(&[3.0, -0.0, 7.0, 0.0, 3.0, 3.0]), [3.0, 0.5, 5.0, 0.5, 3.0, 3.0]);
    }
}
