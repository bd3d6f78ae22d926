use super::escape::Escaped;
use super::number;
use super::samples::Samples;
use crate::report::models::{Model, Models};

/// Command, machine time, versions and deck of every run, and the notes on what
/// is missing.
pub(super) fn section(models: &Models, samples: &Samples) -> String {
    let mut out = String::new();
    for model in models.main() {
        if models.main().count() > 1 {
            out.push_str(&format!("<h3>{}</h3>", Escaped(&model.label)));
        }
        out.push_str(&facts(model));
        out.push_str(&parts(model));
        if let Some(deck) = &model.run.deck {
            out.push_str(&format!(
                "<details><summary>The deck, all defaults resolved</summary><pre>{}</pre></details>",
                Escaped(deck.trim_end())
            ));
        }
    }
    let notes: Vec<&String> = models.all.iter().flat_map(|m| &m.run.notes).chain(&samples.notes).collect();
    if !notes.is_empty() {
        let items: String = notes.iter().map(|note| format!("<li>{}</li>", Escaped(note))).collect();
        out.push_str(&format!("<h3 id=\"notes\">Notes</h3><ul class=\"notes\">{items}</ul>"));
    }
    out
}

fn facts(model: &Model) -> String {
    let info = &model.run.info;
    let mut rows = vec![("folder", model.run.dir.display().to_string())];
    let mut text = |name, value: &str| {
        if !value.is_empty() {
            rows.push((name, value.to_string()));
        }
    };
    text("command", &info.command);
    text("started", &info.started);
    if info.wall_s > 0.0 {
        text("wall time", &number::duration(info.wall_s));
    }
    let per = [(info.ranks, "ranks"), (info.threads, "threads a rank"), (info.groups, "groups")];
    let per: Vec<String> =
        per.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    text("processes", &per.join(", "));
    text("crossrx", &info.crossrx);
    let versions: Vec<String> =
        info.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    text("versions", &versions.join(", "));
    if let Some(corpus) = &model.run.corpus {
        text("store written by", &corpus.provenance.program);
        text("store made with", &corpus.provenance.command);
    }
    let rows: String =
        rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", Escaped(value))).collect();
    format!("<dl>{rows}</dl>")
}

fn parts(model: &Model) -> String {
    let Some(runtime) = model.run.runtime.as_ref().filter(|r| !r.parts.is_empty()) else {
        return String::new();
    };
    let longest = runtime.parts.values().copied().fold(0.0f64, f64::max).max(1e-9);
    let mut parts: Vec<(&String, f64)> = runtime.parts.iter().map(|(name, s)| (name, *s)).collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let rows: String = parts
        .iter()
        .map(|(name, seconds)| {
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"wide\"><span class=\"span\" \
                 style=\"width:{:.1}%\"></span></td></tr>",
                Escaped(name),
                number::duration(*seconds),
                (seconds / longest * 100.0).clamp(0.0, 100.0)
            )
        })
        .collect();
    format!("<div class=\"scroll\"><table class=\"plain\"><tbody>{rows}</tbody></table></div>")
}
