/// The smallest of 1, 2 and 5 times a power of ten that cuts `span`, which is
/// above zero, into at most `parts`.
pub(super) fn step(span: f64, parts: f64) -> f64 {
    let rough = span / parts;
    let unit = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|m| m * unit).find(|s| *s >= rough).unwrap_or(10.0 * unit)
}

/// Multiples of the [`step`] that lie within a range, five at most.
pub(crate) fn linear(low: f64, high: f64) -> Vec<f64> {
    let step = step(high - low, 4.0);
    let first = (low / step).ceil();
    (0..5).map(|i| (first + i as f64) * step).take_while(|v| *v <= high).collect()
}

/// The first epoch and round ones after it up to `last`, six at most.
pub(super) fn epochs(last: u32) -> Vec<u32> {
    let step = step(f64::from(last.max(1)), 4.0).max(1.0);
    let round = (1..=5).map(|i| i as f64 * step).filter(|t| *t > 0.3 * step + 1.0 && *t <= f64::from(last));
    std::iter::once(1).chain(round.map(|t| t as u32)).collect()
}

/// Round values within a range above zero whose ends are at most some forty
/// decades apart, eight at most and never none: powers of ten, and digits
/// between where those are too few.
pub(crate) fn logarithmic(low: f64, high: f64) -> Vec<f64> {
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let of = |digits: &[f64]| {
        let all = decades.clone().flat_map(|d| digits.iter().map(move |m| m * 10f64.powi(d)));
        all.filter(|v| (low..=high).contains(v)).collect::<Vec<f64>>()
    };
    let thinned = |ticks: Vec<f64>| {
        let step = ticks.len().div_ceil(6).max(1);
        ticks.into_iter().step_by(step).collect::<Vec<f64>>()
    };
    let powers = of(&[1.0]);
    if powers.len() > 6 {
        return thinned(powers);
    }
    let choices: [&[f64]; 4] = [&[1.0], &[1.0, 3.0], &[1.0, 2.0, 5.0], &[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0]];
    choices.into_iter().map(of).find(|ticks| (3..=6).contains(&ticks.len())).unwrap_or_else(|| {
        let fine: Vec<f64> = (100..1000).step_by(5).map(|m| m as f64 / 100.0).collect();
        let ticks = thinned(of(&fine));
        if ticks.is_empty() { vec![low] } else { ticks }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_axis_has_a_few_round_ticks_inside_it() {
        for (low, high) in
            [(0.01, 0.012), (0.004, 0.2), (1e-6, 1e3), (0.5, 0.525), (1e270, 1e300), (0.100001, 0.100002)]
        {
            let ticks = logarithmic(low, high);
            assert!((1..=8).contains(&ticks.len()), "{ticks:?} for {low} to {high}");
            assert!(ticks.iter().all(|t| (low..=high).contains(t)), "{ticks:?} for {low} to {high}");
        }
    }

    #[test]
    fn epochs_are_ticked_at_round_numbers() {
        assert_eq!(epochs(100), [1, 50, 100]);
        assert_eq!(epochs(4), [1, 2, 3, 4]);
        assert_eq!(epochs(37), [1, 10, 20, 30]);
        for last in [1, 2, 3, 7, 1_000_000, u32::MAX] {
            let ticks = epochs(last);
            assert!(ticks.len() <= 6 && ticks.iter().all(|t| *t <= last), "{ticks:?} of {last}");
        }
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(linear(-0.01, 1.17), [0.0, 0.5, 1.0]);
        assert_eq!(linear(-3.0, 9.0), [0.0, 5.0]);
    }
}
