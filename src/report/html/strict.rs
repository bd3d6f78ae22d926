use super::escape::Escaped;
use super::number;
use crate::metric::{Metric, mean_and_sd};
use crate::report::models::Models;
use crate::report::scores_json::StrictScores;
use crate::report::tree::{Cell, Run};
use std::collections::BTreeMap;

/// The scores on pairs that training cannot have shown, R2 of the model beside
/// the naive predictor's, one table a model.
pub(super) fn section(models: &Models) -> String {
    let mut out = String::new();
    for model in models.main() {
        let run = model.run;
        if !run.cells.values().flat_map(|c| c.values()).any(|cell| cell.strict.is_some()) {
            continue;
        }
        let naive = models.naive_of(model).map(|naive| naive.run);
        out.push_str(&format!("<h3>{}</h3>{}", Escaped(&model.label), head()));
        for (s, source) in run.sources.iter().enumerate() {
            for (t, target) in run.targets.iter().enumerate() {
                let class = if t == 0 { " class=\"first\"" } else { "" };
                out.push_str(&format!(
                    "<tr{class}><th scope=\"row\">{} → {}</th>",
                    Escaped(source),
                    Escaped(target)
                ));
                for part in 0..StrictScores::default().parts().len() {
                    let own = values(run, (s, t), part);
                    let other = naive.and_then(|n| Some(values(n, n.place(source, target)?, part)));
                    out.push_str(&cells(&own, other.as_ref()));
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
         on pairs whose sample is not, whose drug is not, and of which neither is. R² over the part, mean \
         over the splits that model and naive both have; <b>bold</b> is the better of model and naive; – marks what the run did not count, or a part with too few pairs to score.</p>{out}"
    )
}

/// The start of a table: the parts, and three columns of each.
fn head() -> String {
    let parts = StrictScores::default().parts();
    let names: String = parts.iter().map(|(_, name, _)| format!("<th colspan=\"3\">{name}</th>")).collect();
    let columns = "<th class=\"n edge\">pairs</th><th class=\"n\">model</th><th class=\"n\">naive</th>"
        .repeat(parts.len());
    format!(
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"plain dense\"><thead><tr><td></td>{names}</tr>\
         <tr><th>source → target</th>{columns}</tr></thead><tbody>"
    )
}

/// Pairs of a part, where known, and its R2, by split.
type Values = BTreeMap<u32, (Option<u64>, f64)>;

fn cells(own: &Values, other: Option<&Values>) -> String {
    let (model, naive) = on_common_splits(own, other);
    let pairs: Vec<f64> = own.values().filter_map(|(n, _)| n.map(|n| n as f64)).collect();
    let pairs = if pairs.is_empty() { "–".into() } else { number::count(mean(&pairs).round() as u64) };
    let bold = |value: f64, better: bool| {
        let text = number::fixed(value, 3);
        if better { format!("<b>{text}</b>") } else { text }
    };
    let lost = naive.is_finite() && (model.is_nan() || model < naive);
    format!(
        "<td class=\"n edge\">{pairs}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>",
        bold(model, model > naive),
        bold(naive, lost)
    )
}

/// Mean R2 of model and naive over the splits on which the naive one has an
/// R2: a split that both lack one on had too few pairs, but one that only the
/// model lacks leaves its mean undefined.
fn on_common_splits(own: &Values, other: Option<&Values>) -> (f64, f64) {
    let Some(other) = other else {
        let finite: Vec<f64> = own.values().map(|v| v.1).filter(|v| v.is_finite()).collect();
        return (mean(&finite), f64::NAN);
    };
    let common = own.iter().filter_map(|(split, (_, model))| Some((*model, other.get(split)?.1)));
    let (model, naive): (Vec<f64>, Vec<f64>) = common.filter(|(_, naive)| naive.is_finite()).unzip();
    (mean(&model), mean(&naive))
}

fn mean(values: &[f64]) -> f64 {
    mean_and_sd(values).0
}

/// Part 0 is all pairs, scored in `test_scores.json`.
fn values(run: &Run, at: (usize, usize), part: usize) -> Values {
    let value = |cell: &Cell| {
        let subset = cell.strict.as_ref().and_then(|strict| strict.parts()[part].2);
        let scores = if part == 0 { cell.scores } else { subset.map(|subset| subset.scores) };
        Some((subset.map(|subset| subset.n), Metric::R2.of(&scores?)))
    };
    let cells = run.cells.get(&at).into_iter().flatten();
    cells.filter_map(|(split, cell)| Some((*split, value(cell)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_and_naive_are_compared_on_the_splits_that_both_have() {
        let of =
            |values: &[(u32, f64)]| values.iter().map(|&(k, r2)| (k, (Some(10), r2))).collect::<Values>();
        let own = of(&[(0, 0.5), (1, 0.25), (2, f64::NAN)]);
        assert_eq!(on_common_splits(&own, Some(&of(&[(0, 0.25), (2, f64::NAN)]))), (0.5, 0.25));
        assert_eq!(on_common_splits(&own, None).0, 0.375);
        let drawn = cells(&own, Some(&of(&[(0, 0.25), (2, 0.75)])));
        assert!(drawn.contains("<td class=\"n\">–</td><td class=\"n\"><b>0.500</b></td>"), "{drawn}");
    }
}
