use crate::bench::scaling::{Mode, Phase, ScalingReport, text};
use crate::report::html::escape::Escaped;
use crate::report::html::number;
use crate::report::phrase::count;

/// A row a number of ranks.
pub(super) fn measured(report: &ScalingReport) -> String {
    let phases = [
        Phase::Assemble,
        Phase::Forward,
        Phase::Backward,
        Phase::Reduce,
        Phase::Wait,
        Phase::Update,
        Phase::Rest,
        Phase::Sums,
    ];
    let mut out = String::from(
        "<p>Milliseconds of a step; <b>sums</b> is what the thread that sums over ranks was busy for, beside backward \
         and after it. Seconds of reading, once a training, and of scoring the validation pairs, once an epoch.</p>\
         <div class=\"scroll\"><table class=\"plain dense\"><thead><tr><th class=\"n\">ranks</th><th class=\"n\">lanes</th>\
         <th class=\"n\">pairs</th><th class=\"n\">step</th><th class=\"n\">quartiles</th><th class=\"n\">efficiency</th>",
    );
    let heads = phases.iter().map(|phase| phase.name()).chain(["read", "score"]);
    heads.for_each(|name| out.push_str(&format!("<th class=\"n\">{name}</th>")));
    out.push_str("</tr></thead><tbody>");
    for of in &report.measured {
        out.push_str("<tr>");
        let mut cell = |text: String| out.push_str(&format!("<td class=\"n\">{text}</td>"));
        cell(format!("{}{}", of.ranks, if of.oversubscribed { " (crowded)" } else { "" }));
        cell(of.lanes.to_string());
        cell(number::count(of.pairs.round() as u64));
        let ms = |seconds: f64| number::fixed(seconds * 1e3, 2);
        cell(ms(of.step.median));
        cell(format!("{}–{}", ms(of.step.low), ms(of.step.high)));
        cell(number::fixed(of.efficiency.median, 3));
        phases.iter().for_each(|&phase| cell(of.phase(phase).map_or("–".into(), ms)));
        for phase in [Phase::Read, Phase::Score] {
            cell(of.phase(phase).map_or("–".into(), |seconds| number::fixed(seconds, 3)));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    out
}

/// The model's parameters, and a row a number of ranks.
pub(super) fn predicted(report: &ScalingReport) -> String {
    let Some(model) = &report.model else {
        return "<p>No message times were measured or given, so nothing is predicted.</p>".into();
    };
    let (work, network) = (&model.work, &model.network);
    let ranks: Vec<String> = work.ranks.iter().map(usize::to_string).collect();
    let shares = match work.mode {
        Mode::Strong => format!(
            "{:.3} ms on one rank, of which every rank does {:.3} ms and ranks share the rest (from {} ranks)",
            work.on_one() * 1e3,
            work.serial * 1e3,
            ranks.join(", ")
        ),
        Mode::Weak => format!("{:.3} ms, as much on every rank", work.on_one() * 1e3),
    };
    let mut out = String::from("<dl>");
    for (name, what) in [
        ("A step computes", shares),
        (
            "Backward",
            format!(
                "{:.0} % of it but the update of the parameters; sums may go on beside",
                100.0 * work.backward
            ),
        ),
        (
            "Gradients",
            format!(
                "{:.2} MiB in {}",
                work.gradient_bytes as f64 / f64::from(1 << 20),
                count(work.buckets, "message")
            ),
        ),
        ("Ranks a node", network.ranks_per_node.to_string()),
        ("Within a node", text::link(&network.within)),
        ("Between nodes", text::link(&network.between)),
    ] {
        out.push_str(&format!("<dt>{name}</dt><dd>{}</dd>", Escaped(&what)));
    }
    out.push_str(
        "</dl><p>Time of the sums of a step, and efficiency from no overlap with backward to full overlap, by time of a \
         step on one rank.</p><table class=\"plain dense\"><thead><tr><th class=\"n\">ranks</th><th class=\"n\">sums, ms</th>",
    );
    for prediction in &model.predictions {
        let which = if prediction.measured { " (measured)" } else { "" };
        out.push_str(&format!("<th class=\"n\">{:.2} ms{which}</th>", prediction.step_ms));
    }
    out.push_str("</tr></thead><tbody>");
    let longest = model.predictions.iter().map(|p| &p.bands).max_by_key(|bands| bands.len());
    for ranks in longest.into_iter().flatten().map(|band| band.ranks).filter(|&ranks| ranks > 1) {
        out.push_str(&format!(
            "<tr><td class=\"n\">{}</td><td class=\"n\">{}</td>",
            number::count(ranks as u64),
            number::fixed(model.sums(ranks) * 1e3, 3)
        ));
        for prediction in &model.predictions {
            let band = prediction.bands.iter().find(|band| band.ranks == ranks);
            let text = band.map_or("–".into(), |b| format!("{:.3}–{:.3}", b.low, b.high));
            out.push_str(&format!("<td class=\"n\">{text}</td>"));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table>");
    out
}
