use crate::report::html::escape::Escaped;

/// Size of a picture in units of its own.
pub(super) const WIDTH: f64 = 420.0;
/// See [`WIDTH`].
pub(super) const HEIGHT: f64 = 330.0;

/// Room for the names of the axes.
const EDGE: f64 = 16.0;

/// Where a coordinate lies in a picture. Both axes have one scale, so that
/// distances can be compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    middle: [f64; 2],
    scale: f64,
}

impl Frame {
    /// Holds all but the outermost five in a thousand of `points` at either
    /// end of each axis; those lie on the edge. Coordinates are finite.
    pub fn around(points: impl Iterator<Item = [f64; 2]> + Clone) -> Self {
        let range = |axis: usize| {
            let mut values: Vec<f64> = points.clone().map(|p| p[axis]).collect();
            values.sort_unstable_by(f64::total_cmp);
            let cut = values.len() / 200;
            match (values.get(cut), values.len().checked_sub(1 + cut).and_then(|end| values.get(end))) {
                (Some(&low), Some(&high)) => (low, high),
                _ => (0.0, 0.0),
            }
        };
        let ranges = [range(0), range(1)];
        // Halves first: the sum of two large coordinates may have no f64.
        let middle = ranges.map(|(low, high)| low / 2.0 + high / 2.0);
        let room = [WIDTH - 2.0 * EDGE, HEIGHT - 2.0 * EDGE];
        let fits = |axis: usize| room[axis] / 2.0 / ((ranges[axis].1 / 2.0 - ranges[axis].0 / 2.0) * 1.06);
        let scale = fits(0).min(fits(1));
        Self { middle, scale: if scale.is_finite() { scale } else { 1.0 } }
    }

    /// The place of a coordinate, inside the picture.
    pub fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let at = |value: f64, middle: f64| {
            let offset = (value - middle) * self.scale;
            if offset.is_nan() { 0.0 } else { offset }
        };
        [
            (WIDTH / 2.0 + at(x, self.middle[0])).clamp(EDGE, WIDTH - EDGE),
            (HEIGHT / 2.0 - at(y, self.middle[1])).clamp(EDGE, HEIGHT - EDGE),
        ]
    }

    /// The frame and the names of the axes, across and up.
    pub fn draw(&self, [across, up]: &[String; 2]) -> String {
        let mut out = format!("<path class=\"rule\" d=\"M.5 .5H{0}V{1}H.5z\"/>", WIDTH - 0.5, HEIGHT - 0.5);
        if !across.is_empty() {
            let (x, y) = (WIDTH / 2.0, HEIGHT - 4.0);
            out.push_str(&format!(
                "<text class=\"tick\" x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
                Escaped(across)
            ));
        }
        if !up.is_empty() {
            let y = HEIGHT / 2.0;
            out.push_str(&format!(
                "<text class=\"tick\" x=\"10\" y=\"{y}\" text-anchor=\"middle\" transform=\"rotate(-90 10 {y})\">{}</text>",
                Escaped(up)
            ));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_axes_have_one_scale_and_nothing_leaves_the_picture() {
        let mut points: Vec<[f64; 2]> = (0..=400).map(|i| [i as f64, (i % 5) as f64]).collect();
        let frame = Frame::around(points.iter().copied());
        let [a, b] = [frame.place([0.0, 0.0]), frame.place([10.0, 10.0])];
        assert!((b[0] - a[0] - (a[1] - b[1])).abs() < 1e-9 && b[0] > a[0]);
        points.push([1e12, -1e12]);
        assert!((Frame::around(points.iter().copied()).scale / frame.scale - 1.0).abs() < 0.05);
        assert_eq!(frame.place([1e300, -1e300]), [WIDTH - EDGE, HEIGHT - EDGE]);
    }

    #[test]
    fn hostile_coordinates_have_a_place() {
        for points in [
            vec![],
            vec![[3.0, 3.0]; 4],
            vec![[f64::MAX, -f64::MAX], [-f64::MAX, f64::MAX]],
            vec![[5e-324, 0.0], [0.0, 0.0]],
        ] {
            let frame = Frame::around(points.iter().copied());
            for point in points {
                let [x, y] = frame.place(point);
                assert!((0.0..=WIDTH).contains(&x) && (0.0..=HEIGHT).contains(&y), "{point:?} at {x}, {y}");
            }
        }
    }
}
