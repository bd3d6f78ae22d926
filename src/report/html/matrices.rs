use super::colour::Scale;
use super::escape::Escaped;
use super::heatmap::{HeatCell, Heatmap, legend};
use super::rivals::difference;
use crate::metric::Metric;
use crate::report::generalization::Generalization;
use crate::report::models::{Model, Models};

/// Differences beyond this have the full colour.
pub(super) const REACH: f64 = 0.3;

/// The R2 matrices: the models, then the naive predictor and what each model
/// adds to it, each with its scores over those of the source, and the best that is
/// possible where that is known.
pub(super) fn r2(models: &Models) -> String {
    let mut out = String::from(
        "<p>Rows are the dataset trained on, columns the dataset scored: on the diagonal (framed) the test rows of the \
         same dataset, elsewhere every pair of the target.</p>",
    );
    out.push_str(&legend(
        Scale::SCORE,
        "R². 1 is perfect, 0 is no better than the target's mean. Colours end at −0.5; the number is the true \
         one. <span class=\"mark\">▾</span> does not beat the naive predictor",
    ));
    let (mut drawn, mut normalised) = (Vec::new(), String::new());
    let (mut main, mut beside) = (String::new(), String::new());
    let several = models.main().count() > 1;
    for (i, (m, model)) in models.all.iter().enumerate().filter(|(_, m)| !m.baseline).enumerate() {
        main.push_str(&model_map(model, m, &mut normalised));
        if let (Some(n), Some(verdict)) = (model.naive, &model.verdict) {
            let naive = &models.all[n];
            if !drawn.contains(&n) {
                drawn.push(n);
                beside.push_str(&model_map(naive, n, &mut normalised));
            }
            let caption = format!("<b>{}</b> minus {}", Escaped(&model.label), Escaped(&naive.label));
            let prefix = format!("cell-difference-{m}-{n}");
            beside.push_str(&difference(model, caption, prefix, |s, t| verdict.duel(s, t)));
        }
        if i == 0 {
            beside.push_str(&best(model));
        }
    }
    // Several models are seen side by side, and what each adds below them.
    let between = if several && !beside.is_empty() { "</div><div class=\"grid\">" } else { "" };
    out.push_str(&format!("<div class=\"grid\">{main}{between}{beside}</div>"));
    for (m, rival) in models.all.iter().enumerate().filter(|(m, r)| r.baseline && !drawn.contains(m)) {
        out.push_str(&format!("<div class=\"grid\">{}</div>", model_map(rival, m, &mut normalised)));
    }
    out.push_str(&format!(
        "<p>{} <b>Ga</b>: mean of a row without the source itself; <b>Gna</b>: the same of Gn.</p>",
        spread(models)
    ));
    out.push_str(&format!(
        "<details><summary>Gn: each cell over the source's score on itself</summary><p>It says little where that \
         score is near zero or below. <b>Gna</b> is the mean of a row of it without the source itself.</p>\
         <div class=\"grid\">{normalised}</div></details>"
    ));
    out
}

/// What the second number of a cell is.
fn spread(models: &Models) -> &'static str {
    if models.all.iter().all(|m| m.run.splits.len() == 1) {
        "Each cell is one split, so its spread is not known. Differences between models have their full colour at \
         ±0.3."
    } else {
        "Each cell is the mean over splits ± the standard deviation, and so is each difference between models, \
         taken split by split; <i>k/n</i> counts the splits on which it is above zero, one smaller than its \
         standard deviation is within the spread, and <b>*</b> marks p &lt; 0.05 in a paired t-test corrected for \
         overlapping splits. Differences have their full colour at ±0.3."
    }
}

/// The matrices of the other metrics, smaller.
pub(super) fn others(models: &Models) -> String {
    let mut out = String::new();
    for metric in [Metric::Pcc, Metric::Scc, Metric::Rmse, Metric::Mse] {
        let tables: Vec<(&Model, Generalization)> =
            models.all.iter().map(|m| (m, Generalization::of(m.run, metric))).collect();
        let largest = tables.iter().flat_map(|(_, g)| g.mean.iter().copied()).filter(|v| v.is_finite());
        let largest = largest.fold(0.0f64, f64::max);
        let scale = if metric.is_error() { Scale::error(largest) } else { Scale::SCORE };
        out.push_str(&format!("<h3>{}</h3>", metric.title()));
        let better = if metric.is_error() { "Darker is a smaller error." } else { "Higher is better." };
        out.push_str(&legend(scale, better));
        out.push_str("<div class=\"grid\">");
        for (m, (model, table)) in tables.iter().enumerate() {
            let map = Heatmap {
                caption: format!("{}", Escaped(&model.label)),
                prefix: format!("cell-{}-{m}", metric.name()),
                sources: &model.run.sources,
                targets: &model.run.targets,
                aggregates: Vec::new(),
                scale,
                signed: false,
                decimals: if metric == Metric::Mse { 4 } else { 3 },
                small: true,
            };
            out.push_str(
                &map.draw(|s, t| HeatCell {
                    spread: table.std[(s, t)],
                    ..HeatCell::plain(table.mean[(s, t)])
                }),
            );
        }
        out.push_str("</div>");
    }
    out
}

/// The R2 map of a model, whose place among all is `m`; its Gn map goes to `normalised`.
fn model_map(model: &Model, m: usize, normalised: &mut String) -> String {
    let table = Generalization::of(model.run, Metric::R2);
    let (sources, targets) = (&model.run.sources, &model.run.targets);
    let map = Heatmap {
        caption: format!("R² of <b>{}</b>", Escaped(&model.label)),
        prefix: format!("cell-r2-{m}"),
        sources,
        targets,
        aggregates: vec![("Ga", &table.aggregated), ("Gna", &table.normalised_aggregated)],
        scale: Scale::SCORE,
        signed: false,
        decimals: 3,
        small: false,
    };
    let lost = |s: usize, t: usize| {
        let verdict = model.verdict.as_ref();
        verdict.and_then(|v| v.duel(&sources[s], &targets[t])).is_some_and(|duel| !duel.won())
    };
    let drawn = map.draw(|s, t| HeatCell {
        spread: table.std[(s, t)],
        behind: lost(s, t),
        ..HeatCell::plain(table.mean[(s, t)])
    });
    let of_source = Heatmap {
        caption: format!("Gn of <b>{}</b>", Escaped(&model.label)),
        prefix: format!("cell-gn-{m}"),
        aggregates: Vec::new(),
        decimals: 2,
        small: true,
        ..map
    };
    normalised.push_str(&of_source.draw(|s, t| HeatCell::plain(table.normalised[(s, t)])));
    drawn
}

fn best(model: &Model) -> String {
    let Some(truth) = &model.run.truth else { return String::new() };
    let (sources, targets) = (&model.run.sources, &model.run.targets);
    let map = Heatmap {
        caption: "R² of a predictor that has learnt the source <b>without error</b>".into(),
        prefix: "cell-best".into(),
        sources,
        targets,
        aggregates: Vec::new(),
        scale: Scale::SCORE,
        signed: false,
        decimals: 3,
        small: false,
    };
    map.draw(|s, t| HeatCell::plain(truth.best(&sources[s], &targets[t]).unwrap_or(f64::NAN)))
}
