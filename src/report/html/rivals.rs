use super::colour::Scale;
use super::escape::Escaped;
use super::heatmap::{HeatCell, Heatmap, legend};
use super::matrices::REACH;
use super::number;
use crate::metric::mean_and_sd;
use crate::report::models::{Model, Models};
use crate::report::verdict::Duel;

/// The first model against all that it is held against: a table of who wins
/// where, the differences cell by cell, and the best of the rivals in each
/// cell. Empty where the naive predictor is the only rival: the matrices show
/// that already.
pub(super) fn section(models: &Models) -> String {
    let Some(model) = models.all.first() else { return String::new() };
    if model.rivals.iter().all(|rival| Some(rival.place) == model.naive) {
        return String::new();
    }
    let label = Escaped(&model.label);
    let several = model.rivals.len() > 1;
    let mut maps = String::new();
    if several {
        maps.push_str(&best(models, model));
    }
    for rival in model.rivals.iter().filter(|rival| Some(rival.place) != model.naive) {
        let other = &models.all[rival.place];
        let caption = format!("<b>{label}</b> minus {}", Escaped(&other.label));
        let prefix = format!("cell-against-{}", rival.place);
        maps.push_str(&difference(model, caption, prefix, |s, t| rival.verdict.duel(s, t)));
    }
    format!(
        "<p>R² of <b>{label}</b> minus that of a rival, split by split over the splits that both have, mean ± \
         standard deviation. <b>*</b> marks a difference that a paired t-test over splits finds, p &lt; 0.05, \
         two-sided, with the variance corrected for overlapping splits (Nadeau and Bengio 2003); point at a \
         cell for its p. Off the diagonal all splits score the same pairs: there the test says whether the difference \
         holds for other training rows of the source, not for other pairs of the target. Of cells without a \
         difference, one in twenty is marked by chance. All tests are in <code>paired_tests.csv\
         </code>.</p>{}{}<div class=\"grid\">{maps}</div>",
        table(models, model, several),
        legend(Scale::difference(REACH), "difference of R²; blue where the first model is better")
    )
}

fn table(models: &Models, model: &Model, several: bool) -> String {
    let mut out = String::from(
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"plain\"><thead><tr><th>Rival</th>\
         <th class=\"n\">splits</th><th class=\"n\">cells won</th><th class=\"n\">better *</th>\
         <th class=\"n\">worse *</th><th class=\"n\">mean difference within</th><th class=\"n\">across</th>\
         <th>worst cell</th></tr></thead><tbody>",
    );
    if several {
        let places = model.run.sources.iter().flat_map(|s| model.run.targets.iter().map(move |t| (s, t)));
        let best: Vec<&Duel> = places.filter_map(|(s, t)| Some(model.best_rival(s, t)?.1)).collect();
        out.push_str(&row("best of them, cell by cell", &best));
    }
    for rival in &model.rivals {
        let duels: Vec<&Duel> = rival.verdict.duels.iter().collect();
        out.push_str(&row(&models.all[rival.place].label, &duels));
    }
    out.push_str("</tbody></table></div>");
    out
}

fn row(name: &str, duels: &[&Duel]) -> String {
    let count = |of: fn(&Duel) -> bool| duels.iter().filter(|duel| of(duel)).count();
    let splits = duels.iter().map(|duel| duel.differences.len());
    let splits = match (splits.clone().min(), splits.max()) {
        (Some(few), Some(many)) if few != many => format!("{few}–{many}"),
        (few, _) => few.unwrap_or(0).to_string(),
    };
    let mean = |within: bool| {
        let of_part = duels.iter().filter(|duel| duel.within() == within);
        let means: Vec<f64> = of_part.map(|duel| duel.difference().0).filter(|d| d.is_finite()).collect();
        number::signed(mean_and_sd(&means).0, 3)
    };
    let defined = duels.iter().filter(|duel| duel.difference().0.is_finite());
    let worst = defined.min_by(|a, b| a.difference().0.total_cmp(&b.difference().0));
    let worst = worst.map_or_else(String::new, |duel| {
        let (source, target) = (Escaped(&duel.source), Escaped(&duel.target));
        format!("{source} → {target} {}", number::signed(duel.difference().0, 3))
    });
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"n\">{splits}</td><td class=\"n\"><b>{} of {}</b></td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
         <td>{worst}</td></tr>",
        Escaped(name),
        count(Duel::won),
        duels.len(),
        count(|duel| duel.significant() && duel.difference().0 > 0.0),
        count(|duel| duel.significant() && duel.difference().0 < 0.0),
        mean(true),
        mean(false)
    )
}

/// The best rival of each cell, and what the model adds to it.
fn best(models: &Models, model: &Model) -> String {
    let (sources, targets) = (&model.run.sources, &model.run.targets);
    let map = Heatmap {
        caption: "R² of the <b>best of the rivals</b> in each cell, and which it is (colours as in the matrices above)".into(),
        prefix: "cell-best-rival".into(),
        sources,
        targets,
        aggregates: Vec::new(),
        scale: Scale::SCORE,
        signed: false,
        decimals: 3,
        small: false,
    };
    let drawn = map.draw(|s, t| {
        let Some((place, duel)) = model.best_rival(&sources[s], &targets[t]) else {
            return HeatCell::plain(f64::NAN);
        };
        HeatCell { note: Some(models.all[place].label.clone()), ..HeatCell::plain(duel.rival) }
    });
    let caption = format!("<b>{}</b> minus the best of the rivals", Escaped(&model.label));
    let against =
        difference(model, caption, "cell-against-best".into(), |s, t| Some(model.best_rival(s, t)?.1));
    format!("{drawn}{against}")
}

/// The differences of a model from what `duel` gives for a source and target.
pub(super) fn difference<'d>(
    model: &Model,
    caption: String,
    prefix: String,
    duel: impl Fn(&str, &str) -> Option<&'d Duel>,
) -> String {
    let (sources, targets) = (&model.run.sources, &model.run.targets);
    let map = Heatmap {
        caption,
        prefix,
        sources,
        targets,
        aggregates: Vec::new(),
        scale: Scale::difference(REACH),
        signed: true,
        decimals: 3,
        small: false,
    };
    map.draw(|s, t| {
        let Some(duel) = duel(&sources[s], &targets[t]) else { return HeatCell::plain(f64::NAN) };
        let (value, spread) = duel.difference();
        let splits = Some(duel.splits_won()).filter(|(_, n)| *n > 1);
        let test = duel.test().map(|test| (test, duel.significant()));
        HeatCell { spread, behind: value.is_nan(), splits, test, ..HeatCell::plain(value) }
    })
}
