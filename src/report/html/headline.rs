use super::escape::Escaped;
use super::number;
use crate::metric::{Metric, mean_and_sd};
use crate::report::deck_toml;
use crate::report::models::{Model, Models};
use crate::report::phrase;
use crate::report::tree::Run;
use crate::report::verdict::{Duel, Verdict};

/// More lost cells than this are counted by source instead of named one by one.
const NAMED: usize = 16;

/// The answer: a sentence on the first model, one on each run beside it, then
/// the models at a glance.
pub(super) fn section(models: &Models) -> String {
    let answer = models.main().next().map(|model| answer(models, model)).unwrap_or_default();
    format!("{answer}{}{}", beside(models), glance(models))
}

/// How the first model fares against the other runs.
fn beside(models: &Models) -> String {
    let Some(first) = models.all.first() else { return String::new() };
    let others = first.rivals.iter().filter(|rival| !models.all[rival.place].baseline);
    let lines: String = others
        .map(|rival| {
            let duels = &rival.verdict.duels;
            let won = duels.iter().filter(|duel| duel.won()).count();
            let marked = duels.iter().filter(|duel| duel.significant()).count();
            let clear = match (marked, duels.iter().any(|duel| duel.test().is_some())) {
                (_, false) => format!("; {}", untested(duels)),
                (0, true) => "; no difference is significant".into(),
                (n, true) => format!("; {} significant (p &lt; 0.05, corrected)", phrase::are(n, "difference")),
            };
            format!(
                "<p class=\"beside\">Beside <b>{}</b>, <b>{}</b> is better in <b>{won} of {}</b> cells{clear}.</p>",
                Escaped(&models.all[rival.place].label),
                Escaped(&first.label),
                duels.len()
            )
        })
        .collect();
    lines
}

/// Why none of `duels` has a test.
fn untested(duels: &[Duel]) -> &'static str {
    let same = |duel: &Duel| duel.undefined.is_empty() && duel.differences.iter().all(|d| *d == 0.0);
    if duels.is_empty() {
        "they have no score in common"
    } else if duels.iter().all(same) {
        "all scores are the same"
    } else if duels.iter().all(|duel| duel.splits_won().1 < 2) {
        "with one split there is no test"
    } else {
        "no cell can be tested"
    }
}

fn answer(models: &Models, model: &Model) -> String {
    let label = Escaped(&model.label);
    let endpoint = match model.run.info.endpoint.as_str() {
        "" => String::new(),
        name => format!("Predicting <b>{}</b>, ", Escaped(name)),
    };
    let over = match model.run.splits.len() {
        1 => "R² on one split".to_string(),
        n => format!("mean R² over {n} splits"),
    };
    let (within, across) = (mean(model.run, true), mean(model.run, false));
    let reach = if within.is_nan() || across.is_nan() {
        String::new()
    } else {
        format!(
            " In the mean over datasets its R² is {} where it was trained and {} elsewhere.",
            number::fixed(within, 2),
            number::fixed(across, 2)
        )
    };
    let (Some(naive), Some(verdict)) = (models.naive_of(model), &model.verdict) else {
        return format!(
            "<p class=\"lead\">{endpoint}<b>{label}</b> was scored with no naive predictor beside it, so nothing \
             here says whether it is any better than one.{reach}</p>"
        );
    };
    let ((within, of_within), (across, of_across)) = (verdict.tally(true), verdict.tally(false));
    if verdict.duels.is_empty() {
        return format!(
            "<p class=\"lead\">{endpoint}<b>{label}</b> and the naive predictor ({}) have no score in common.{reach}</p>",
            Escaped(&naive.label)
        );
    }
    let mut parts = Vec::new();
    if of_within > 0 {
        parts.push(format!("on <b>{within} of {of_within}</b> datasets when scored where it was trained"));
    }
    if of_across > 0 {
        parts.push(format!("on <b>{across} of {of_across}</b> transfers to another dataset"));
    }
    format!(
        "<p class=\"lead\">{endpoint}<b>{label}</b> beats the naive predictor ({}) {} ({over}).{}{reach}</p>{}",
        Escaped(&naive.label),
        parts.join(" and "),
        close(verdict),
        lost(&label, verdict)
    )
}

