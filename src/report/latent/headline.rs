use super::quality_json::Quality;
use crate::report::html::escape::Escaped;
use crate::report::html::number;

/// A silhouette by study below this says that studies lie in one another.
const MIXED: f64 = 0.05;

/// The answer in words: what was learned from what, how much of it is kept,
/// and whether the latent rows lie together by class or by study.
pub(super) fn section(quality: &Quality) -> String {
    let studies: Vec<String> = quality
        .studies
        .iter()
        .map(|s| format!("<b>{}</b> ({})", Escaped(&s.name), number::count(s.rows)))
        .collect();
    let rows: u64 = quality.studies.iter().fold(0, |sum, s| sum.saturating_add(s.rows));
    format!(
        "<p class=\"lead\">{} learned <b>{}</b> latent values from {} columns of {} rows: {}. {}</p>{}{}",
        capital(kind(quality)),
        number::count(quality.latent),
        number::count(quality.columns),
        number::count(rows),
        studies.join(", "),
        kept(quality),
        neighbours(quality),
        separation(quality)
    )
}

/// The same in a line for a terminal.
pub(super) fn text(quality: &Quality) -> String {
    let measure = |name: &str, value: Option<f64>| value.map(|v| format!("{name} {v:.3}"));
    let measures = [
        measure("R2 on held-out rows", quality.reconstruction.r2_val),
        measure(&format!("{}-NN class accuracy", quality.knn.k), quality.knn.class_accuracy),
        measure("largest class", quality.knn.majority_share),
        measure("silhouette by class", quality.silhouette.class),
        measure("by study", quality.silhouette.study),
    ];
    let measures: Vec<String> = measures.into_iter().flatten().collect();
    let (kind, latent, columns) = (kind(quality), quality.latent, quality.columns);
    format!("{kind}, {columns} columns into {latent}: {}", measures.join(", "))
}

fn kind(quality: &Quality) -> &str {
    match quality.kind.as_str() {
        "autoencoder" => "an autoencoder",
        "pca" => "a principal component analysis",
        _ => "an encoder",
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn kept(quality: &Quality) -> String {
    let held_out = number::count(quality.rows.val);
    match quality.reconstruction.r2_val {
        Some(r2) if r2 > 0.0 => format!(
            "From these it reconstructs <b>{} %</b> of the variance of the {held_out} rows held out.",
            number::fixed(r2 * 100.0, 1)
        ),
        Some(r2) => format!(
            "It reconstructs the {held_out} rows held out <b>no better than their mean</b> (R² {}).",
            number::fixed(r2, 3)
        ),
        None => "No rows were held out, so nothing here says how well it reconstructs others.".into(),
    }
}

fn neighbours(quality: &Quality) -> String {
    let (Some(accuracy), Some(largest)) = (quality.knn.class_accuracy, quality.knn.majority_share) else {
        return "<p>No class of the rows is known, so nothing here says whether like lies beside like.</p>"
            .into();
    };
    let origin = match quality.class_origin.strip_prefix("label ") {
        Some(label) => format!("the classes of {}", Escaped(label)),
        None => format!("classes made by {}, which the rows themselves gave", Escaped(&quality.class_origin)),
    };
    let percent = |share: f64| number::fixed(share * 100.0, 1);
    // Of rows learned from, center loss knows the class.
    let held_out = quality.knn.class_accuracy_val.map_or_else(
        || ",".into(),
        |accuracy| format!(", and in <b>{} %</b> of the rows held out,", percent(accuracy)),
    );
    let no = if accuracy > largest { "" } else { ", so <b>no more than by chance</b>" };
    format!(
        "<p>In the latent space the {} nearest neighbours of a row tell its class in <b>{} %</b> of cases{held_out} where always \
         saying the largest class is right in {} %{no} ({} classes; {origin}).</p>",
        quality.knn.k,
        percent(accuracy),
        percent(largest),
        quality.classes.len()
    )
}

/// Whether rows lie together by class, as they should, or by study, as they should not.
fn separation(quality: &Quality) -> String {
    let fixed = |value: f64| number::fixed(value, 3);
    let study_told = match (quality.knn.study_accuracy, quality.knn.study_majority_share) {
        (Some(accuracy), Some(largest)) => format!(
            " Neighbours tell the study in {} % of cases (largest study: {} %).",
            number::fixed(accuracy * 100.0, 1),
            number::fixed(largest * 100.0, 1)
        ),
        _ => String::new(),
    };
    match (quality.silhouette.class, quality.silhouette.study) {
        (Some(class), Some(study)) => {
            let values =
                format!("Silhouette by class <b>{}</b>, by study <b>{}</b>", fixed(class), fixed(study));
            if study >= class {
                return format!(
                    "<p class=\"lost\">{values}: rows lie together <b>by study at least as much as by class</b>. It should be \
                     high by class and low by study; features that tell studies apart carry badly from one to \
                     another.{study_told}</p>"
                );
            }
            let judged = match (class > 0.0, study < MIXED) {
                (true, true) => "rows lie together by class and studies lie in one another, as it should be",
                (true, false) => {
                    "more by class than by study, but studies are still told apart; low by study is better"
                }
                (false, _) => "studies lie in one another, but classes do too",
            };
            format!("<p>{values} (high by class and low by study is good): {judged}.{study_told}</p>")
        }
        (Some(class), None) => {
            format!(
                "<p>Silhouette by class <b>{}</b> (high is good); there is one study only.</p>",
                fixed(class)
            )
        }
        (None, Some(study)) => format!(
            "<p>Silhouette by study <b>{}</b>: low is good, as studies then lie in one another.{study_told}</p>",
            fixed(study)
        ),
        (None, None) => String::new(),
    }
}
