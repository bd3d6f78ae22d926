use super::escape::Escaped;
use super::number;
use crate::report::generalization::mean_and_sd;
use crate::report::metric_kind::MetricKind;
use crate::report::models::{Model, Models};
use crate::report::tree::Run;
use crate::report::verdict::{Duel, Verdict};

/// More lost cells than this are counted by source instead of named one by one.
const NAMED: usize = 16;

/// The answer: a sentence a model, then the models at a glance.
pub(super) fn section(models: &Models) -> String {
    let answers: String = models.main().map(|model| answer(models, model)).collect();
    format!("{answers}{}", glance(models))
}

fn answer(models: &Models, model: &Model) -> String {
    let label = Escaped(&model.label);
    let endpoint = match model.run.info.endpoint.as_str() {
        "" => String::new(),
        name => format!(" at predicting <b>{}</b>", Escaped(name)),
    };
    let splits = match model.run.splits.len() {
        1 => "on one split".to_string(),
        n => format!("in the mean of {n} splits"),
    };
    let Some(naive) = models.naive_of(model) else {
        return format!(
            "<p class=\"lead\"><b>{label}</b>{endpoint}: no naive predictor was scored beside it, so the \
             numbers below stand alone.</p>"
        );
    };
    let verdict = Verdict::of(model, naive);
    let ((within, of_within), (across, of_across)) = (verdict.tally(true), verdict.tally(false));
    let mut parts = Vec::new();
    if of_within > 0 {
        parts.push(format!(
            "on <b>{within} of {of_within}</b> datasets when it is scored where it was trained"
        ));
    }
    if of_across > 0 {
        parts.push(format!("on <b>{across} of {of_across}</b> transfers to another dataset"));
    }
    let (naive_label, parts) = (Escaped(&naive.label), parts.join(" and "));
    let mut text = format!(
        "<p class=\"lead\"><b>{label}</b>{endpoint} beats the naive predictor ({naive_label}) {parts} (R², {splits}).</p>"
    );
    text.push_str(&lost(&label, &verdict));
    text
}

/// Says plainly where the model does not beat the naive predictor.
fn lost(label: &Escaped, verdict: &Verdict) -> String {
    let lost: Vec<&Duel> = verdict.lost().collect();
    if lost.is_empty() {
        return String::new();
    }
    let name = |duel: &&Duel| {
        let place = if duel.within() {
            format!("{} itself", Escaped(&duel.source))
        } else {
            format!("{} → {}", Escaped(&duel.source), Escaped(&duel.target))
        };
        format!("{place} ({} against {})", number::fixed(duel.model, 3), number::fixed(duel.naive, 3))
    };
    let named: Vec<String> = lost.iter().take(NAMED).map(name).collect();
    let more = match lost.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!("; and {n} more, marked ▾ below"),
    };
    format!("<p class=\"lost\"><b>{label} does not beat it on</b> {}{more}.</p>", named.join("; "))
}

fn glance(models: &Models) -> String {
    let mut out = String::from(
        "<div class=\"scroll\"><table class=\"plain\"><thead><tr><th>Model</th>\
         <th class=\"n\">mean R² within a dataset</th><th class=\"n\">mean R² across datasets</th>\
         <th class=\"n\">beats naive within</th><th class=\"n\">beats naive across</th>\
         <th class=\"n\">wall time</th><th class=\"n\">ranks</th></tr></thead><tbody>",
    );
    for model in &models.all {
        let tally = models.naive_of(model).map(|naive| Verdict::of(model, naive));
        let tally = |within| match &tally {
            Some(verdict) => {
                let (won, of) = verdict.tally(within);
                format!("{won} of {of}")
            }
            None => "–".into(),
        };
        let info = &model.run.info;
        let wall = if info.wall_s > 0.0 { number::duration(info.wall_s) } else { "–".into() };
        let ranks = if info.ranks > 0 { info.ranks.to_string() } else { "–".into() };
        out.push_str(&format!(
            "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{wall}</td><td class=\"n\">{ranks}</td></tr>",
            Escaped(&model.label),
            number::fixed(mean(model.run, true), 3),
            number::fixed(mean(model.run, false), 3),
            tally(true),
            tally(false),
        ));
    }
    out.push_str("</tbody></table></div>");
    out
}

/// Mean over the cells within datasets, or across them, of the mean over splits.
fn mean(run: &Run, within: bool) -> f64 {
    let mut means = Vec::new();
    for (s, source) in run.sources.iter().enumerate() {
        for (t, target) in run.targets.iter().enumerate() {
            let values: Vec<f64> = run.values(MetricKind::R2, s, t).into_iter().map(|(_, v)| v).collect();
            if (source == target) == within && !values.is_empty() {
                means.push(mean_and_sd(&values).0);
            }
        }
    }
    mean_and_sd(&means).0
}
