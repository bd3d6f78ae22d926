use super::Corpus;
use super::farm::Grouping;
use super::preflight::preflight;
use crate::Result;
use crate::batch::Lanes;
use crate::device::{MatRef, matmul};
use crate::feature::Features;
use crate::graph::{Parameters, Purpose, Schedule};
use crate::model::{InputWidths, PairNetwork};
use std::fmt::Write;
use std::time::Instant;

/// What a transfer study would do on `ranks` ranks: its tasks, its groups, the
/// memory of a rank and, from a short measurement of this machine's matrix
/// product, the time if no training stops early.
pub fn estimate(corpus: &Corpus, ranks: usize) -> Result<String> {
    let deck = &corpus.deck;
    let tasks = corpus.tasks()?;
    let grouping = Grouping::of(ranks, tasks.len(), deck.study.ranks_per_task, deck.train.lanes);
    preflight(corpus, &tasks, grouping)?;
    let widths =
        InputWidths { drug: corpus.drugs.width(), sample: corpus.samples.width(), dose: corpus.dose };
    let network = deck.model.build(widths, deck.train.loss)?;
    let lane_count = deck.train.lanes.unwrap_or(grouping.ranks);
    let rate = multiply_adds_per_second();
    let (mut text, mut total) = (String::new(), 0.0f64);
    let (mut most, mut lane) = (0, 0);
    for task in &tasks {
        let rows = corpus.split(&task.source, task.split)?;
        let lanes = Lanes::new(rows.train.len(), lane_count, deck.train.batch)?;
        let work = step_multiply_adds(&network, corpus, lanes.most_in_step());
        let steps = (lanes.steps() * lane_count / grouping.ranks) as f64 * deck.train.epochs as f64;
        let seconds = work * steps / rate;
        total += seconds;
        most = most.max(rows.train.len() / grouping.ranks);
        lane = lane.max(lanes.most_in_step());
        let _ = writeln!(
            text,
            "  {task}: {} training, {} validation, {} test pairs; {} steps an epoch; up to {}",
            rows.train.len(),
            rows.val.len(),
            rows.test.len(),
            lanes.steps(),
            duration(seconds)
        );
    }
    let memory = Memory::of(&network, corpus, lane, most)?;
    let head = format!(
        "{} tasks on {} group{} of {} rank{}; {} targets each\n",
        tasks.len(),
        grouping.groups,
        if grouping.groups == 1 { "" } else { "s" },
        grouping.ranks,
        if grouping.ranks == 1 { "" } else { "s" },
        deck.data.targets.len()
    );
    let tail = format!(
        "{} parameters\nmemory a rank: {memory}\ntime: up to {} if no training stops early ({:.0} Gflop/s measured on this rank)\n",
        Parameters::<f32>::zeros(&network.graph).count(),
        duration(total / grouping.groups as f64),
        2e-9 * rate
    );
    Ok(head + &text + &tail)
}

/// Distinct entities expected among `rows` drawn from `of`.
fn distinct(rows: usize, of: usize) -> f64 {
    of as f64 * (1.0 - (1.0 - 1.0 / of.max(1) as f64).powi(rows as i32))
}

/// Multiply-adds of one lane's step: forward, and twice as many backward.
fn step_multiply_adds(network: &PairNetwork, corpus: &Corpus, rows: usize) -> f64 {
    let ports = network.ports;
    let mut count = [0.0; 3];
    count[ports.pairs.0] = rows as f64;
    count[ports.drugs.0] = distinct(rows, corpus.drugs.rows());
    count[ports.samples.0] = distinct(rows, corpus.samples.rows());
    network.graph.multiply_adds().map(|(space, per_row)| 3.0 * count[space.0] * per_row as f64).sum()
}

/// Rate of a matrix product of the size of a hidden layer.
fn multiply_adds_per_second() -> f64 {
    const SIZE: usize = 512;
    let (a, mut c) = (vec![0.5f32; SIZE * SIZE], vec![0.0f32; SIZE * SIZE]);
    let mut run = || {
        let started = Instant::now();
        matmul(&mut c, MatRef::new(&a, SIZE, SIZE), MatRef::new(&a, SIZE, SIZE).t(), false);
        started.elapsed().as_secs_f64()
    };
    let fastest = (0..8).map(|_| run()).fold(f64::INFINITY, f64::min);
    (SIZE * SIZE * SIZE) as f64 / fastest
}

/// Bytes that a rank holds while it trains, by part.
struct Memory {
    features: usize,
    pairs: usize,
    parameters: usize,
    buffers: usize,
}

impl Memory {
    fn of(network: &PairNetwork, corpus: &Corpus, lane: usize, training_pairs: usize) -> Result<Self> {
        let (drugs, samples) = (corpus.drugs.rows(), corpus.samples.rows());
        let table = |f: &Features| f.rows() * f.width() * size_of::<f32>();
        let buffers = |purpose, output, capacity: [usize; 3]| -> Result<usize> {
            Ok(Schedule::new(&network.graph, purpose, output, &capacity)?.memory() * size_of::<f32>())
        };
        let ports = network.ports;
        let train = ports.capacity(lane, drugs.min(lane), samples.min(lane));
        let score = ports.capacity(crate::train::SCORING_CHUNK, drugs, samples);
        let parameters = Parameters::<f32>::zeros(&network.graph);
        let values = parameters.values();
        Ok(Self {
            // As stored, and scaled for the task at hand.
            features: 2 * (table(&corpus.drugs) + table(&corpus.samples)),
            // As read, scaled, and read once more for the mean effects.
            pairs: training_pairs * (16 + 20 + 16),
            // Weights, best weights, gradient, two moments, and what is received from another rank.
            parameters: 6 * size_of_val(values),
            buffers: buffers(Purpose::Train, network.loss, train)?
                + 2 * buffers(Purpose::Score, network.prediction, score)?,
        })
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{:.0} MiB (features {:.0}, pairs {:.0}, parameters {:.0}, buffers {:.0})",
            mib(self.features + self.pairs + self.parameters + self.buffers),
            mib(self.features),
            mib(self.pairs),
            mib(self.parameters),
            mib(self.buffers)
        )
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
