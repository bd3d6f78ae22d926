/// Mean and sample standard deviation (n - 1); NaN of no values, and a
/// standard deviation of NaN for fewer than two.
pub fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, if values.len() < 2 { f64::NAN } else { (squares / (n - 1.0)).sqrt() })
}

#[cfg(test)]
mod tests {
    use super::mean_and_sd;

    #[test]
    fn the_spread_of_one_split_is_not_a_number() {
        assert_eq!(mean_and_sd(&[0.5, 0.75, 1.0]), (0.75, 0.25));
        assert!(mean_and_sd(&[0.5]).1.is_nan());
        assert!(mean_and_sd(&[]).0.is_nan());
    }
}
