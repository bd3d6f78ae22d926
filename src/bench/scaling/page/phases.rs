use super::frame::Frame;
use crate::bench::scaling::{Phase, ScalingReport};
use crate::report::html::{number, ticks};

/// A bar a number of ranks, of the means over ranks of a step's phases.
pub(super) fn section(report: &ScalingReport) -> String {
    let frame = Frame { height: 300.0, right: 20.0, ..Frame::WIDE };
    let parts = |of: &crate::bench::scaling::Measured| -> Vec<(Phase, f64)> {
        let told: Vec<_> = Phase::OF_STEP.iter().filter_map(|&p| Some((p, of.phase(p)?))).collect();
        if told.is_empty() {
            of.phase(Phase::Step).map(|s| (Phase::Step, s)).into_iter().collect()
        } else {
            told
        }
    };
    let whole = |of| parts(of).iter().map(|(_, seconds)| seconds).sum::<f64>();
    let top = report.measured.iter().map(whole).fold(0.0, f64::max) * 1e3 * 1.1;
    if top <= 0.0 {
        return String::new();
    }
    let mut out = frame.open("Milliseconds of a step by phase, for each number of ranks");
    for tick in ticks::linear(0.0, top) {
        out.push_str(&frame.rule(tick / top, &number::short(tick)));
    }
    out.push_str(&frame.names("ranks", "ms a step, mean over ranks"));
    let slot = 1.0 / report.measured.len() as f64;
    let width = (frame.x(slot) - frame.x(0.0)) * 0.62;
    for (number, of) in report.measured.iter().enumerate() {
        let middle = slot * (number as f64 + 0.5);
        let crowded = if of.oversubscribed { " (crowded)" } else { "" };
        out.push_str(&frame.tick(middle, &format!("{}{crowded}", of.ranks)));
        let mut below = 0.0;
        for (phase, seconds) in parts(of) {
            let ms = seconds * 1e3;
            let (low, high) = (frame.y(below / top), frame.y((below + ms) / top));
            below += ms;
            out.push_str(&format!(
                "<rect class=\"p-{0}\" x=\"{1:.1}\" y=\"{high:.1}\" width=\"{width:.1}\" height=\"{2:.1}\"><title>{3} ranks, {0}: {ms:.3} ms</title></rect>",
                phase.name(),
                frame.x(middle) - width / 2.0,
                (low - high).max(0.0),
                of.ranks
            ));
        }
    }
    out.push_str("</svg>");
    let drawn = report.measured.first().map(parts).unwrap_or_default();
    let key: String = drawn
        .iter()
        .map(|(phase, _)| format!("<span class=\"swatch p-{0}\"></span>{0}", phase.name()))
        .collect();
    format!(
        "<p>Means over the middle half of the steps. <b>reduce</b> is what sums over ranks hold a step up: lanes \
         added, and the least time that any rank waited at its end, for the last to come waits for the sum alone. \
         <b>wait</b> is what a rank waited beyond that, for ranks that were behind. Crowded: more threads than \
         processors, or several ranks on a GPU.</p><p class=\"key\">{key}</p>{out}"
    )
}
