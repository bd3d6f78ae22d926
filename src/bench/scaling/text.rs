use super::{Link, Mode, Origin, Phase, ScalingReport};
use crate::bench::comm::size_in_words;
use crate::report::phrase::count;
use std::fmt;

/// Said wherever the measurement is shown.
pub(super) fn functional(report: &ScalingReport) -> Option<String> {
    report.functional_only.then(|| {
        format!(
            "measured on {}: functional only, it shows that ranks work together, not how a cluster scales",
            count(report.processors, "processor")
        )
    })
}

/// Root mean square of the logarithm of predicted over measured time beyond which the model does not describe a
/// machine: a factor of two.
const POOR: f64 = std::f64::consts::LN_2;

/// What a link was found or taken to be.
pub(super) fn link(link: &Link) -> String {
    let rate = 1e-9 / link.per_byte;
    match link.origin {
        Origin::Unused => "no message goes this way".into(),
        Origin::Assumed => format!(
            "ASSUMED, not measured: {:.1} us a message, {:.1} Gbit/s a node (--network-latency-us, --network-gbps)",
            link.latency * 1e6,
            2.0 * 8.0 * rate
        ),
        Origin::Fitted { points, deviation, bytes, ranks, oversubscribed } => format!(
            "{:.2} us a message, {rate:.2} GB/s summed; predicted over measured within a factor of {:.2} (rms of {points} messages of {} to {} over {} ranks){}{}",
            link.latency * 1e6,
            deviation.exp(),
            size_in_words(bytes[0]),
            size_in_words(bytes[1]),
            if ranks[0] == ranks[1] { ranks[0].to_string() } else { format!("{} to {}", ranks[0], ranks[1]) },
            if oversubscribed { ", more ranks than processors in all of them" } else { "" },
            if deviation > POOR { "; A POOR FIT: was the machine busy?" } else { "" }
        ),
    }
}

impl fmt::Display for ScalingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = self.measured.first().and_then(|of| of.phases.first()).map_or(1, |rank| rank.threads);
        writeln!(
            f,
            "{}, {} scaling, {} a rank on {}, {} of {}",
            self.task,
            self.mode.name(),
            count(threads, "thread"),
            self.device,
            count(self.processors, "processor"),
            count(self.hosts.len(), "host")
        )?;
        writeln!(
            f,
            "{:>6} {:>9} {:>10} {:>11} {:>13} {:>9} {:>9}",
            "ranks", "pairs", "ms a step", "efficiency", "quartiles", "reduce", "wait"
        )?;
        for of in &self.measured {
            let ms = |phase| of.phase(phase).map_or("-".into(), |s| format!("{:.2}", s * 1e3));
            writeln!(
                f,
                "{:>6} {:>9.0} {:>10.2} {:>11.3} {:>13} {:>9} {:>9}{}",
                of.ranks,
                of.pairs,
                of.step.median * 1e3,
                of.efficiency.median,
                format!("{:.2} to {:.2}", of.efficiency.low, of.efficiency.high),
                ms(Phase::Reduce),
                ms(Phase::Wait),
                if of.oversubscribed {
                    "  more threads than processors, or ranks that share a GPU"
                } else {
                    ""
                }
            )?;
        }
        if let Some(functional) = functional(self) {
            writeln!(f, "  {functional}")?;
        }
        let Some(model) = &self.model else { return writeln!(f, "no message times, so no prediction") };
        writeln!(f, "within a node:  {}", link(&model.network.within))?;
        writeln!(f, "between nodes:  {}", link(&model.network.between))?;
        let work = &model.work;
        let shares = match work.mode {
            Mode::Strong => format!("{:.3} ms of it on every rank, the rest shared", work.serial * 1e3),
            Mode::Weak => "as much on every rank".into(),
        };
        writeln!(
            f,
            "a step on one rank: {:.2} ms, {shares}; gradients of {:.1} MiB in {}, {} a node",
            work.on_one() * 1e3,
            work.gradient_bytes as f64 / f64::from(1 << 20),
            count(work.buckets, "bucket"),
            count(model.network.ranks_per_node, "rank")
        )?;
        for prediction in &model.predictions {
            let which = if prediction.measured { "the measured step" } else { "a step" };
            writeln!(
                f,
                "predicted efficiency, {which} of {:.2} ms, no overlap to full overlap:",
                prediction.step_ms
            )?;
            for band in prediction.bands.iter().filter(|band| band.ranks >= super::FEWEST) {
                writeln!(f, "{:>6} ranks  {:.3} to {:.3}", band.ranks, band.low, band.high)?;
            }
        }
        Ok(())
    }
}
