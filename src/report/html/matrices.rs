use super::colour::Scale;
use super::escape::{Escaped, id};
use super::heatmap::{HeatCell, Heatmap, legend};
use crate::report::generalization::Generalization;
use crate::report::metric_kind::MetricKind;
use crate::report::models::{Model, Models};
use crate::report::verdict::Verdict;

/// Differences beyond this have the full colour.
const REACH: f64 = 0.3;

/// The R2 matrices: each model, the naive predictor beside it, what the model
/// adds, and the best that is possible where that is known.
pub(super) fn r2(models: &Models) -> String {
    let mut out = String::from(
        "<p>Rows are the dataset trained on, columns the dataset scored. On the diagonal (framed) the test rows \
         of the same dataset are scored; elsewhere every pair of the target. Each cell is the mean over splits ± \
         the standard deviation.</p>",
    );
    out.push_str(&legend(
        Scale::SCORE,
        "R². 1 is perfect, 0 is no better than the target's mean. Colours end at −0.5; the number is the true \
         one. <span class=\"mark\">▾</span> does not beat the naive predictor",
    ));
    let mut drawn = Vec::new();
    for (i, model) in models.main().enumerate() {
        let prefix = if i == 0 { "cell-r2".into() } else { format!("cell-r2-{}", model.label) };
        let naive = models.naive_of(model);
        out.push_str("<div class=\"grid\">");
        out.push_str(&model_map(model, naive, &prefix));
        if let Some(naive) = naive {
            if !drawn.contains(&naive.label) {
                drawn.push(naive.label.clone());
                out.push_str(&model_map(naive, None, &format!("cell-r2-{}", naive.label)));
            }
            let against = format!("cell-difference-{}-{}", model.label, naive.label);
            out.push_str(&difference(model, naive, &against));
        }
        if let Some(first) = models.main().next().filter(|_| i > 0) {
            out.push_str(&difference(
                model,
                first,
                &format!("cell-difference-{}-{}", model.label, first.label),
            ));
        }
        if i == 0 {
            out.push_str(&best(model));
        }
        out.push_str("</div>");
    }
    for rival in models.all.iter().filter(|m| m.baseline && !drawn.contains(&m.label)) {
        out.push_str(&format!(
            "<div class=\"grid\">{}</div>",
            model_map(rival, models.naive_of(rival), &format!("cell-r2-{}", rival.label))
        ));
    }
    out
}

/// The matrices of the other metrics, smaller.
pub(super) fn others(models: &Models) -> String {
    let mut out = String::new();
    for metric in [MetricKind::Pcc, MetricKind::Scc, MetricKind::Rmse, MetricKind::Mse] {
        let tables: Vec<(&Model, Generalization)> =
            models.all.iter().map(|m| (m, Generalization::of(m.run, metric))).collect();
        let largest = tables.iter().flat_map(|(_, g)| g.mean.iter().copied()).filter(|v| v.is_finite());
        let largest = largest.fold(0.0f64, f64::max);
        let scale = if metric.is_error() { Scale::error(largest) } else { Scale::SCORE };
        out.push_str(&format!("<h3>{}</h3>", metric.title()));
        let better = if metric.is_error() { "Darker is a smaller error." } else { "Higher is better." };
        out.push_str(&legend(scale, better));
        out.push_str("<div class=\"grid\">");
        for (model, table) in &tables {
            let map = Heatmap {
                caption: format!("{}", Escaped(&model.label)),
                prefix: format!("cell-{}-{}", metric.name(), model.label),
                sources: &model.run.sources,
                targets: &model.run.targets,
                scale,
                signed: false,
                decimals: if metric == MetricKind::Mse { 4 } else { 3 },
                small: true,
            };
            out.push_str(&map.draw(|s, t| HeatCell {
                value: table.mean[(s, t)],
                spread: table.std[(s, t)],
                behind: false,
            }));
        }
        out.push_str("</div>");
    }
    out
}

fn model_map(model: &Model, naive: Option<&Model>, prefix: &str) -> String {
    let table = Generalization::of(model.run, MetricKind::R2);
    let verdict = naive.map(|naive| Verdict::of(model, naive));
    let (sources, targets) = (&model.run.sources, &model.run.targets);
    let map = Heatmap {
        caption: format!("R² of <b>{}</b>", Escaped(&model.label)),
        prefix: prefix.into(),
        sources,
        targets,
        scale: Scale::SCORE,
        signed: false,
        decimals: 3,
        small: false,
    };
    map.draw(|s, t| HeatCell {
        value: table.mean[(s, t)],
        spread: table.std[(s, t)],
        behind: verdict
            .as_ref()
            .is_some_and(|v| v.lost().any(|d| d.source == sources[s] && d.target == targets[t])),
    })
}

fn difference(model: &Model, other: &Model, prefix: &str) -> String {
    let duels = Verdict::of(model, other).duels;
    let (sources, targets) = (&model.run.sources, &model.run.targets);
    let map = Heatmap {
        caption: format!("<b>{}</b> minus {}", Escaped(&model.label), Escaped(&other.label)),
        prefix: id(prefix),
        sources,
        targets,
        scale: Scale::difference(REACH),
        signed: true,
        decimals: 3,
        small: false,
    };
    map.draw(|s, t| {
        let duel = duels.iter().find(|d| d.source == sources[s] && d.target == targets[t]);
        HeatCell::plain(duel.map_or(f64::NAN, |d| d.model - d.naive))
    })
}

fn best(model: &Model) -> String {
    let Some(truth) = &model.run.truth else { return String::new() };
    let (sources, targets) = (&model.run.sources, &model.run.targets);
    let map = Heatmap {
        caption: "R² of the <b>best possible</b> predictor (made-up corpus)".into(),
        prefix: "cell-best".into(),
        sources,
        targets,
        scale: Scale::SCORE,
        signed: false,
        decimals: 3,
        small: false,
    };
    map.draw(|s, t| HeatCell::plain(truth.best(&sources[s], &targets[t]).unwrap_or(f64::NAN)))
}
