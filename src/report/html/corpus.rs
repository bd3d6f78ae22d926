use super::escape::Escaped;
use super::number;
use super::samples::Samples;
use crate::report::models::Models;
use crate::store::{DatasetSummary, StoreSummary};

/// Bins of the small histograms.
const BINS: usize = 40;

/// What was trained and scored on: sizes, endpoint, overlaps, features.
pub(super) fn section(models: &Models, samples: &Samples) -> String {
    let Some((run, corpus)) = models.all.iter().find_map(|m| Some((m.run, m.run.corpus.as_ref()?))) else {
        return String::new();
    };
    let used = |d: &&DatasetSummary| run.sources.contains(&d.name) || run.targets.contains(&d.name);
    let datasets: Vec<&DatasetSummary> = corpus.datasets.iter().filter(used).collect();
    let predicted = samples.endpoint(models);
    let mut out = sizes(corpus, &datasets, predicted, |dataset| histogram(dataset, models, samples));
    out.push_str(&overlaps(corpus, &datasets));
    out.push_str(&features(corpus));
    out
}

fn sizes(
    corpus: &StoreSummary,
    datasets: &[&DatasetSummary],
    predicted: &str,
    plot: impl Fn(&str) -> Option<String>,
) -> String {
    let mut out = format!(
        "<p>The store holds {} drugs and {} samples.</p><div class=\"scroll\" tabindex=\"0\"><table class=\"plain\"><thead><tr>\
         <th>Dataset</th><th class=\"n\">drugs</th><th class=\"n\">samples</th><th class=\"n\">pairs</th>\
         <th>endpoint</th><th class=\"n\">measured</th><th class=\"n\">mean</th><th class=\"n\">spread (sd)</th>\
         <th>distribution</th></tr></thead><tbody>",
        number::count(corpus.drugs as u64),
        number::count(corpus.samples as u64)
    );
    for dataset in datasets {
        let of_interest = dataset.endpoints.iter().filter(|e| e.name == predicted || predicted.is_empty());
        for (i, endpoint) in of_interest.enumerate() {
            let lead = if i == 0 {
                format!(
                    "<th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>",
                    Escaped(&dataset.name),
                    number::count(dataset.drugs as u64),
                    number::count(dataset.samples as u64),
                    number::count(dataset.pairs as u64)
                )
            } else {
                "<td colspan=\"4\"></td>".into()
            };
            let plot = if endpoint.name == predicted { plot(&dataset.name) } else { None };
            let units = if endpoint.units.is_empty() || endpoint.units == "1" {
                String::new()
            } else {
                format!(" ({})", Escaped(&endpoint.units))
            };
            out.push_str(&format!(
                "<tr>{lead}<td>{}{units}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
                 <td>{}</td></tr>",
                Escaped(&endpoint.name),
                number::count(endpoint.measured as u64),
                number::fixed(if endpoint.measured > 0 { endpoint.mean } else { f64::NAN }, 3),
                number::fixed(if endpoint.measured > 1 { endpoint.sd } else { f64::NAN }, 3),
                plot.unwrap_or_default()
            ));
        }
    }
    out.push_str("</tbody></table></div>");
    out
}

/// The true values of a target, drawn small; a table of a whole dataset is
/// preferred to one of its test rows.
fn histogram(dataset: &str, models: &Models, samples: &Samples) -> Option<String> {
    let (low, high) = samples.range()?;
    let of = samples.of.iter().filter(|((m, _, t), _)| models.all[*m].run.targets[*t] == dataset);
    let (_, sample) = of.map(|(_, sample)| sample).max_by_key(|(_, sample)| sample.rows)?;
    let mut counts = [0u32; BINS];
    for &(truth, _) in &sample.points {
        let at = (truth as f64 - low) / (high - low) * BINS as f64;
        counts[(at.max(0.0) as usize).min(BINS - 1)] += 1;
    }
    let tallest = counts.iter().copied().max().filter(|&c| c > 0)? as f64;
    let bars: String = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(x, &count)| {
            let height = (count as f64 / tallest * 24.0).max(0.4);
            format!("M{} 24v-{height:.1}h3v{height:.1}z", x * 3)
        })
        .collect();
    let width = BINS * 3;
    Some(format!(
        "<svg class=\"spark\" viewBox=\"0 0 {width} 25\" role=\"img\" aria-label=\"Distribution in {}, {} to \
         {}\"><path d=\"{bars}\"/><path class=\"rule\" d=\"M0 24.5H{width}\"/></svg>",
        Escaped(dataset),
        number::short(low),
        number::short(high)
    ))
}

fn overlaps(corpus: &StoreSummary, datasets: &[&DatasetSummary]) -> String {
    if datasets.len() < 2 {
        return String::new();
    }
    let mut out = String::from(
        "<h3>Shared between datasets</h3><p>Above the diagonal: drugs in both. Below: samples in both. On it: \
         drugs, samples.</p><div class=\"scroll\" tabindex=\"0\"><table class=\"plain overlap\"><thead><tr><td></td>",
    );
    for dataset in datasets {
        out.push_str(&format!("<th class=\"n\" scope=\"col\">{}</th>", Escaped(&dataset.name)));
    }
    out.push_str("</tr></thead><tbody>");
    for (i, a) in datasets.iter().enumerate() {
        out.push_str(&format!("<tr><th scope=\"row\">{}</th>", Escaped(&a.name)));
        for (j, b) in datasets.iter().enumerate() {
            if i == j {
                let (drugs, samples) = (number::count(a.drugs as u64), number::count(a.samples as u64));
                out.push_str(&format!("<td class=\"n own\">{drugs}, {samples}</td>"));
                continue;
            }
            let shared = corpus
                .overlaps
                .iter()
                .find(|o| (o.a == a.name && o.b == b.name) || (o.a == b.name && o.b == a.name))
                .map(|o| if i < j { o.drugs } else { o.samples });
            let shared = shared.map_or_else(|| "–".into(), |n| number::count(n as u64));
            out.push_str(&format!("<td class=\"n\">{shared}</td>"));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    out
}

fn features(corpus: &StoreSummary) -> String {
    if corpus.features.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<h3>Feature tables in the store</h3><div class=\"scroll\" tabindex=\"0\"><table class=\"plain\"><thead><tr>\
         <th>Name</th><th>of</th><th class=\"n\">rows</th><th class=\"n\">columns</th></tr></thead><tbody>",
    );
    for feature in corpus.features.iter().map(|f| &f.info) {
        out.push_str(&format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            Escaped(&feature.name),
            feature.entity.plural(),
            number::count(feature.rows as u64),
            number::count(feature.columns as u64)
        ));
    }
    out.push_str("</tbody></table></div>");
    out
}
