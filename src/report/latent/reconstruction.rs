use super::quality_json::{Quality, Reconstruction};
use crate::metric::Epoch;
use crate::report::html::escape::Escaped;
use crate::report::html::{chart, number};

/// Error by study and part, and how it fell while learning.
pub(super) fn section(quality: &Quality, history: &[Epoch]) -> String {
    let rows = quality.by_study.iter().map(|study| row(&study.name, &study.of));
    let rows: String = std::iter::once(row("all", &quality.reconstruction)).chain(rows).collect();
    let (said, head) = if quality.is_cross_entropy() {
        (
            "The error is the mean over columns of the binary cross-entropy, on columns brought to 0 to 1 a study. Part \
             gone is of what it is where every value is the training mean: 0 of an encoder that knows no more. A \
             perfect encoder does not reach 1, as values between 0 and 1 have a cross-entropy of their own.",
            "part gone",
        )
    } else {
        (
            "The error is the mean over columns of the squared error, on columns scaled a study. R² is the part of \
             the variance of the scaled columns that comes back; an encoder that knows only the means of a study \
             has 0.",
            "R²",
        )
    };
    let chose = if quality.kind == "pca" { "" } else { " Held-out rows chose the epoch." };
    format!(
        "<p>{said}{chose}</p><div class=\"scroll\" tabindex=\"0\"><table class=\"plain\"><thead><tr><th>Study</th>\
         <th class=\"n\">error, learned from</th><th class=\"n\">error, held out</th>\
         <th class=\"n\">{head}, learned from</th><th class=\"n\">{head}, held out</th><th></th></tr></thead><tbody>{rows}\
         </tbody></table></div>{}",
        curve(history)
    )
}

fn row(name: &str, of: &Reconstruction) -> String {
    let cell = |value: Option<f64>, decimals| number::fixed(value.unwrap_or(f64::NAN), decimals);
    let part = of.r2_val.or(of.r2_train).unwrap_or(0.0).clamp(0.0, 1.0) * 100.0;
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td class=\"wide\"><span class=\"span\" style=\"width:{part:.1}%\"></span></td></tr>",
        Escaped(name),
        cell(of.train, 4),
        cell(of.val, 4),
        cell(of.r2_train, 3),
        cell(of.r2_val, 3)
    )
}

/// Of two epochs at least: what needs none, such as principal components, has one.
fn curve(history: &[Epoch]) -> String {
    if history.len() < 2 {
        return String::new();
    }
    let drawn = chart("Reconstruction", &[(String::new(), history)]);
    if drawn.is_empty() {
        return drawn;
    }
    format!(
        "<h3>Learning curve</h3><p class=\"key\"><span class=\"line train\"></span>training loss, noise and center terms \
         included <span class=\"line val\"></span>error on rows held out <span class=\"dot\"></span>its lowest</p>\
         <div class=\"panels learning\">{drawn}</div>"
    )
}
