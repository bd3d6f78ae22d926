use super::escape::Escaped;
use super::samples::Samples;
use crate::report::models::{Model, Models};
use crate::report::phrase;
use crate::report::run_json::RunInfo;
use crate::store::StoreSummary;
use std::path::Path;

/// Command, machine time, versions and deck of every run, and the notes on what
/// is missing.
pub(super) fn section(models: &Models, samples: &Samples) -> String {
    let mut out = String::new();
    for model in models.main() {
        if models.main().count() > 1 {
            out.push_str(&format!("<h3>{}</h3>", Escaped(&model.label)));
        }
        out.push_str(&facts(&model.run.dir, &model.run.info, model.run.corpus.as_ref()));
        out.push_str(&parts(model));
        out.push_str(&model.run.deck.as_deref().map(deck).unwrap_or_default());
    }
    let notes: Vec<&String> = models
        .notes
        .iter()
        .chain(models.all.iter().flat_map(|m| &m.run.notes))
        .chain(&samples.notes)
        .collect();
    if !notes.is_empty() {
        let items: String = notes.iter().map(|note| format!("<li>{}</li>", Escaped(note))).collect();
        out.push_str(&format!("<h3 id=\"notes\">Notes</h3><ul class=\"notes\">{items}</ul>"));
    }
    out
}

/// The resolved deck, folded away.
pub(in crate::report) fn deck(deck: &str) -> String {
    format!(
        "<details><summary>The deck, all defaults resolved</summary><pre>{}</pre></details>",
        Escaped(deck.trim_end())
    )
}

/// What was run in `dir`, on what and when, from its `run.json` and `corpus.json`.
pub(in crate::report) fn facts(dir: &Path, info: &RunInfo, corpus: Option<&StoreSummary>) -> String {
    let mut rows = vec![("folder", dir.display().to_string())];
    let mut text = |name, value: &str| {
        if !value.is_empty() {
            rows.push((name, value.to_string()));
        }
    };
    text("command", &info.command);
    text("started", &info.started);
    if let Some(wall) = info.wall_time() {
        text("wall time", &wall);
    }
    let some = |n: usize, noun: &str| (n > 0).then(|| phrase::count(n, noun));
    let threads = some(info.threads, "thread").map(|threads| threads + " each");
    let ran_on = [some(info.ranks, "rank"), threads, some(info.groups, "group")];
    text("ran on", &ran_on.into_iter().flatten().collect::<Vec<_>>().join(", "));
    let version = info.versions.get("crossrx").filter(|_| info.crossrx.is_empty());
    text("crossrx", version.unwrap_or(&info.crossrx));
    let versions: Vec<String> = info
        .versions
        .iter()
        .filter(|(name, _)| *name != "crossrx")
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    text("versions", &versions.join(", "));
    if let Some(corpus) = corpus {
        text("store written by", &corpus.provenance.program);
        text("store made with", &corpus.provenance.command);
    }
    let rows: String =
        rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", Escaped(value))).collect();
    format!("<dl>{rows}</dl>")
}

/// Seconds by part: the sums over tasks, then the tasks one by one.
fn parts(model: &Model) -> String {
    let run = model.run;
    let Some(runtime) = run.runtime.as_ref().filter(|r| !r.parts.is_empty()) else {
        return String::new();
    };
    let is_task = |name: &str| {
        let (source, split) = name.rsplit_once(" split ").unwrap_or_default();
        run.sources.iter().any(|s| s == source) && split.parse().is_ok_and(|k: u32| run.splits.contains(&k))
    };
    let (tasks, sums): (Vec<_>, Vec<_>) = runtime
        .parts
        .iter()
        .map(|(name, seconds)| (name.as_str(), *seconds))
        .partition(|(name, _)| is_task(name));
    let mut out = String::new();
    if !sums.is_empty() {
        let tasks_sum = if tasks.is_empty() { "" } else { ", summed over tasks (tasks run side by side)" };
        out.push_str(&format!("<h4>Time by part{tasks_sum}</h4>{}", bars(sums)));
    }
    if !tasks.is_empty() {
        out.push_str(&format!("<h4>Time of each task, training and scoring</h4>{}", bars(tasks)));
    }
    out
}

/// Names and seconds, the longest first, each with a bar.
pub(in crate::report) fn bars(mut parts: Vec<(&str, f64)>) -> String {
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let longest = parts.iter().map(|part| part.1).fold(0.0f64, f64::max).max(1e-9);
    let rows: String = parts
        .iter()
        .map(|(name, seconds)| {
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"wide\"><span class=\"span\" \
                 style=\"width:{:.1}%\"></span></td></tr>",
                Escaped(name),
                phrase::duration(*seconds),
                (seconds / longest * 100.0).clamp(0.0, 100.0)
            )
        })
        .collect();
    format!("<div class=\"scroll\" tabindex=\"0\"><table class=\"plain\"><tbody>{rows}</tbody></table></div>")
}
