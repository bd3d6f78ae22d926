use super::super::html::escape::Escaped;

/// Colours of `style.css`, after Okabe and Ito ("Color universal design",
/// 2008): told apart with every common form of colour blindness.
const COLOURS: usize = 8;

/// How a point of a group is drawn: a colour and a shape, so that many groups
/// can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    colour: usize,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Dot,
    Triangle,
    Ring,
    Cross,
    Diamond,
    Plus,
}

const SHAPES: [Shape; 6] =
    [Shape::Dot, Shape::Triangle, Shape::Ring, Shape::Cross, Shape::Diamond, Shape::Plus];

impl Mark {
    /// Groups that have a mark of their own.
    pub const MOST: usize = COLOURS * SHAPES.len();

    /// The mark of the group in place `i` by size; `None` for those beyond
    /// [`Mark::MOST`], which share one.
    pub fn of(i: usize) -> Option<Self> {
        Some(Self { colour: i % COLOURS, shape: *SHAPES.get(i / COLOURS)? })
    }

    /// Where to draw it: SVG path data centred on a point, `r` the radius.
    fn at(self, [x, y]: [f64; 2], r: f64) -> String {
        match self.shape {
            // A line without length and with round ends is a dot.
            Shape::Dot => format!("M{x:.1} {y:.1}h0"),
            Shape::Triangle => {
                let (a, b) = (1.2 * r, 1.1 * r);
                format!("M{x:.1} {:.1}l{b:.1} {:.1}h{:.1}z", y - a, 2.0 * r, -2.0 * b)
            }
            Shape::Ring => {
                let d = 2.0 * r;
                format!("M{:.1} {y:.1}a{r:.1} {r:.1} 0 1 0 {d:.1} 0a{r:.1} {r:.1} 0 1 0 {:.1} 0", x - r, -d)
            }
            Shape::Cross => {
                let (a, b) = (x - r, y - r);
                format!("M{a:.1} {b:.1}l{0:.1} {0:.1}m0 {1:.1}l{1:.1} {0:.1}", 2.0 * r, -2.0 * r)
            }
            Shape::Diamond => {
                let a = 1.3 * r;
                format!("M{x:.1} {:.1}l{a:.1} {a:.1}l{1:.1} {a:.1}l{1:.1} {1:.1}z", y - a, -a)
            }
            Shape::Plus => {
                let a = 1.2 * r;
                format!("M{:.1} {y:.1}h{d:.1}M{x:.1} {:.1}v{d:.1}", x - a, y - a, d = 2.0 * a)
            }
        }
    }

    fn class(self) -> String {
        let drawn = match self.shape {
            Shape::Dot => "dot",
            Shape::Triangle | Shape::Diamond => "solid",
            Shape::Ring | Shape::Cross | Shape::Plus => "open",
        };
        format!("k{} {drawn}", self.colour)
    }
}

/// The points of a group as one SVG path, with a name to point at; `None` is
/// the mark of the groups that share one, and of rows without a group.
pub(super) fn path(mark: Option<Mark>, points: impl Iterator<Item = [f64; 2]>, r: f64, name: &str) -> String {
    let shared = Mark { colour: 0, shape: Shape::Dot };
    let data: String = points.map(|point| mark.unwrap_or(shared).at(point, r)).collect();
    if data.is_empty() {
        return data;
    }
    let class = mark.map_or_else(|| "none dot".into(), Mark::class);
    let width = if class.ends_with("dot") { 2.0 * r } else { 0.55 * r };
    format!(
        "<path class=\"{class}\" stroke-width=\"{width:.2}\" d=\"{data}\"><title>{}</title></path>",
        Escaped(name)
    )
}

/// A mark by itself, for a legend or a table.
pub(super) fn sign(mark: Option<Mark>) -> String {
    let path = path(mark, std::iter::once([6.0, 6.0]), 3.6, "");
    format!(
        "<svg class=\"sign\" viewBox=\"0 0 12 12\" aria-hidden=\"true\">{}</svg>",
        path.replace("<title></title>", "")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn as_many_groups_as_said_differ_in_colour_or_shape() {
        let marks: HashSet<String> =
            (0..Mark::MOST).map(|i| path(Mark::of(i), std::iter::once([0.0, 0.0]), 2.0, "x")).collect();
        assert_eq!(marks.len(), Mark::MOST);
        assert!(Mark::MOST >= 37 && Mark::of(Mark::MOST).is_none());
    }

    #[test]
    fn a_group_is_one_path_with_its_name_escaped() {
        let drawn = path(Mark::of(0), [[1.0, 2.0], [3.0, 4.0]].into_iter(), 2.0, "<a>");
        assert_eq!(
            drawn,
            "<path class=\"k0 dot\" stroke-width=\"4.00\" d=\"M1.0 2.0h0M3.0 4.0h0\"><title>&lt;a&gt;</title></path>"
        );
        assert!(path(Mark::of(0), std::iter::empty(), 2.0, "a").is_empty());
    }
}
