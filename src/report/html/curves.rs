use super::escape::Escaped;
use super::number;
use super::ticks;
use crate::metric::Epoch;
use crate::report::models::Models;
use crate::report::tree::Run;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 46.0;
const BOTTOM: f64 = 30.0;
const TOP: f64 = 22.0;
const RIGHT: f64 = 10.0;

/// Training and validation loss over epochs, one panel a source, one line a
/// split, in the units of `endpoint`, squared.
pub(super) fn section(models: &Models, endpoint: &str) -> String {
    let mut out = String::new();
    for model in models.main().filter(|m| !m.run.histories.is_empty()) {
        let run = model.run;
        if models.main().count() > 1 {
            out.push_str(&format!("<h3>{}</h3>", Escaped(&model.label)));
        }
        out.push_str("<div class=\"panels\">");
        for (s, source) in run.sources.iter().enumerate() {
            out.push_str(&panel(run, s, source));
        }
        out.push_str("</div>");
    }
    if out.is_empty() {
        return out;
    }
    let units = if endpoint.is_empty() { "the endpoint".into() } else { Escaped(endpoint).to_string() };
    format!(
        "<p>Squared units of {units}, log scale. Training: the loss that the deck chose, with dropout, so it may \
         lie above that of validation, which is the mean squared error.</p>\
         <p class=\"key\"><span class=\"line train\"></span>training loss <span class=\"line val\"></span>validation \
         loss <span class=\"dot\"></span>its lowest <span class=\"cross\">×</span>loss not finite. One line a \
         split.</p>{out}"
    )
}

fn panel(run: &Run, source: usize, name: &str) -> String {
    let of_source = run.histories.iter().filter(|((s, _), rows)| *s == source && !rows.is_empty());
    let curves: Vec<(String, &[Epoch])> =
        of_source.map(|((_, split), rows)| (format!("split {split}, "), rows.as_slice())).collect();
    chart(name, &curves)
}

/// Training and validation loss of each of `curves`, a text that goes before
/// "training loss" and epochs in order; empty without an epoch. All texts are
/// escaped here.
pub(in crate::report) fn chart(name: &str, curves: &[(String, &[Epoch])]) -> String {
    let epochs = || curves.iter().flat_map(|(_, rows)| rows.iter());
    let Some(last) = epochs().map(|e| e.epoch).max() else { return String::new() };
    let losses = epochs().flat_map(|e| [e.train_loss, e.val_loss]).filter(|v| drawable(*v));
    let (low, high) = losses.fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
    if high <= 0.0 {
        return format!("<div class=\"gap\">{}<br>no finite loss in {last} epochs</div>", Escaped(name));
    }
    let axis = Log::around(low, high);
    let x = |epoch: u32| LEFT + (WIDTH - LEFT - RIGHT) * (epoch as f64 - 1.0) / (last.max(2) as f64 - 1.0);
    let y = |loss: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - axis.place(loss));
    let mut out = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Loss curves of {0}\">\
         <text class=\"title\" x=\"{LEFT}\" y=\"13\">{0}</text>",
        Escaped(name)
    );
    for tick in ticks::logarithmic(axis.low, axis.high) {
        let at = y(tick);
        out.push_str(&format!(
            "<path class=\"rule\" d=\"M{LEFT} {at:.1}H{:.1}\"/><text class=\"tick\" x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 5.0,
            at + 3.0,
            number::short(tick)
        ));
    }
    for tick in ticks::epochs(last) {
        out.push_str(&format!(
            "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>",
            x(tick),
            HEIGHT - BOTTOM + 14.0
        ));
    }
    out.push_str(&format!(
        "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">epoch</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 3.0
    ));
    for (label, rows) in curves {
        for (class, what, loss) in LINES {
            out.push_str(&format!("<g class=\"{class}\"><title>{}{what} loss</title>", Escaped(label)));
            for part in rows.split(|e| !drawable(loss(e))).filter(|part| !part.is_empty()) {
                let point = |e: &Epoch| format!("{:.1},{:.1}", x(e.epoch), y(loss(e)));
                let mut points: Vec<String> = part.iter().map(point).collect();
                if let [only] = &points[..] {
                    // With round ends, a line from a point to itself is a dot.
                    points.push(only.clone());
                }
                out.push_str(&format!("<polyline points=\"{}\"/>", points.join(" ")));
            }
            out.push_str(&crosses(rows.iter().filter(|e| !loss(e).is_finite()).map(|e| x(e.epoch))));
            out.push_str("</g>");
        }
    }
    for (_, rows) in curves {
        let finite = rows.iter().filter(|e| drawable(e.val_loss));
        if let Some(best) = finite.min_by(|a, b| a.val_loss.total_cmp(&b.val_loss)) {
            let (cx, cy) = (x(best.epoch), y(best.val_loss));
            out.push_str(&format!("<circle class=\"best\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"2.6\"/>"));
        }
    }
    out.push_str("</svg>");
    out
}

