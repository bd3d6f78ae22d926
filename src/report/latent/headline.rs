use super::quality_json::Quality;
use crate::report::html::escape::Escaped;
use crate::report::html::number;

/// A silhouette by study below this says that studies form no clumps of their own.
const MIXED: f64 = 0.05;

/// What is known of the classes beyond what was measured.
pub(super) struct Seen {
    /// Whether the encoder was shown those of the rows that it learned from.
    pub by_center_loss: bool,
    /// Rows of each class, by study.
    pub rows: Vec<Vec<u64>>,
}

impl Seen {
    /// Whether no class has rows of two studies.
    fn one_study_each(&self) -> bool {
        self.rows.iter().all(|studies| studies.iter().filter(|&&rows| rows > 0).count() < 2)
    }
}

/// The answer in words: what was learned from what, how much of it is kept,
/// and whether the latent rows lie together by class or by study.
pub(super) fn section(quality: &Quality, seen: &Seen) -> String {
    let studies: Vec<String> = quality
        .studies
        .iter()
        .map(|s| format!("<b>{}</b> ({})", Escaped(&s.name), number::count(s.rows)))
        .collect();
    format!(
        "<p class=\"lead\">{} learned <b>{}</b> latent {} from {} of {}: {}. {}</p>{}{}",
        capital(kind(quality)),
        number::count(quality.latent),
        if quality.latent == 1 { "value" } else { "values" },
        number::counted(quality.columns, "column", "columns"),
        number::counted(quality.all_rows(), "row", "rows"),
        studies.join(", "),
        kept(quality),
        neighbours(quality, seen),
        separation(quality, seen)
    )
}

/// The same in a line for a terminal.
pub(super) fn text(quality: &Quality) -> String {
    let measure = |name: &str, value: Option<f64>| value.map(|v| format!("{name} {v:.3}"));
    let (knn, silhouette) = (&quality.knn, &quality.silhouette);
    let both = |name: &str, all: Option<f64>, held_out: Option<f64>| match (held_out, all) {
        (Some(held_out), Some(all)) => {
            Some(format!("{name} of held-out rows {held_out:.3} (all rows {all:.3})"))
        }
        (held_out, all) => measure(name, held_out.or(all)),
    };
    let gone = if quality.is_cross_entropy() { "part of the cross-entropy gone" } else { "R2" };
    let measures = [
        measure(&format!("{gone} on held-out rows"), quality.reconstruction.r2_val),
        both(&format!("{}-NN class accuracy", knn.k), knn.class_accuracy, knn.class_accuracy_val),
        measure("largest class", knn.majority_share),
        both("silhouette by class", silhouette.class, silhouette.class_val),
        both("by study", silhouette.study, silhouette.study_val),
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
    let held_out = number::counted(quality.rows.val, "row", "rows");
    let bce = quality.is_cross_entropy();
    match quality.reconstruction.r2_val {
        Some(gone) if gone > 0.0 => {
            let percent = number::fixed(gone * 100.0, 1);
            if bce {
                format!(
                    "Reconstructing from these takes <b>{percent} %</b> off the cross-entropy of the {held_out} held out \
                     (which a perfect encoder does not bring to 0)."
                )
            } else {
                format!(
                    "From these it reconstructs <b>{percent} %</b> of the variance of the {held_out} held out."
                )
            }
        }
        Some(gone) => format!(
            "It reconstructs the {held_out} held out <b>no better than the mean</b> ({} {}).",
            if bce { "part of the cross-entropy gone" } else { "R²" },
            number::fixed(gone, 3)
        ),
        None => "No rows were held out, so nothing here says how well it reconstructs others.".into(),
    }
}

/// Whether like lies beside like, judged by held-out rows where there are any:
/// of those learned from, center loss knows the class.
fn neighbours(quality: &Quality, seen: &Seen) -> String {
    let (Some(all), Some(largest)) = (quality.knn.class_accuracy, quality.knn.majority_share) else {
        return "<p>No class of the rows is known, so nothing here says whether like lies beside like.</p>"
            .into();
    };
    let percent = |share: f64| number::fixed(share * 100.0, 1);
    let accuracy = quality.knn.class_accuracy_val.unwrap_or(all);
    let (row, beside) = match quality.knn.class_accuracy_val {
        Some(_) => {
            let whose = if seen.by_center_loss { ", whose classes center loss has mostly seen" } else { "" };
            ("held-out row", format!("all rows{whose}: {} %; ", percent(all)))
        }
        None => ("row", String::new()),
    };
    let no = if accuracy > largest { "" } else { ", <b>no more than by chance</b>" };
    let count = quality.classes.len() as u64;
    format!(
        "<p>In the latent space the {} nearest neighbours of a {row} tell its class in <b>{} %</b> of cases ({beside}always \
         saying the largest class: {} %){no}. There {} {}: {}.</p>",
        quality.knn.k,
        percent(accuracy),
        percent(largest),
        if count == 1 { "is" } else { "are" },
        number::counted(count, "class", "classes"),
        origin(&quality.class_origin)
    )
}

/// Where classes come from, as in "those of tumour-type and site, clusters for the rest".
fn origin(of: &str) -> String {
    let Some(labels) = of.strip_prefix("label ") else {
        return format!("made by {}, which the rows themselves gave", Escaped(of));
    };
    let (labels, rest) = match labels.strip_suffix(", k-means") {
        Some(labels) => (labels, ", clusters for the rest"),
        None => (labels, ""),
    };
    let named = match labels.rsplit_once(", ") {
        Some((first, last)) => format!("{} and {}", Escaped(first), Escaped(last)),
        None => Escaped(labels).to_string(),
    };
    format!("those of {named}{rest}")
}

/// What is judged: silhouettes by class and by study, of held-out rows where they
/// are known of those.
struct Silhouettes {
    class: Option<f64>,
    study: Option<f64>,
    said: String,
    /// Those of all rows, where the others are of held-out rows.
    all: Option<String>,
}

impl Silhouettes {
    fn of(quality: &Quality) -> Self {
        let of = &quality.silhouette;
        let fixed = |value: f64| number::fixed(value, 3);
        let known = |class: Option<f64>, study: Option<f64>| [class.is_some(), study.is_some()];
        let held_out = known(of.class_val, of.study_val);
        let is_held_out = held_out != [false; 2] && held_out == known(of.class, of.study);
        let (class, study) = if is_held_out { (of.class_val, of.study_val) } else { (of.class, of.study) };
        let named = [("by class", class), ("by study", study)];
        let named =
            named.into_iter().filter_map(|(by, value)| Some(format!("{by} <b>{}</b>", fixed(value?))));
        let whose = if is_held_out { " of held-out rows" } else { "" };
        let all: Vec<String> = [of.class, of.study].into_iter().flatten().map(fixed).collect();
        Self {
            class,
            study,
            said: format!("Silhouette{whose} {}", named.collect::<Vec<_>>().join(", ")),
            all: is_held_out.then(|| format!("all rows: {}", all.join(" and "))),
        }
    }

    /// With what is `good` in parentheses, and those of all rows.
    fn with(&self, good: &str) -> String {
        let parts = [self.all.as_deref().unwrap_or_default(), good];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let behind = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) };
        format!("{}{behind}", self.said)
    }
}