/// How many of the comparisons won are too close to call.
fn close(verdict: &Verdict) -> String {
    match verdict.duels.iter().filter(|d| d.won() && d.within_spread()).count() {
        0 => String::new(),
        n => format!(
            " On {n} of {} its mean lead is within the spread over splits: smaller than one standard deviation.",
            if n == 1 {
                "these".into()
            } else {
                format!("these {}", verdict.duels.len() - verdict.lost().count())
            }
        ),
    }
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
        let against = format!("{} against {}", number::fixed(duel.model, 3), number::fixed(duel.rival, 3));
        let (won, splits) = duel.splits_won();
        let (mean, sd) = duel.difference();
        if !duel.undefined.is_empty() {
            let splits: Vec<String> = duel.undefined.iter().map(u32::to_string).collect();
            format!("{place} ({against}; R² undefined on split {})", splits.join(", "))
        } else if splits > 1 {
            let (mean, sd) = (number::signed(mean, 3), number::fixed(sd, 3));
            let spread = if duel.within_spread() { ", within the spread" } else { "" };
            format!("{place} ({against}; {mean} ± {sd}{spread}; better on {won} of {splits} splits)")
        } else {
            format!("{place} ({against})")
        }
    };
    let named: Vec<String> = lost.iter().take(NAMED).map(name).collect();
    let more = match lost.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!("; and {n} more, marked ▾ below"),
    };
    format!("<p class=\"lost\"><b>{label} does not beat it on</b> {}{more}.</p>", named.join("; "))
}

fn glance(models: &Models) -> String {
    let features: Vec<Option<String>> = models.all.iter().map(sample_features).collect();
    let known = features.iter().any(Option::is_some);
    let mut out = format!(
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"plain\"><thead><tr><th>Model</th>{}\
         <th class=\"n\">mean R² within</th><th class=\"n\">mean R² across</th>\
         <th class=\"n\">beats naive within</th><th class=\"n\">beats naive across</th>\
         <th class=\"n\">wall time</th><th class=\"n\">ranks</th></tr></thead><tbody>",
        if known { "<th>sample features</th>" } else { "" }
    );
    for (model, features) in models.all.iter().zip(&features) {
        let features = Escaped(features.as_deref().unwrap_or("–"));
        let features = if known { format!("<td>{features}</td>") } else { String::new() };
        let tally = |within| match &model.verdict {
            Some(verdict) => {
                let (won, of) = verdict.tally(within);
                format!("{won} of {of}")
            }
            None => "–".into(),
        };
        let info = &model.run.info;
        // A rival's run.json may repeat what the whole run took.
        let own = !model.baseline;
        let wall = info.wall_time().filter(|_| own).unwrap_or_else(|| "–".into());
        let ranks = if own && info.ranks > 0 { info.ranks.to_string() } else { "–".into() };
        out.push_str(&format!(
            "<tr><th scope=\"row\">{}</th>{features}<td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
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

/// What a run has read of samples; of a rival nothing is known.
fn sample_features(model: &Model) -> Option<String> {
    let deck = model.run.deck.as_deref().filter(|_| !model.baseline)?;
    deck_toml::sample_features(deck)
}

/// Mean over the cells within datasets, or across them, of the mean over splits.
fn mean(run: &Run, within: bool) -> f64 {
    let mut means = Vec::new();
    for (s, source) in run.sources.iter().enumerate() {
        for (t, target) in run.targets.iter().enumerate() {
            let values: Vec<f64> = run.values(Metric::R2, s, t).into_iter().map(|(_, v)| v).collect();
            if (source == target) == within && !values.is_empty() {
                means.push(mean_and_sd(&values).0);
            }
        }
    }
    mean_and_sd(&means).0
}
