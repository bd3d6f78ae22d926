use super::{Case, MadeUp};
use crate::Result;
use crate::device::Device;
use crate::device::cuda::Precision;
use crate::graph::Parameters;
use crate::train::Scorer;
use serde::Serialize;
use std::fmt;
use std::time::Instant;

/// How fast one case's network scores a dataset here.
#[derive(Debug, Clone, Serialize)]
pub struct ScoreReport {
    /// Name of the case.
    pub case: &'static str,
    /// Pairs scored.
    pub pairs: usize,
    /// Threads.
    pub threads: usize,
    /// Seconds for every drug and sample to pass its tower.
    pub embed_s: f64,
    /// Seconds for all, towers included.
    pub seconds: f64,
    /// Pairs a second.
    pub pairs_per_s: f64,
}

/// Scores `pairs` pairs of made-up data of the shape of `case` on one rank.
pub fn measure_score(case: Case, pairs: usize, device: &Device, precision: Precision) -> Result<ScoreReport> {
    let made_up = MadeUp::new(case, 0, 1, None, device.clone(), precision)?;
    let problem = made_up.problem();
    let entities = case.sides().map(|side| (0..side.entities as u32).collect::<Vec<u32>>());
    let parameters = Parameters::<f32>::start(&problem.network.graph, 1)?;
    let mut scorer = Scorer::new(
        problem.network,
        problem.features.clone(),
        entities.each_ref().map(Vec::len),
        device,
        precision,
    )?;
    let examples = case.pairs(0..pairs);
    let mut predicted = Vec::with_capacity(pairs);
    let started = Instant::now();
    scorer.embed(&parameters, entities.each_ref().map(Vec::as_slice))?;
    let embed_s = started.elapsed().as_secs_f64();
    scorer.predict(&parameters, &examples, 0..pairs, &mut predicted)?;
    let seconds = started.elapsed().as_secs_f64();
    let threads = rayon::current_num_threads();
    Ok(ScoreReport {
        case: case.name(),
        pairs,
        threads,
        embed_s,
        seconds,
        pairs_per_s: pairs as f64 / seconds,
    })
}

impl fmt::Display for ScoreReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} pairs scored in {:.2} s ({:.3} s in the towers) on {} threads: {:.0} pairs/s",
            self.case, self.pairs, self.seconds, self.embed_s, self.threads, self.pairs_per_s
        )
    }
}