/// Whether rows lie together by class, as they should, or by study, as they should not.
fn separation(quality: &Quality, seen: &Seen) -> String {
    let told = quality.knn.study_accuracy.zip(quality.knn.study_majority_share);
    let mut more = told.map_or_else(String::new, |(accuracy, largest)| {
        format!(
            " Neighbours tell the study in {} % of cases (largest study: {} %).",
            number::fixed(accuracy * 100.0, 1),
            number::fixed(largest * 100.0, 1)
        )
    });
    if quality.studies.len() > 1 && !quality.classes.is_empty() && seen.one_study_each() {
        more.push_str(
            " No class has rows of two studies, so what tells classes apart tells studies apart as well.",
        );
    }
    let values = Silhouettes::of(quality);
    // Studies that form no clumps may still lie side by side: less than half way from a guess to certainty.
    let mixed = |study: f64| study < MIXED && told.is_none_or(|(a, most)| a - most < 0.5 * (1.0 - most));
    match (values.class, values.study) {
        (Some(class), Some(study)) if study >= class => format!(
            "<p class=\"lost\">{}: rows lie together <b>by study at least as much as by class</b>. It should be \
             high by class and low by study; features that tell studies apart carry badly from one to another.{more}</p>",
            values.with("")
        ),
        (Some(class), Some(study)) => {
            let judged = match (class > 0.0, mixed(study)) {
                (true, true) => "rows lie together by class and studies lie in one another, as it should be",
                (true, false) => {
                    "rows lie together more by class than by study, but studies are still told apart"
                }
                (false, true) => "studies lie in one another, but classes do too",
                (false, false) => "rows do not lie together by class, and studies are still told apart",
            };
            format!("<p>{}: {judged}.{more}</p>", values.with("high by class and low by study is good"))
        }
        (Some(_), None) => format!("<p>{}; there is one study only.{more}</p>", values.with("high is good")),
        (None, Some(study)) => {
            let judged =
                if mixed(study) { "studies lie in one another" } else { "studies are still told apart" };
            format!("<p>{}: {judged}.{more}</p>", values.with("low is good"))
        }
        (None, None) => String::new(),
    }
}
