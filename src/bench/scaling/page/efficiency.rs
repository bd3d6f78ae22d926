use super::frame::{Frame, logarithmic};
use crate::bench::scaling::model::MOST;
use crate::bench::scaling::{Measured, Mode, Model, Origin, ScalingReport, text};
use crate::report::html::escape::Escaped;
use crate::report::html::number;

/// Bands that are told apart by colour.
const COLOURS: usize = 3;

/// Measured efficiency beside the model's bands, over ranks.
pub(super) fn section(report: &ScalingReport) -> String {
    let frame = Frame { top: 36.0, height: 358.0, right: 150.0, ..Frame::WIDE };
    let predicted = report.model.iter().flat_map(|model| &model.predictions).flat_map(|p| &p.bands);
    let last = predicted.map(|band| band.ranks).chain(report.measured.iter().map(|of| of.ranks)).max();
    let last = last.unwrap_or(1).max(2);
    let short = report.model.is_some() && last < MOST;
    let last = last as f64;
    let top = report.measured.iter().map(|of| of.efficiency.high).fold(1.0, f64::max).min(4.0) * 1.08;
    let (x, y) =
        (|ranks: usize| logarithmic(ranks as f64, 1.0, last), |part: f64| (part / top).clamp(0.0, 1.0));
    let mut out = frame.open("Efficiency over ranks, measured and predicted");
    for percent in (0..=(top * 100.0) as usize).step_by(if top > 2.0 { 50 } else { 20 }) {
        out.push_str(&frame.rule(y(percent as f64 / 100.0), &format!("{percent} %")));
    }
    for power in 0..=last.log2().floor() as u32 {
        let ranks = 1usize << power;
        out.push_str(&frame.tick(x(ranks), &ranks.to_string()));
    }
    out.push_str(&frame.names("ranks", "efficiency against one rank"));
    if let Some(model) = &report.model {
        bands(&mut out, &frame, model, &x, &y);
        let per_node = model.network.ranks_per_node;
        if (per_node as f64) < last {
            edge(&mut out, &frame, model, x(per_node));
        }
    }
    for of in &report.measured {
        point(&mut out, &frame, of, x(of.ranks), &y);
    }
    if let Some(functional) = text::functional(report) {
        out.push_str(&format!("<text class=\"loud\" x=\"4\" y=\"26\">{}</text>", Escaped(&functional)));
    }
    out.push_str("</svg>");
    let formula = match report.mode {
        Mode::Strong => "T(1) / (r T(r)), the pairs of a step shared by r ranks",
        Mode::Weak => "T(1) / T(r), the pairs of a step growing with the ranks",
    };
    let model = match report.model {
        Some(_) => {
            "Bands: the model, from no overlap of the sums over ranks with backward (lower edge) to full overlap \
             (upper edge); it leaves out waiting for slower ranks."
        }
        None => "No message times, so no prediction.",
    };
    let short = if short {
        " Bands end where a step has no pair, or the deck no lane, for another rank."
    } else {
        ""
    };
    format!(
        "<p>{formula}. Points: the median step, with quartiles; hollow where threads outnumber processors or ranks share a GPU. {model}{short}</p>{out}"
    )
}

fn bands(out: &mut String, frame: &Frame, model: &Model, x: &dyn Fn(usize) -> f64, y: &dyn Fn(f64) -> f64) {
    let mut labels = Vec::new();
    for (number, prediction) in model.predictions.iter().enumerate().rev() {
        let colour = number % COLOURS;
        let low = prediction.bands.iter().map(|band| (x(band.ranks), y(band.low)));
        let high = prediction.bands.iter().rev().map(|band| (x(band.ranks), y(band.high)));
        let which = if prediction.measured { "measured step" } else { "step" };
        let what = format!("{which}, {}", milliseconds(prediction.step_ms));
        out.push_str(&format!(
            "<polygon class=\"band b{colour}\" points=\"{}\"><title>{what}</title></polygon>",
            frame.points(low.chain(high))
        ));
        if let Some(last) = prediction.bands.last() {
            labels.push((frame.y(y(0.5 * (last.low + last.high))), x(last.ranks), colour, what));
        }
    }
    // Labels of bands that end near one another stand one above the other, in the order of the bands.
    labels.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut free = f64::INFINITY;
    for (at, x, colour, what) in labels {
        free = free.min(at + 3.0);
        out.push_str(&format!(
            "<text class=\"b{colour}\" x=\"{:.1}\" y=\"{free:.1}\">{what}</text>",
            frame.x(x) + 6.0
        ));
        free -= 12.0;
    }
}

fn milliseconds(ms: f64) -> String {
    format!("{} ms", number::short((ms * 100.0).round() / 100.0))
}

/// Where messages begin to leave a node.
fn edge(out: &mut String, frame: &Frame, model: &Model, part: f64) {
    let at = frame.x(part);
    let between = match model.network.between.origin {
        Origin::Assumed => "between nodes: assumed →",
        _ => "between nodes →",
    };
    out.push_str(&format!(
        "<path class=\"edge-line\" d=\"M{at:.1} {}V{}\"/><text x=\"{:.1}\" y=\"{}\">{between}</text>",
        frame.top,
        frame.height - frame.bottom,
        at + 5.0,
        frame.top + 11.0
    ));
}

fn point(out: &mut String, frame: &Frame, of: &Measured, part: f64, y: &dyn Fn(f64) -> f64) {
    let [low, at, high] =
        [of.efficiency.low, of.efficiency.median, of.efficiency.high].map(|value| frame.y(y(value)));
    let x = frame.x(part);
    out.push_str(&format!(
        "<path class=\"whisker\" d=\"M{x:.1} {low:.1}V{high:.1}m-4 0h8M{:.1} {low:.1}h8\"/>\
         <circle class=\"point{}\" cx=\"{x:.1}\" cy=\"{at:.1}\" r=\"4\"><title>{} ranks: {:.1} %</title></circle>",
        x - 4.0,
        if of.oversubscribed { " hollow" } else { "" },
        of.ranks,
        100.0 * of.efficiency.median
    ));
}
