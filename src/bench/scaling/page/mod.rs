//! `scaling.html`: one page that needs no network and runs no script, in the style of the report.

mod efficiency;
mod frame;
mod messages;
mod phases;
mod tables;

use super::{ScalingReport, text};
use crate::report::html::document;
use crate::report::html::escape::Escaped;
use crate::report::phrase::count;

const STYLE: &str = include_str!("style.css");

/// The page on `report`, which `command` made.
pub(super) fn page(report: &ScalingReport, command: &str) -> String {
    let sections = [
        ("efficiency", "Efficiency", efficiency::section(report)),
        ("phases", "Where a step's time goes", phases::section(report)),
        ("messages", "Messages", messages::section(report)),
        ("measured", "Measured", tables::measured(report)),
        ("predicted", "Predicted", tables::predicted(report)),
        ("run", "How it was run", run(report, command)),
    ];
    let title = format!("{}: {} scaling over ranks", report.task, report.mode.name());
    document(&title, &head(report), STYLE, &sections)
}

fn head(report: &ScalingReport) -> String {
    let fair = report.measured.iter().filter(|of| !of.oversubscribed);
    let mut out = String::new();
    if let Some(of) = fair.max_by_key(|of| of.ranks).filter(|of| of.ranks > 1) {
        out.push_str(&format!(
            "<p class=\"lead\">Measured efficiency on {} ranks: <b>{:.0} %</b>.</p>",
            of.ranks,
            100.0 * of.efficiency.median
        ));
    }
    if let Some(functional) = text::functional(report) {
        out.push_str(&format!("<p class=\"lost\"><b>Take note:</b> {}.</p>", Escaped(&functional)));
    }
    out
}

fn run(report: &ScalingReport, command: &str) -> String {
    let threads = report.measured.first().and_then(|of| of.phases.first()).map_or(1, |rank| rank.threads);
    let mut out = String::from("<dl>");
    let mut line = |name: &str, what: &str| {
        out.push_str(&format!("<dt>{name}</dt><dd>{}</dd>", Escaped(what)));
    };
    line("Command", command);
    line("Hosts", &report.hosts.join(", "));
    line("Processors", &report.processors.to_string());
    line("Computed on", &format!("{}, {} a rank", report.device, count(threads, "thread")));
    line("crossrx", env!("CARGO_PKG_VERSION"));
    out.push_str("</dl>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scaling::{Measured, Mode, Model, Network, NetworkWish, Phase, RankPhases, Work};
    use crate::bench::{CommReport, Message, MessageTime, Quartiles};

    fn around(median: f64) -> Quartiles {
        Quartiles { low: 0.9 * median, median, high: 1.1 * median }
    }

    fn report(oversubscribed: bool) -> ScalingReport {
        let rank = |rank| RankPhases {
            rank,
            host: "<n>".into(),
            threads: 1,
            seconds: [
                (Phase::Forward, 0.4),
                (Phase::Backward, 0.5),
                (Phase::Reduce, 0.1),
                (Phase::Step, 1.0),
            ]
            .into(),
        };
        let measured = |ranks: usize| Measured {
            ranks,
            lanes: ranks,
            batch: 512,
            most_ranks: 512,
            pairs: 512.0,
            oversubscribed: oversubscribed && ranks > 2,
            step: around(0.01 / ranks as f64),
            efficiency: around(1.0 / ranks as f64),
            work: 0.01 / ranks as f64,
            gradient_bytes: 1 << 20,
            buckets: 2,
            phases: (0..ranks).map(rank).collect(),
        };
        let message = |(message, bytes): (Message, usize)| MessageTime {
            message,
            ranks: 2,
            nodes: 1,
            ranks_per_node: Some(2),
            oversubscribed: false,
            bytes,
            rounds: 3,
            seconds: around(1e-6 + bytes as f64 * 1e-9),
        };
        let sizes = (0..5).map(|power| 1024usize << (2 * power));
        let kinds = [Message::TreeSum, Message::LibrarySum, Message::PingPong];
        let messages = kinds.iter().flat_map(|&kind| sizes.clone().map(move |bytes| (kind, bytes)));
        let comm = CommReport {
            hosts: vec!["<n>".into()],
            ranks: 4,
            processors: 2,
            messages: messages.map(message).collect(),
        };
        let measured: Vec<Measured> = [1, 2, 4].map(measured).into();
        let work = Work::of(&measured, Mode::Strong).unwrap();
        let network = Network::fit(&comm, &NetworkWish::default(), 2).unwrap();
        ScalingReport {
            mode: Mode::Strong,
            task: "A & B split 0".into(),
            device: "processors".into(),
            hosts: vec!["<n>".into()],
            processors: 2,
            functional_only: oversubscribed,
            measured,
            comm: Some(comm),
            model: Some(Model::new(work, network, &[50.0])),
        }
    }

    /// Every element that is opened is closed, in order.
    fn balanced(page: &str) -> bool {
        let mut open: Vec<&str> = Vec::new();
        for tag in page.split('<').skip(1) {
            let Some((tag, _)) = tag.split_once('>') else { return false };
            let name = tag.split([' ', '\n']).next().unwrap_or_default();
            match name.strip_prefix('/') {
                Some(name) if open.pop() != Some(name) => return false,
                Some(_) => {}
                None if name.starts_with('!')
                    || ["meta", "link", "br"].contains(&name)
                    || tag.ends_with('/') => {}
                None => open.push(name),
            }
        }
        open.is_empty()
    }

    #[test]
    fn the_page_is_whole_and_says_what_is_measured_and_what_assumed() {
        for functional in [true, false] {
            let page = page(&report(functional), "crossrx bench <scaling>");
            assert!(balanced(&page), "{page}");
            assert!(!page.contains("NaN") && !page.contains("inf") && !page.contains("<script"), "{page}");
            assert!(page.contains("A &amp; B split 0") && page.contains("bench &lt;scaling&gt;"));
            assert!(page.contains("between nodes: assumed") && page.contains("ASSUMED, not measured"));
            assert_eq!(page.contains("functional only"), functional);
            assert_eq!(page.matches("class=\"point hollow\"").count(), usize::from(functional));
            assert_eq!(page.matches("class=\"band ").count(), 2);
        }
    }

    #[test]
    fn a_page_without_messages_says_so() {
        let mut report = report(false);
        (report.comm, report.model) = (None, None);
        let page = page(&report, "c");
        assert!(balanced(&page) && page.contains("No message times") && !page.contains("id=\"messages\""));
    }
}
