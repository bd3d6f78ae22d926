use super::escape::Escaped;
use super::number;
use super::samples::Samples;
use crate::report::generalization::mean_and_sd;
use crate::report::metric_kind::MetricKind;
use crate::report::models::Models;
use crate::report::tree::{Cell, Run};

/// The scores on pairs that training cannot have shown, R2 of the model beside
/// the naive predictor's, one table a model.
pub(super) fn section(models: &Models, samples: &Samples) -> String {
    let mut out = String::new();
    for (m, model) in models.all.iter().enumerate().filter(|(_, m)| !m.baseline) {
        let run = model.run;
        if !run.cells.values().flat_map(|c| c.values()).any(|cell| cell.strict.is_some()) {
            continue;
        }
        let naive = models.naive_of(model).map(|naive| naive.run);
        out.push_str(&format!("<h3>{}</h3>{}", Escaped(&model.label), HEAD));
        for (s, source) in run.sources.iter().enumerate() {
            for (t, target) in run.targets.iter().enumerate() {
                let rows = samples.of.get(&(m, s, t)).map(|(_, sample)| sample.rows);
                let class = if t == 0 { " class=\"first\"" } else { "" };
                out.push_str(&format!(
                    "<tr{class}><th scope=\"row\">{} → {}</th>",
                    Escaped(source),
                    Escaped(target)
                ));
                for part in 0..5 {
                    let own = part_of(run, (s, t), part);
                    let other = naive.and_then(|n| part_of(n, n.place(source, target)?, part));
                    let pairs = if part == 0 { rows.map(|n| n as f64) } else { own.map(|p| p.0) };
                    out.push_str(&cells(pairs, own.map(|p| p.1), other.map(|p| p.1)));
                }
                out.push_str("</tr>");
            }
        }
        out.push_str("</tbody></table></div>");
    }
    if out.is_empty() {
        return out;
    }
    format!(
        "<p>A target shares drugs and samples with the source, and a model may score well by remembering them. \
         Here the same predictions are scored on pairs (drug, sample) that are not in the source's training rows, \
         on pairs whose sample is not, whose drug is not, and of which neither is. R² over the part, mean of \
         splits; <b>bold</b> is the better of model and naive; – marks a part with too few pairs to score.</p>{out}"
    )
}

const HEAD: &str = "<div class=\"scroll\"><table class=\"plain dense\"><thead><tr><td></td>\
    <th colspan=\"3\">all pairs</th><th colspan=\"3\">unseen pairs</th><th colspan=\"3\">unseen samples</th>\
    <th colspan=\"3\">unseen drugs</th><th colspan=\"3\">neither seen</th></tr><tr><th>source → target</th>\
    <th class=\"n edge\">pairs</th><th class=\"n\">model</th><th class=\"n\">naive</th>\
    <th class=\"n edge\">pairs</th><th class=\"n\">model</th><th class=\"n\">naive</th>\
    <th class=\"n edge\">pairs</th><th class=\"n\">model</th><th class=\"n\">naive</th>\
    <th class=\"n edge\">pairs</th><th class=\"n\">model</th><th class=\"n\">naive</th>\
    <th class=\"n edge\">pairs</th><th class=\"n\">model</th><th class=\"n\">naive</th></tr></thead><tbody>";

fn cells(pairs: Option<f64>, model: Option<f64>, naive: Option<f64>) -> String {
    let (model, naive) = (model.unwrap_or(f64::NAN), naive.unwrap_or(f64::NAN));
    let bold = |value: f64, better: bool| {
        let text = number::fixed(value, 3);
        if better { format!("<b>{text}</b>") } else { text }
    };
    format!(
        "<td class=\"n edge\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>",
        pairs.map_or_else(|| "–".into(), |n| number::count(n.round() as u64)),
        bold(model, model > naive),
        bold(naive, naive > model)
    )
}

/// Mean number of pairs and mean R2 over splits of a part: 0 is all pairs.
fn part_of(run: &Run, at: (usize, usize), part: usize) -> Option<(f64, f64)> {
    let value = |cell: &Cell| match part {
        0 => Some((f64::NAN, MetricKind::R2.of(cell.scores.as_ref()?))),
        _ => {
            let subset = cell.strict.as_ref()?.parts()[part - 1].2?;
            Some((subset.n as f64, MetricKind::R2.of(&subset.scores)))
        }
    };
    let values: Vec<(f64, f64)> = run.cells.get(&at)?.values().filter_map(value).collect();
    let scores: Vec<f64> = values.iter().map(|v| v.1).filter(|v| v.is_finite()).collect();
    let pairs: Vec<f64> = values.iter().map(|v| v.0).collect();
    (!values.is_empty()).then(|| (mean_and_sd(&pairs).0, mean_and_sd(&scores).0))
}
