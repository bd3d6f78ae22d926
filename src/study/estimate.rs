use super::Corpus;
use super::farm::Grouping;
use crate::Result;
use crate::device::{MatRef, matmul};
use crate::graph::{NodeId, Parameters, Purpose, Schedule};
use crate::model::PairNetwork;
use crate::report::phrase::{count, duration};
use crate::train::SCORING_CHUNK;
use std::fmt::Write;
use std::time::Instant;

/// What a transfer study would do on `ranks` ranks: its tasks, its groups, the
/// memory of a rank and, from a short measurement of this machine's matrix
/// product, about the time that training takes if it never stops early.
pub fn estimate(corpus: &Corpus, ranks: usize) -> Result<String> {
    let deck = &corpus.deck;
    let tasks = corpus.tasks()?;
    let grouping = Grouping::of(ranks, tasks.len(), deck.study.ranks_per_task, deck.train.lanes);
    grouping.check(ranks)?;
    corpus.check_tasks(grouping.ranks)?;
    let network = deck.model.build(corpus.widths(), deck.train.loss)?;
    let lane_count = deck.train.lanes.unwrap_or(grouping.ranks);
    let own = lane_count / grouping.ranks;
    let rate = multiply_adds_per_second();
    let targets = count(deck.data.targets.len(), "target");
    let mut text = format!("{} on {grouping}; {targets} each\n", count(tasks.len(), "task"));
    let (mut total, mut most, mut lane) = (0.0f64, 0, 0);
    for task in &tasks {
        let rows = corpus.split(&task.source, task.split)?;
        let lanes = corpus.lanes(&rows, grouping.ranks)?;
        let steps = (lanes.steps() * own) as f64 * deck.train.epochs as f64;
        let entities = corpus.usable(&task.source)?.entities;
        let seconds = step_multiply_adds(&network, entities, lanes.most_in_step()) * steps / rate;
        total += seconds;
        most = most.max(rows.train.len());
        lane = lane.max(lanes.most_in_step());
        let _ = writeln!(
            text,
            "  {task}: {} training, {} validation, {} test pairs; {} an epoch; about {}",
            rows.train.len(),
            rows.val.len(),
            rows.test.len(),
            count(lanes.steps(), "step"),
            duration(seconds)
        );
    }
    let parameters = Parameters::<f32>::zeros(&network.graph)?;
    let memory = Memory::of(&network, corpus, &parameters, lane, [own, lane_count], most)?;
    let _ = writeln!(text, "{}", count(parameters.count(), "parameter"));
    let _ = writeln!(text, "memory of the rank that needs most: {memory}");
    let _ = writeln!(
        text,
        "time: about {} for the products of all epochs, at {:.0} Gflop/s measured on this rank; early stops take from it, scoring and writing add",
        duration(total / grouping.groups as f64),
        2e-9 * rate
    );
    Ok(text)
}

/// Distinct entities expected among `rows` drawn from `of`.
fn distinct(rows: usize, of: usize) -> f64 {
    of as f64 * (1.0 - (1.0 - 1.0 / of.max(1) as f64).powf(rows as f64))
}

/// Multiply-adds of one lane's step: forward, and at most twice as many backward.
fn step_multiply_adds(network: &PairNetwork, entities: [usize; 2], rows: usize) -> f64 {
    let ports = network.ports;
    let mut count = [0.0; 3];
    count[ports.pairs.0] = rows as f64;
    for (port, entities) in ports.entities.iter().zip(entities) {
        count[port.space.0] = distinct(rows, entities);
    }
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

/// Bytes held at once by the first rank of a group, by part.
struct Memory {
    features: usize,
    pairs: usize,
    scoring: usize,
    parameters: usize,
    buffers: usize,
}

impl Memory {
    fn of(
        network: &PairNetwork,
        corpus: &Corpus,
        parameters: &Parameters<f32>,
        lane: usize,
        [own_lanes, lanes]: [usize; 2],
        training_pairs: usize,
    ) -> Result<Self> {
        let entities = [corpus.drugs.rows(), corpus.samples.rows()];
        let plan = |purpose, output, fed: &[NodeId], capacity: [usize; 3]| -> Result<usize> {
            Ok(Schedule::new(&network.graph, purpose, output, fed, &capacity)?.memory() * size_of::<f32>())
        };
        let ports = network.ports;
        let boundary = network.graph.boundary(network.prediction);
        let train = ports.capacity(lane, entities.map(|n| n.min(lane)));
        let head = ports.capacity(SCORING_CHUNK, entities);
        let named = corpus.deck.data.sources.iter().chain(&corpus.deck.data.targets);
        let largest =
            named.filter_map(|name| corpus.store.dataset(name).ok()).map(|d| d.pairs).max().unwrap_or(0);
        // Weights, the best ones, two moments, half a gradient received, and one gradient a level of the lane tree.
        let copies = 4.5 + f64::from(own_lanes.next_power_of_two().ilog2() + 1);
        Ok(Self {
            features: corpus.drugs.bytes() + corpus.samples.bytes(),
            // Own lanes, 24 bytes a pair with its place in the shuffle; the rows of the split, the mask of
            // usable pairs and, of a rule, the folds: 9 bytes a pair of the whole dataset.
            pairs: training_pairs * own_lanes / lanes * 24 + largest * 9,
            // The target's rows, pairs and two predictions, and what the training rows show.
            scoring: largest * 36 + training_pairs * 24,
            parameters: (size_of_val(parameters.values()) as f64 * copies) as usize,
            buffers: plan(Purpose::Train, network.loss, &[], train)?
                + plan(Purpose::Score, network.prediction, &boundary, head)?,
        })
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{:.0} MiB (features {:.0}, pairs {:.0}, scoring {:.0}, parameters {:.0}, buffers {:.0})",
            mib(self.features + self.pairs + self.scoring + self.parameters + self.buffers),
            mib(self.features),
            mib(self.pairs),
            mib(self.scoring),
            mib(self.parameters),
            mib(self.buffers)
        )
    }
}