type Loss = fn(&Epoch) -> f64;

const LINES: [(&str, &str, Loss); 2] =
    [("train", "training", |e| e.train_loss), ("val", "validation", |e| e.val_loss)];

/// A log axis has no place for zero.
fn drawable(loss: f64) -> bool {
    loss.is_finite() && loss > 0.0
}

/// A cross at the top of the panel at each of `at`, those closer than their
/// width left out.
fn crosses(at: impl Iterator<Item = f64>) -> String {
    let (mut path, mut free) = (String::new(), 0.0);
    for x in at.filter(|x| *x >= LEFT) {
        if x >= free {
            path.push_str(&format!("M{:.1} {TOP}l5 5m0 -5l-5 5", x - 2.5));
            free = x + 6.0;
        }
    }
    if path.is_empty() { path } else { format!("<path class=\"lost\" d=\"{path}\"/>") }
}

/// A logarithmic axis between two positive values.
struct Log {
    low: f64,
    high: f64,
}

/// Decades drawn below the highest loss; lower ones lie on the frame.
const DECADES: i32 = 30;

impl Log {
    fn around(low: f64, high: f64) -> Self {
        // Far enough from the ends of f64 that nothing below overflows.
        let high = high.clamp(1e-250, 1e300);
        let low = low.max(high / 10f64.powi(DECADES)).min(high);
        let room = (high / low).powf(0.06).max(1.05);
        Self { low: low / room, high: high * room }
    }

    fn place(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        (value / self.low).ln() / (self.high / self.low).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::run_json::RunInfo;
    use std::collections::BTreeMap;

    fn run(losses: &[f64]) -> Run {
        let epoch = |(i, &loss): (usize, &f64)| Epoch {
            epoch: i as u32 + 1,
            step: 1,
            learning_rate: 1e-3,
            train_loss: loss,
            val_loss: loss,
            val_r2: 0.5,
            seconds: 1.0,
        };
        Run {
            dir: "run".into(),
            model: "m".into(),
            info: RunInfo::default(),
            sources: vec!["A".into()],
            targets: vec!["A".into()],
            splits: vec![4],
            cells: BTreeMap::new(),
            histories: [((0, 4), losses.iter().enumerate().map(epoch).collect())].into(),
            deck: None,
            corpus: None,
            truth: None,
            runtime: None,
            baselines: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_line_breaks_where_the_loss_is_not_finite_and_a_cross_marks_it() {
        let drawn = panel(&run(&[0.5, 0.25, f64::NAN, 0.125, f64::INFINITY]), 0, "A");
        assert_eq!(drawn.matches("<polyline").count(), 4, "{drawn}");
        assert_eq!(drawn.matches("l5 5m0 -5l-5 5").count(), 4, "{drawn}");
        assert!(drawn.contains("<title>split 4, validation loss</title>"), "{drawn}");
        assert!(panel(&run(&[f64::NAN, f64::NAN]), 0, "A").contains("no finite loss in 2 epochs"));
    }

    #[test]
    fn hostile_losses_stay_inside_the_panel() {
        for losses in [[1e300, 1e-300], [f64::MAX, 5e-324], [5e-324, 1e-320], [0.5, 0.5]] {
            let drawn = panel(&run(&losses), 0, "A");
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
            assert!(drawn.matches("class=\"tick\"").count() <= 16, "{drawn}");
        }
    }
}
