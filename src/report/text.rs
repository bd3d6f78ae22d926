use super::generalization::Generalization;
use super::models::{Model, Models};
use super::verdict::Verdict;
use crate::metric::Metric;
use std::fmt::Write;

/// Wider than this, the matrices stand one below the other.
const WIDTH: usize = 100;

/// The R2 matrix of every model as aligned text, the naive predictor's beside
/// it, and a line that says where a model does not beat it. Cells that were
/// not scored show `-`.
pub fn matrix(models: &Models) -> String {
    let mut out = String::new();
    for model in models.main() {
        let left = block(model, model.verdict.as_ref());
        match models.naive_of(model) {
            Some(naive) => beside(&mut out, &left, &block(naive, None)),
            None => left.iter().for_each(|line| line_to(&mut out, line)),
        }
        if let (Some(naive), Some(verdict)) = (models.naive_of(model), &model.verdict) {
            line_to(&mut out, &summary(&model.label, &naive.label, verdict));
        }
    }
    out
}

fn summary(model: &str, naive: &str, verdict: &Verdict) -> String {
    let ((within, of_within), (across, of_across)) = (verdict.tally(true), verdict.tally(false));
    let mut line = format!(
        "{model} beats {naive} on {within} of {of_within} datasets and on {across} of {of_across} transfers"
    );
    let starred = if verdict.lost().next().is_some() { "; * marks where it does not." } else { "." };
    line.push_str(starred);
    line
}

fn block(model: &Model, verdict: Option<&Verdict>) -> Vec<String> {
    let run = model.run;
    let means = Generalization::of(run, Metric::R2).mean;
    let label = width(run.sources.iter()).max(3);
    let column = width(run.targets.iter()).max(7) + 2;
    let splits = match run.splits.len() {
        1 => format!("split {}", run.splits[0]),
        n => format!("mean of {n} splits"),
    };
    let mut header = format!("{:label$}", "src");
    run.targets.iter().for_each(|t| push(&mut header, format_args!("{t:>column$}")));
    let mut lines = vec![format!("R2 of {}, {splits}", model.label), header];
    for (source, row) in run.sources.iter().zip(means.rows()) {
        let mut line = format!("{source:label$}");
        for (target, value) in run.targets.iter().zip(row) {
            let lost = verdict.is_some_and(|v| v.duel(source, target).is_some_and(|d| !d.won()));
            let mark = if lost { '*' } else { ' ' };
            let text = if value.is_nan() { format!("-{mark}") } else { format!("{value:.3}{mark}") };
            push(&mut line, format_args!("{text:>column$}"));
        }
        lines.push(line);
    }
    lines
}

fn beside(out: &mut String, left: &[String], right: &[String]) {
    let first = width(left.iter());
    if first + 4 + width(right.iter()) > WIDTH || left.len() != right.len() {
        left.iter().chain(right).for_each(|line| line_to(out, line));
        return;
    }
    for (a, b) in left.iter().zip(right) {
        line_to(out, &format!("{a:first$}    {b}"));
    }
}

fn width<'a>(texts: impl Iterator<Item = &'a String>) -> usize {
    texts.map(|t| t.chars().count()).max().unwrap_or(0)
}

fn line_to(out: &mut String, line: &str) {
    out.push_str(line.trim_end());
    out.push('\n');
}

fn push(line: &mut String, text: std::fmt::Arguments) {
    // Writing to a String does not fail.
    let _ = line.write_fmt(text);
}
