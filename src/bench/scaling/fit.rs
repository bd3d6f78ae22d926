/// One measured time, and what of a link it took: `known + latencies * latency + bytes * per_byte`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// Seconds that are explained already.
    pub known: f64,
    /// Messages that followed one another.
    pub latencies: f64,
    /// Bytes that followed one another.
    pub bytes: f64,
    /// Seconds measured.
    pub seconds: f64,
}

/// Two positive numbers that explain measured times best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fit {
    /// Seconds a message.
    pub latency: f64,
    /// Seconds a byte.
    pub per_byte: f64,
    /// Root mean square of the logarithm of predicted over measured time.
    pub deviation: f64,
}

/// Deviations beyond this, in logarithms, count by their size only and not by its square (Huber 1964).
const ROBUST: f64 = 0.25;
const ROUNDS: usize = 200;

/// Fits a latency and an inverse bandwidth, both above zero, by least squares on the logarithms of
/// times, so that a microsecond of a small message counts as much as the part of a large one that it
/// is; outliers count less. Damped Gauss-Newton on the logarithms of both (Levenberg 1944,
/// Marquardt 1963). `None` where there are no two points that differ.
pub(super) fn fit(points: &[Point]) -> Option<Fit> {
    let left = |p: &Point| (p.seconds - p.known).max(0.05 * p.seconds);
    let latency = points.iter().map(|p| left(p) / p.latencies).reduce(f64::min)?;
    let per_byte = points.iter().map(|p| left(p) / p.bytes).reduce(f64::min)?;
    let few = points.iter().map(|p| p.bytes / p.latencies).fold(f64::INFINITY, f64::min);
    let many = points.iter().map(|p| p.bytes / p.latencies).fold(0.0, f64::max);
    if few >= many || !(latency > 0.0 && per_byte > 0.0) {
        return None;
    }
    let mut at = [latency.ln(), per_byte.ln()];
    let (mut damping, mut best) = (1e-3, loss(points, at));
    for _ in 0..ROUNDS {
        let step = step(points, at, damping);
        let next = [at[0] + step[0], at[1] + step[1]];
        let reached = loss(points, next);
        if reached < best {
            let done = best - reached < 1e-12 * (1.0 + best);
            (at, best, damping) = (next, reached, damping * 0.3);
            if done {
                break;
            }
        } else if damping > 1e9 {
            break;
        } else {
            damping *= 10.0;
        }
    }
    let squares = points.iter().map(|p| deviation(p, at).powi(2)).sum::<f64>();
    let deviation = (squares / points.len() as f64).sqrt();
    Some(Fit { latency: at[0].exp(), per_byte: at[1].exp(), deviation })
}

fn predicted(p: &Point, at: [f64; 2]) -> f64 {
    p.known + p.latencies * at[0].exp() + p.bytes * at[1].exp()
}

fn deviation(p: &Point, at: [f64; 2]) -> f64 {
    (predicted(p, at) / p.seconds).ln()
}

/// Huber's.
fn loss(points: &[Point], at: [f64; 2]) -> f64 {
    let of = |p: &Point| {
        let size = deviation(p, at).abs();
        if size <= ROBUST { 0.5 * size * size } else { ROBUST * (size - 0.5 * ROBUST) }
    };
    points.iter().map(of).sum()
}

/// The damped step from `at`.
fn step(points: &[Point], at: [f64; 2], damping: f64) -> [f64; 2] {
    let (mut a, mut b, mut d, mut right) = (0.0, 0.0, 0.0, [0.0; 2]);
    for p in points {
        let whole = predicted(p, at);
        let slope = [p.latencies * at[0].exp() / whole, p.bytes * at[1].exp() / whole];
        let off = (whole / p.seconds).ln();
        let weight = if off.abs() <= ROBUST { 1.0 } else { ROBUST / off.abs() };
        a += weight * slope[0] * slope[0];
        b += weight * slope[0] * slope[1];
        d += weight * slope[1] * slope[1];
        (0..2).for_each(|i| right[i] -= weight * slope[i] * off);
    }
    let floor = damping * (a + d + 1e-12);
    let (a, d) = (a + floor, d + floor);
    let determinant = a * d - b * b;
    let solved = [(d * right[0] - b * right[1]) / determinant, (a * right[1] - b * right[0]) / determinant];
    // No further than a factor of e at a time.
    solved.map(|part| if part.is_finite() { part.clamp(-1.0, 1.0) } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(latency: f64, per_byte: f64, noise: impl Fn(usize) -> f64) -> Vec<Point> {
        let sizes = (0..10).map(|power| 1024.0 * 4f64.powi(power));
        let all = sizes.flat_map(|bytes| [1.0, 2.0, 3.0].map(|levels| (levels, bytes)));
        let of = |(number, (levels, bytes)): (usize, (f64, f64))| {
            let (latencies, bytes) = (2.0 * levels, bytes * (1.0 - 0.5f64.powf(levels)));
            let seconds = (latencies * latency + bytes * per_byte) * noise(number);
            Point { known: 0.0, latencies, bytes, seconds }
        };
        all.enumerate().map(of).collect()
    }

    proptest! {
        #[test]
        fn known_parameters_are_found_in_noise(
            latency in 1e-7f64..1e-3,
            rate in 1e8f64..1e11,
            noise in prop::collection::vec(-0.1f64..0.1, 30),
        ) {
            // Of a link whose latency is not lost beside what 1 KiB takes, nor the reverse at 256 MiB.
            prop_assume!((4e3..1e7).contains(&(latency * rate)));
            let points = points(latency, 1.0 / rate, |at| 1.0 + noise[at]);
            let fit = fit(&points).unwrap();
            prop_assert!((fit.latency / latency).ln().abs() < 0.2, "{fit:?}");
            prop_assert!((fit.per_byte * rate).ln().abs() < 0.2, "{fit:?}");
            prop_assert!(fit.deviation < 0.11);
        }
    }

    #[test]
    fn a_few_times_that_are_far_off_move_little() {
        let clean = fit(&points(2e-6, 1e-9, |_| 1.0)).unwrap();
        assert!((clean.latency / 2e-6 - 1.0).abs() < 1e-4 && clean.deviation < 1e-4, "{clean:?}");
        let spoilt = fit(&points(2e-6, 1e-9, |at| if at % 10 == 7 { 30.0 } else { 1.0 })).unwrap();
        assert!((spoilt.latency / 2e-6).ln().abs() < 0.2, "{spoilt:?}");
        assert!((spoilt.per_byte / 1e-9).ln().abs() < 0.2, "{spoilt:?}");
    }

    #[test]
    fn what_is_known_is_not_explained_twice() {
        let mut points = points(2e-6, 1e-9, |_| 1.0);
        for p in &mut points {
            p.known = 5e-6;
            p.seconds += 5e-6;
        }
        let fit = fit(&points).unwrap();
        assert!((fit.latency / 2e-6).ln().abs() < 1e-2, "{fit:?}");
    }

    #[test]
    fn one_size_tells_nothing() {
        let one = Point { known: 0.0, latencies: 2.0, bytes: 512.0, seconds: 1e-5 };
        assert_eq!(fit(&[one; 3]), None);
        assert_eq!(fit(&[]), None);
    }
}
