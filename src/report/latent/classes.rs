use super::embedding_csv::Embedding;
use super::groups::{by_size, groups};
use super::marks;
use super::quality_json::Quality;
use crate::report::html::escape::Escaped;
use crate::report::html::number;

/// Rows of each class, by study.
pub(super) fn by_study(quality: &Quality, embedding: &Embedding) -> Vec<Vec<u64>> {
    let mut counts = vec![vec![0u64; quality.studies.len()]; quality.classes.len()];
    for point in &embedding.points {
        if let Some(class) = point.class {
            counts[class][point.study] += 1;
        }
    }
    counts
}

/// The rows of each class, by study, and what was read of each study.
pub(super) fn section(quality: &Quality, embedding: &Embedding) -> String {
    let mut out = studies(quality);
    if quality.classes.is_empty() {
        return out;
    }
    let counts = by_study(quality, embedding);
    out.push_str(&format!(
        "<details open><summary>{} ({}), rows by study</summary><div class=\"scroll\" tabindex=\"0\">\
         <table class=\"plain dense classes\"><thead><tr><th>Class</th>",
        number::counted(quality.classes.len() as u64, "class", "classes"),
        Escaped(&quality.class_origin)
    ));
    for study in &quality.studies {
        out.push_str(&format!("<th class=\"n\">{}</th>", Escaped(&study.name)));
    }
    out.push_str("<th class=\"n\">all</th><th class=\"n\">share</th></tr></thead><tbody>");
    let classes = groups(quality.classes.iter().map(|c| (c.name.as_str(), c.rows)));
    let all = classes.iter().map(|c| c.rows as f64).sum::<f64>().max(1.0);
    for place in by_size(&classes) {
        let class = &classes[place];
        out.push_str(&format!(
            "<tr><th scope=\"row\">{}{}</th>",
            marks::sign(class.mark),
            Escaped(class.name)
        ));
        for &count in &counts[place] {
            let shown = if count > 0 { number::count(count) } else { "–".into() };
            out.push_str(&format!("<td class=\"n\">{shown}</td>"));
        }
        out.push_str(&format!(
            "<td class=\"n\">{}</td><td class=\"n\">{} %</td></tr>",
            number::count(class.rows),
            number::fixed(class.rows as f64 / all * 100.0, 1)
        ));
    }
    out.push_str("</tbody></table></div></details>");
    out
}

fn studies(quality: &Quality) -> String {
    let rows: String = quality
        .studies
        .iter()
        .map(|study| {
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
                Escaped(&study.name),
                number::count(study.rows),
                number::count(study.columns),
                number::count(study.dropped_columns)
            )
        })
        .collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"plain\"><thead><tr><th>Study</th><th class=\"n\">rows</th>\
         <th class=\"n\">columns</th><th class=\"n\">columns not read</th></tr></thead><tbody>{rows}</tbody></table>\
         </div>"
    )
}
