use super::quality_json::{Quality, Reconstruction};
use crate::metric::Epoch;
use crate::report::html::escape::Escaped;
use crate::report::html::{chart, number};

/// Error by study and part, and how it fell while learning.
pub(super) fn section(quality: &Quality, history: &[Epoch]) -> String {
    let rows = quality.by_study.iter().map(|study| row(&study.name, &study.of));
    let rows: String = std::iter::once(row("all", &quality.reconstruction)).chain(rows).collect();
    format!(
        "<p>The error is the mean over columns of the loss that the deck chose, on columns scaled a study. R² is the \
         part of the variance of the scaled columns that comes back; an encoder that knows only the means of a study \
         has 0.</p><div class=\"scroll\" tabindex=\"0\"><table class=\"plain\"><thead><tr><th>Study</th>\
         <th class=\"n\">error, learned from</th><th class=\"n\">error, held out</th>\
         <th class=\"n\">R², learned from</th><th class=\"n\">R², held out</th><th></th></tr></thead><tbody>{rows}\
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

fn curve(history: &[Epoch]) -> String {
    let drawn = chart("Reconstruction", &[(String::new(), history)]);
    if drawn.is_empty() {
        return drawn;
    }
    format!(
        "<h3>Learning curve</h3><p class=\"key\"><span class=\"line train\"></span>training loss, noise and centre terms \
         included <span class=\"line val\"></span>error on rows held out <span class=\"dot\"></span>its lowest</p>\
         <div class=\"panels learning\">{drawn}</div>"
    )
}
