use super::colour::Scale;
use super::escape::Escaped;
use super::number;
use crate::metric::PairedTest;

/// More targets than this get smaller cells.
const MANY: usize = 10;

/// What a cell shows.
pub(super) struct HeatCell {
    /// Value that is coloured and printed; NaN for a gap: not scored, or, with
    /// the mark, not defined.
    pub value: f64,
    /// Spread printed below it, NaN for none.
    pub spread: f64,
    /// Whether the cell carries the mark of a lost comparison.
    pub behind: bool,
    /// Splits above zero and all of them, printed with the spread.
    pub splits: Option<(usize, usize)>,
    /// The test of the value, and whether it is marked as significant.
    pub test: Option<(PairedTest, bool)>,
    /// A name printed below the value.
    pub note: Option<String>,
}

impl HeatCell {
    /// A value alone.
    pub fn plain(value: f64) -> Self {
        Self { value, spread: f64::NAN, behind: false, splits: None, test: None, note: None }
    }
}

/// A matrix of sources by targets drawn as a table with coloured cells, so that
/// it can be read aloud, copied and printed.
pub(super) struct Heatmap<'a> {
    /// Caption; markup is kept as it is.
    pub caption: String,
    /// Start of every cell's id: `<prefix>-<row>-<column>`, places from 0.
    pub prefix: String,
    /// Rows.
    pub sources: &'a [String],
    /// Columns.
    pub targets: &'a [String],
    /// Columns beside the targets, a value a source each.
    pub aggregates: Vec<(&'static str, &'a [f64])>,
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
        let small = if self.small { " small" } else { "" };
        let many = if self.targets.len() > MANY { " many" } else { "" };
        let class = format!("matrix{small}{many}");
        let mut out = format!("<figure class=\"{class}\"><figcaption>{}</figcaption>", self.caption);
        out.push_str("<div class=\"scroll\" tabindex=\"0\"><table class=\"heat\"><thead><tr><td class=\"corner\">target →<br>source ↓</td>");
        for target in self.targets {
            out.push_str(&format!("<th scope=\"col\">{}</th>", Escaped(target)));
        }
        for (i, (name, _)) in self.aggregates.iter().enumerate() {
            let first = if i == 0 { " class=\"aggregate\"" } else { "" };
            out.push_str(&format!("<th scope=\"col\"{first}>{name}</th>"));
        }
        out.push_str("</tr></thead><tbody>");
        for (s, source) in self.sources.iter().enumerate() {
            out.push_str(&format!("<tr><th scope=\"row\">{}</th>", Escaped(source)));
            for (t, target) in self.targets.iter().enumerate() {
                out.push_str(&self.cell((s, t), source, target, &cell(s, t)));
            }
            for (i, (name, values)) in self.aggregates.iter().enumerate() {
                let first = if i == 0 { " aggregate" } else { "" };
                out.push_str(&self.aggregate(source, name, first, values[s]));
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table></div></figure>");
        out
    }

    fn aggregate(&self, source: &str, name: &str, first: &str, value: f64) -> String {
        let source = Escaped(source);
        if value.is_nan() {
            return format!("<td data-src=\"{source}\" class=\"gap{first}\" title=\"no {name}\">–</td>");
        }
        let shade = self.scale.shade(value);
        format!(
            "<td data-src=\"{source}\" data-value=\"{value}\" class=\"value{first}\" \
             style=\"background:{};color:{}\">{}</td>",
            shade.background,
            shade.ink,
            number::fixed(value, self.decimals)
        )
    }

    fn cell(&self, (s, t): (usize, usize), source: &str, target: &str, cell: &HeatCell) -> String {
        let at = format!(
            "id=\"{}-{s}-{t}\" data-src=\"{}\" data-trg=\"{}\"",
            self.prefix,
            Escaped(source),
            Escaped(target)
        );
        let behind = if cell.behind { " behind" } else { "" };
        if cell.value.is_nan() {
            let why = if cell.behind { "not defined" } else { "not scored" };
            return format!("<td {at} class=\"gap{behind}\" title=\"{why}\">–</td>");
        }
        let own = if source == target { " own" } else { "" };
        let shade = self.scale.shade(cell.value);
        let text = if self.signed { number::signed } else { number::fixed }(cell.value, self.decimals);
        let mut spread = String::new();
        if !cell.spread.is_nan() {
            spread.push_str(&format!("<small>± {}</small>", number::fixed(cell.spread, self.decimals)));
        }
        if let Some((above, of)) = cell.splits {
            spread.push_str(&format!("<small>{above}/{of}</small>"));
        }
        if let Some(note) = &cell.note {
            spread.push_str(&format!("<small class=\"name\" title=\"{0}\">{0}</small>", Escaped(note)));
        }
        let (mut star, mut title) = ("", String::new());
        if let Some((test, significant)) = &cell.test {
            star = if *significant { "<b>*</b>" } else { "" };
            let (corrected, plain) = (number::short(test.p_corrected), number::short(test.p));
            title = format!(" title=\"p {corrected} corrected for overlapping splits, {plain} plain\"");
        }
        format!(
            "<td {at} data-value=\"{}\" class=\"value{own}{behind}\"{title} style=\"background:{};color:{}\">{text}{star}{spread}</td>",
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
