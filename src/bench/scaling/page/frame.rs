use crate::report::html::escape::Escaped;

/// The plot area of a chart, and its place in the drawing.
pub(super) struct Frame {
    pub width: f64,
    pub height: f64,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

impl Frame {
    /// For a chart as wide as the page.
    pub const WIDE: Frame =
        Frame { width: 760.0, height: 340.0, left: 58.0, right: 118.0, top: 18.0, bottom: 42.0 };

    /// The place of `part` of the way from left to right.
    pub fn x(&self, part: f64) -> f64 {
        self.left + (self.width - self.left - self.right) * part
    }

    /// The place of `part` of the way from bottom to top.
    pub fn y(&self, part: f64) -> f64 {
        self.top + (self.height - self.top - self.bottom) * (1.0 - part)
    }

    /// The start of a drawing that is about `what`.
    pub fn open(&self, what: &str) -> String {
        format!(
            "<svg class=\"chart wide\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
            self.width,
            self.height,
            Escaped(what)
        )
    }

    /// A line over the whole width, at `part` of the height, with its value.
    pub fn rule(&self, part: f64, value: &str) -> String {
        let at = self.y(part);
        format!(
            "<path class=\"rule\" d=\"M{} {at:.1}H{}\"/><text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            self.left,
            self.width - self.right,
            self.left - 6.0,
            at + 3.0
        )
    }

    /// A value below the plot, at `part` of the width.
    pub fn tick(&self, part: f64, value: &str) -> String {
        format!(
            "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{value}</text>",
            self.x(part),
            self.height - self.bottom + 15.0
        )
    }

    /// What the axes show: below the plot, and above its left edge.
    pub fn names(&self, across: &str, up: &str) -> String {
        format!(
            "<text class=\"axis\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{across}</text><text class=\"axis\" x=\"4\" y=\"10\">{up}</text>",
            self.x(0.5),
            self.height - 6.0
        )
    }

    /// Places of points, as an attribute has them.
    pub fn points(&self, parts: impl Iterator<Item = (f64, f64)>) -> String {
        let place = |(x, y): (f64, f64)| format!("{:.1},{:.1}", self.x(x), self.y(y));
        parts.map(place).collect::<Vec<_>>().join(" ")
    }
}

/// How far `value` is from `low` to `high`, by their logarithms.
pub(super) fn logarithmic(value: f64, low: f64, high: f64) -> f64 {
    ((value / low).ln() / (high / low).ln()).clamp(0.0, 1.0)
}
