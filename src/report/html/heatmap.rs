use super::colour::Scale;
use super::escape::{Escaped, id};
use super::number;

/// What a cell shows.
pub(super) struct HeatCell {
    /// Value that is coloured and printed; NaN for a gap.
    pub value: f64,
    /// Spread printed below it, NaN for none.
    pub spread: f64,
    /// Whether the cell carries the mark of a lost comparison.
    pub behind: bool,
}

impl HeatCell {
    /// A value alone.
    pub fn plain(value: f64) -> Self {
        Self { value, spread: f64::NAN, behind: false }
    }
}

/// A matrix of sources by targets drawn as a table with coloured cells, so that
/// it can be read aloud, copied and printed.
pub(super) struct Heatmap<'a> {
    /// Caption; markup is kept as it is.
    pub caption: String,
    /// Start of every cell's id: `<prefix>-<source>-<target>`.
    pub prefix: String,
    /// Rows.
    pub sources: &'a [String],
    /// Columns.
    pub targets: &'a [String],
    /// Colours.
    pub scale: Scale,
    /// Whether values get a plus sign.
    pub signed: bool,
    /// Decimals printed.
    pub decimals: usize,
    /// Whether it is drawn small.
    pub small: bool,
}

impl Heatmap<'_> {
    /// The table, with `cell(source, target)` in its cells.
    pub fn draw(&self, cell: impl Fn(usize, usize) -> HeatCell) -> String {
        let class = if self.small { "matrix small" } else { "matrix" };
        let mut out = format!("<figure class=\"{class}\"><figcaption>{}</figcaption>", self.caption);
        out.push_str("<div class=\"scroll\"><table class=\"heat\"><thead><tr><td class=\"corner\">source ↓ target →</td>");
        for target in self.targets {
            out.push_str(&format!("<th scope=\"col\">{}</th>", Escaped(target)));
        }
        out.push_str("</tr></thead><tbody>");
        for (s, source) in self.sources.iter().enumerate() {
            out.push_str(&format!("<tr><th scope=\"row\">{}</th>", Escaped(source)));
            for (t, target) in self.targets.iter().enumerate() {
                out.push_str(&self.cell(source, target, &cell(s, t)));
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table></div></figure>");
        out
    }

    fn cell(&self, source: &str, target: &str, cell: &HeatCell) -> String {
        let at = format!(
            "id=\"{}\" data-src=\"{}\" data-trg=\"{}\"",
            id(&format!("{}-{source}-{target}", self.prefix)),
            Escaped(source),
            Escaped(target)
        );
        if cell.value.is_nan() {
            return format!("<td {at} class=\"gap\" title=\"not scored\">–</td>");
        }
        let own = if source == target { " own" } else { "" };
        let behind = if cell.behind { " behind" } else { "" };
        let shade = self.scale.shade(cell.value);
        let text = if self.signed { number::signed } else { number::fixed }(cell.value, self.decimals);
        let spread = if cell.spread.is_nan() {
            String::new()
        } else {
            format!("<small>± {}</small>", number::fixed(cell.spread, self.decimals))
        };
        format!(
            "<td {at} data-value=\"{}\" class=\"value{own}{behind}\" style=\"background:{};color:{}\">{text}{spread}</td>",
            cell.value, shade.background, shade.ink
        )
    }
}

/// A colour bar with the values at its ends, and at zero if that lies between.
pub(super) fn legend(scale: Scale, text: &str) -> String {
    let zero = -scale.low / (scale.high - scale.low);
    let zero = if zero > 0.02 && zero < 0.98 {
        format!("<i style=\"left:{:.1}%\">0</i>", zero * 100.0)
    } else {
        String::new()
    };
    format!(
        "<p class=\"legend\"><span class=\"bar\" style=\"background:{}\"><i style=\"left:0\">{}</i>{zero}\
         <i style=\"left:100%\">{}</i></span><span>{text}</span></p>",
        scale.gradient(),
        number::short(scale.low),
        number::short(scale.high)
    )
}
