use super::escape::Escaped;
use super::number;
use crate::metric::Epoch;
use crate::report::models::Models;
use crate::report::tree::Run;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 46.0;
const BOTTOM: f64 = 30.0;
const TOP: f64 = 22.0;
const RIGHT: f64 = 10.0;

/// Training and validation loss over epochs, one panel a source, one line a split.
pub(super) fn section(models: &Models) -> String {
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
    format!(
        "<p class=\"key\"><span class=\"line train\"></span>training loss <span class=\"line val\"></span>validation \
         loss <span class=\"dot\"></span>its lowest. One line a split.</p>{out}"
    )
}

fn panel(run: &Run, source: usize, name: &str) -> String {
    let curves: Vec<&Vec<Epoch>> = run
        .histories
        .iter()
        .filter(|((s, _), rows)| *s == source && !rows.is_empty())
        .map(|(_, rows)| rows)
        .collect();
    let losses = || {
        let both = curves.iter().flat_map(|rows| rows.iter()).flat_map(|e| [e.train_loss, e.val_loss]);
        both.filter(|v| v.is_finite() && *v > 0.0)
    };
    let (low, high) = losses().fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
    if high <= 0.0 {
        return String::new();
    }
    let last = curves.iter().flat_map(|rows| rows.iter()).map(|e| e.epoch).max().unwrap_or(1).max(2) as f64;
    let axis = Log::around(low, high);
    let x = |epoch: u32| LEFT + (WIDTH - LEFT - RIGHT) * (epoch as f64 - 1.0) / (last - 1.0);
    let y = |loss: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - axis.place(loss));
    let mut out = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Loss curves of {0}\">\
         <text class=\"title\" x=\"{LEFT}\" y=\"13\">{0}</text>",
        Escaped(name)
    );
    for tick in axis.ticks() {
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
    for tick in epochs(last) {
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
    for rows in &curves {
        for (class, loss) in [("train", (|e| e.train_loss) as fn(&Epoch) -> f64), ("val", |e| e.val_loss)] {
            let points = rows.iter().filter(|e| loss(e).is_finite() && loss(e) > 0.0);
            let points: Vec<String> =
                points.map(|e| format!("{:.1},{:.1}", x(e.epoch), y(loss(e)))).collect();
            out.push_str(&format!("<polyline class=\"{class}\" points=\"{}\"/>", points.join(" ")));
        }
    }
    for rows in &curves {
        let finite = rows.iter().filter(|e| e.val_loss.is_finite() && e.val_loss > 0.0);
        if let Some(best) = finite.min_by(|a, b| a.val_loss.total_cmp(&b.val_loss)) {
            let (cx, cy) = (x(best.epoch), y(best.val_loss));
            out.push_str(&format!("<circle class=\"best\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"2.6\"/>"));
        }
    }
    out.push_str("</svg>");
    out
}

/// A logarithmic axis between two positive values.
struct Log {
    low: f64,
    high: f64,
}

impl Log {
    fn around(low: f64, high: f64) -> Self {
        let room = (high / low).powf(0.06).max(1.05);
        Self { low: low / room, high: high * room }
    }

    fn place(&self, value: f64) -> f64 {
        (value / self.low).ln() / (self.high / self.low).ln()
    }

    /// Two to six round values: 1, 2, 5 and, where those are too few, all digits.
    fn ticks(&self) -> Vec<f64> {
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let of = |digits: &[f64]| {
            let all = decades.clone().flat_map(|d| digits.iter().map(move |m| m * 10f64.powi(d)));
            all.filter(|v| (self.low..=self.high).contains(v)).collect::<Vec<f64>>()
        };
        let choices: [&[f64]; 5] = [
            &[1.0],
            &[1.0, 3.0],
            &[1.0, 2.0, 5.0],
            &[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0],
            &[
                1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0, 2.2, 2.5, 2.8, 3.2, 3.6, 4.0, 4.5, 5.0, 6.0,
                7.0, 8.0, 9.0,
            ],
        ];
        choices.into_iter().map(of).find(|ticks| (3..=6).contains(&ticks.len())).unwrap_or_else(|| {
            let all = of(choices[4]);
            let step = all.len().div_ceil(5).max(1);
            all.into_iter().step_by(step).collect()
        })
    }
}

fn epochs(last: f64) -> Vec<u32> {
    let rough = last / 4.0;
    let unit = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * unit).find(|s| *s >= rough).unwrap_or(1.0).max(1.0);
    let mut ticks = vec![1];
    let more = (1..).map(|i| (i as f64 * step) as u32).take_while(|t| *t as f64 <= last);
    ticks.extend(more.filter(|t| *t as f64 > 0.3 * step + 1.0));
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_axis_has_a_few_round_ticks_inside_it() {
        for (low, high) in [(0.01, 0.012), (0.004, 0.2), (1e-6, 1e3), (0.5, 0.5)] {
            let axis = Log::around(low, high);
            let ticks = axis.ticks();
            assert!((1..=8).contains(&ticks.len()), "{ticks:?} for {low} to {high}");
            assert!(ticks.iter().all(|t| (0.0..=1.0).contains(&axis.place(*t))));
        }
    }

    #[test]
    fn epochs_are_ticked_at_round_numbers() {
        assert_eq!(epochs(100.0), [1, 50, 100]);
        assert_eq!(epochs(4.0), [1, 2, 3, 4]);
        assert_eq!(epochs(37.0), [1, 10, 20, 30]);
    }
}
