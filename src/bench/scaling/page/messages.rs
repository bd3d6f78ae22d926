use super::frame::{Frame, logarithmic};
use crate::bench::comm::{Message, MessageTime, size_in_words};
use crate::bench::scaling::{Network, Origin, ScalingReport};
use crate::report::html::number;

/// Series that are told apart by colour.
const COLOURS: usize = 5;

/// Times of messages over their size, and the tree sums that the model has.
pub(super) fn section(report: &ScalingReport) -> String {
    let Some(comm) = &report.comm else { return String::new() };
    let mut drawn: Vec<(Message, usize, usize)> =
        comm.messages.iter().map(|m| (m.message, m.ranks, m.nodes)).collect();
    drawn.dedup();
    let mut series: Vec<(Message, usize, usize)> = Vec::new();
    drawn.into_iter().for_each(|one| {
        if !series.contains(&one) {
            series.push(one);
        }
    });
    let all = || comm.messages.iter();
    let (few, many) = ends(all().map(|m| m.bytes as f64));
    let (short, long) = ends(all().flat_map(|m| [m.seconds.low * 1e6, m.seconds.high * 1e6]));
    if !(few < many && short < long) {
        return String::new();
    }
    let frame = Frame { right: 168.0, height: 380.0, ..Frame::WIDE };
    let (x, y) = (|bytes: f64| logarithmic(bytes, few, many), |us: f64| logarithmic(us, short, long));
    let mut out = frame.open("Microseconds of messages over their size");
    for power in short.log10().ceil() as i32..=long.log10().floor() as i32 {
        let tick = 10f64.powi(power);
        out.push_str(&frame.rule(y(tick), &number::short(tick)));
    }
    let sizes: Vec<usize> = (2..44).map(|power| 1usize << power).collect();
    for size in sizes.iter().step_by(4).filter(|&&size| (few..=many).contains(&(size as f64))) {
        out.push_str(&frame.tick(x(*size as f64), &size_in_words(*size)));
    }
    out.push_str(&frame.names("bytes a rank", "µs, by the slowest rank"));
    let mut labels = Vec::new();
    for (number, &of) in series.iter().enumerate() {
        let colour = number % COLOURS;
        let own: Vec<&MessageTime> = all().filter(|m| (m.message, m.ranks, m.nodes) == of).collect();
        for m in &own {
            let (cx, cy) = (frame.x(x(m.bytes as f64)), frame.y(y(m.seconds.median * 1e6)));
            let [low, high] = [m.seconds.low, m.seconds.high].map(|seconds| frame.y(y(seconds * 1e6)));
            out.push_str(&format!("<path class=\"m{colour} series\" d=\"M{cx:.1} {low:.1}V{high:.1}\"/>"));
            let size = size_in_words(m.bytes);
            out.push_str(&format!(
                "<circle class=\"m{colour}\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"2.6\"><title>{}, {size}: {:.1} µs</title></circle>",
                name(of),
                m.seconds.median * 1e6
            ));
        }
        let line = |class: &str, points: String| {
            format!("<polyline class=\"m{colour} series{class}\" points=\"{points}\"/>")
        };
        let places = own.iter().map(|m| (x(m.bytes as f64), y(m.seconds.median * 1e6)));
        match report.model.as_ref().filter(|model| of.0 == Message::TreeSum && predicts(&model.network, of)) {
            Some(model) => {
                let of_size = |bytes: f64| model.network.tree_sum(bytes, 1, of.1) * 1e6;
                let steps = (0..=60).map(|at| few * (many / few).powf(f64::from(at) / 60.0));
                out.push_str(&line(
                    " fitted",
                    frame.points(steps.map(|bytes| (x(bytes), y(of_size(bytes))))),
                ));
            }
            None => out.push_str(&line("", frame.points(places))),
        }
        let end = own.last().map_or(0.0, |m| frame.y(y(m.seconds.median * 1e6)));
        labels.push((end, colour, name(of)));
    }
    // Labels at the right, from the top down, none over another.
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = 0.0f64;
    for (at, colour, name) in labels {
        free = free.max(at + 3.0);
        out.push_str(&format!(
            "<text class=\"m{colour}\" x=\"{:.1}\" y=\"{free:.1}\">{name}</text>",
            frame.width - frame.right + 8.0
        ));
        free += 13.0;
    }
    out.push_str("</svg>");
    format!(
        "<p>Medians, with quartiles. Dashed: the model of the tree sum, fitted on the lower quartiles of those sums over \
         powers of two of ranks that had a processor each; other lines only join what was measured.</p>{out}"
    )
}

/// Whether the model has a figure of its own for sums over these ranks.
fn predicts(network: &Network, (_, ranks, nodes): (Message, usize, usize)) -> bool {
    let fitted = |origin| matches!(origin, Origin::Fitted { .. });
    let inside = nodes == 1 && ranks <= network.ranks_per_node && fitted(network.within.origin);
    let across = nodes > 1 && ranks / nodes == network.ranks_per_node && fitted(network.between.origin);
    ranks.is_power_of_two() && (inside || across)
}

fn name((message, ranks, nodes): (Message, usize, usize)) -> String {
    let across = if nodes > 1 { format!(" on {nodes} nodes") } else { String::new() };
    format!("{}, {ranks} ranks{across}", message.name())
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(low, high), value| (low.min(value), high.max(value)))
}
