use super::escape::Escaped;
use super::number;
use super::samples::Samples;
use super::ticks;
use crate::metric::Metric;
use crate::report::models::Models;
use crate::report::predictions::Sample;

/// Bins along either side of a panel.
const BINS: usize = 60;

/// Shades of density; `style.css` has as many.
const LEVELS: usize = 8;

/// Predicted against true as densities, sources by targets, all on one scale.
pub(super) fn section(models: &Models, samples: &Samples) -> String {
    let Some(range) = samples.range() else { return String::new() };
    let mut out = String::new();
    for (m, model) in models.all.iter().enumerate().filter(|(_, m)| !m.baseline) {
        let run = model.run;
        if !samples.of.keys().any(|at| at.0 == m) {
            continue;
        }
        let grid = samples.of.keys().any(|&(of, s, t)| of == m && run.sources[s] != run.targets[t]);
        let open = if m == 0 { " open" } else { "" };
        let columns = if grid { run.targets.len() } else { run.targets.len().min(4) };
        out.push_str(&format!(
            "<details{open}><summary>{}</summary><div class=\"scroll\" tabindex=\"0\"><div class=\"scatter\" \
             style=\"--columns:{columns}\">",
            Escaped(&model.label)
        ));
        for s in 0..run.sources.len() {
            for t in 0..run.targets.len() {
                let title = format!("{} → {}", run.sources[s], run.targets[t]);
                match samples.of.get(&(m, s, t)) {
                    Some((split, sample)) => {
                        let scores =
                            run.cells.get(&(s, t)).and_then(|cells| cells.get(split)?.scores.as_ref());
                        let r2 = scores.map_or(f64::NAN, |scores| Metric::R2.of(scores));
                        out.push_str(&panel(&title, r2, *split, sample, range));
                    }
                    None if grid => {
                        out.push_str(&format!(
                            "<div class=\"gap\">{}<br>no predictions</div>",
                            Escaped(&title)
                        ));
                    }
                    None => {}
                }
            }
        }
        out.push_str("</div></div></details>");
    }
    let endpoint = samples.endpoint(models);
    format!(
        "<p>Across: measured {0}; up: predicted {0}; all panels from {1} to {2}. Darker is denser, on a log scale \
         within a panel; the line is where predictions equal measurements. The first split that has predictions \
         is drawn. Points outside lie on the frame.</p>{out}",
        Escaped(endpoint),
        number::short(range.0),
        number::short(range.1)
    )
}

fn panel(title: &str, r2: f64, split: u32, sample: &Sample, (low, high): (f64, f64)) -> String {
    let bin = |value: f32| {
        let at = (value as f64 - low) / (high - low) * BINS as f64;
        (at.max(0.0) as usize).min(BINS - 1)
    };
    let mut counts = vec![0u32; BINS * BINS];
    for &(truth, predicted) in &sample.points {
        counts[(BINS - 1 - bin(predicted)) * BINS + bin(truth)] += 1;
    }
    let densest = counts.iter().copied().max().unwrap_or(0).max(1);
    let level = |count: u32| {
        let part = (count as f64).ln_1p() / (densest as f64).ln_1p();
        ((part * LEVELS as f64).ceil() as usize).min(LEVELS)
    };
    let size = BINS;
    let mut out = format!(
        "<figure><figcaption><b>{}</b><span>R² {} · {} pairs</span></figcaption><svg viewBox=\"-8 -0.5 {} {}\" \
         role=\"img\" aria-label=\"Predicted against true, {0}, split {split}\">",
        Escaped(title),
        number::fixed(r2, 3),
        number::count(sample.rows),
        size as f64 + 8.5,
        size as f64 + 5.5
    );
    for wanted in 1..=LEVELS {
        let path = runs(&counts, |count| count > 0 && level(count) == wanted);
        if !path.is_empty() {
            out.push_str(&format!("<path class=\"d{wanted}\" d=\"{path}\"/>"));
        }
    }
    out.push_str(&format!("<path class=\"identity\" d=\"M0 {size}L{size} 0\"/>"));
    let mut frame = format!("M0 0H{size}V{size}H0z");
    for tick in ticks::linear(low, high) {
        let at = (tick - low) / (high - low) * size as f64;
        let (up, text) = (size as f64 - at, number::short(tick));
        frame.push_str(&format!("M{at:.2} {size}v-1M0 {up:.2}h1"));
        out.push_str(&format!(
            "<text x=\"{at:.2}\" y=\"{}\" text-anchor=\"middle\">{text}</text><text x=\"-1\" y=\"{:.2}\" \
             text-anchor=\"end\">{text}</text>",
            size as f64 + 4.0,
            up + 1.0
        ));
    }
    out.push_str(&format!("<path class=\"frame\" d=\"{frame}\"/></svg></figure>"));
    out
}

/// The bins that `wanted` picks as an SVG path, one rectangle a run along a row.
fn runs(counts: &[u32], wanted: impl Fn(u32) -> bool) -> String {
    let mut path = String::new();
    for (y, row) in counts.chunks(BINS).enumerate() {
        let mut x = 0;
        while x < BINS {
            let length = row[x..].iter().take_while(|&&count| wanted(count)).count();
            if length > 0 {
                path.push_str(&format!("M{x} {y}h{length}v1h-{length}z"));
            }
            x += length + 1;
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_become_one_rectangle_a_run() {
        let mut counts = vec![0; BINS * BINS];
        counts[3] = 1;
        counts[4] = 1;
        counts[6] = 1;
        counts[BINS] = 1;
        assert_eq!(runs(&counts, |c| c == 1), "M3 0h2v1h-2zM6 0h1v1h-1zM0 1h1v1h-1z");
    }

    #[test]
    fn points_outside_the_range_lie_on_the_frame() {
        let sample =
            Sample { endpoint: "auc".into(), rows: 2, unpredicted: 0, points: vec![(0.5, 9.0), (-9.0, 0.0)] };
        let drawn = panel("A → <B>", 0.5, 0, &sample, (0.0, 1.0));
        assert!(drawn.contains("M30 0h1") && drawn.contains("M0 59h1"), "{drawn}");
        assert!(drawn.contains("A → &lt;B&gt;") && !drawn.contains("<B>"));
    }
}
