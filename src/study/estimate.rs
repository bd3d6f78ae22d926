use super::Corpus;
use super::account::Account;
use super::farm::Grouping;
use crate::Result;
use crate::device::cuda::{CudaMatrix, CudaProduct, Precision, Stream};
use crate::device::{Device, MatRef, matmul};
use crate::graph::Parameters;
use crate::model::PairNetwork;
use crate::report::phrase::{count, duration};
use std::fmt::Write;
use std::time::Instant;

/// What a transfer study would do on `ranks` ranks: its tasks, its groups, the
/// memory of a rank and a node and, from a short measurement of this machine's matrix
/// product, about the time that training takes if it never stops early.
pub fn estimate(corpus: &Corpus, ranks: usize) -> Result<String> {
    let deck = &corpus.deck;
    let tasks = corpus.tasks()?;
    let grouping = Grouping::of(ranks, tasks.len(), deck.study.ranks_per_task, deck.train.lanes);
    grouping.check(ranks)?;
    corpus.check_tasks(grouping.ranks)?;
    let network = corpus.network()?;
    let lane_count = deck.train.lanes.unwrap_or(grouping.ranks);
    let own = lane_count / grouping.ranks;
    let rate = multiply_adds_per_second(&corpus.device, deck.train.precision)?;
    let targets = count(deck.data.targets.len(), "target");
    let mut text = format!("{} on {grouping}; {targets} each\n", count(tasks.len(), "task"));
    let mut total = 0.0f64;
    for task in &tasks {
        let sizes = corpus.sizes(&task.source, task.split)?;
        let lanes = corpus.lanes(sizes.train, grouping.ranks)?;
        let steps = (lanes.steps() * own) as f64 * deck.train.epochs as f64;
        let entities = corpus.usable(&task.source)?.entities;
        let seconds = step_multiply_adds(&network, entities, lanes.most_in_step()) * steps / rate;
        total += seconds;
        let _ = writeln!(
            text,
            "  {task}: {} training, {} validation, {} test pairs; {} an epoch; about {}",
            sizes.train,
            sizes.val,
            sizes.test,
            count(lanes.steps(), "step"),
            duration(seconds)
        );
    }
    let _ = writeln!(text, "{}", count(Parameters::<f32>::zeros(&network.graph)?.count(), "parameter"));
    let _ = writeln!(text, "{}", Account::of(corpus, &network, grouping)?);
    let place = match &corpus.device {
        Device::Cpu => "this rank".into(),
        Device::Cuda(stream) => {
            let [free, _] = stream.memory()?;
            let gib = free as f64 / f64::from(1 << 30);
            let _ = writeln!(
                text,
                "the GPU of a rank holds features, pairs and network besides; {gib:.1} GiB of it are free"
            );
            stream.name()
        }
    };
    let _ = writeln!(
        text,
        "time: about {} for the products of all epochs, at {:.0} Gflop/s measured on {place}; early stops take from it, scoring and writing add",
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
fn multiply_adds_per_second(device: &Device, precision: Precision) -> Result<f64> {
    match device {
        Device::Cpu => Ok(on_processors()),
        Device::Cuda(stream) => on_gpu(stream, precision),
    }
}

fn on_gpu(stream: &Stream, precision: Precision) -> Result<f64> {
    const SIZE: usize = 2048;
    let storage = precision.storage();
    let square = || stream.zeros(SIZE * SIZE * storage.bytes());
    let operands = [square()?, square()?, square()?];
    let [a, b, d] = operands.each_ref().map(|memory| {
        let at = memory.at();
        CudaMatrix { at, rows: SIZE, columns: SIZE, stride: SIZE, storage, transposed: false }
    });
    let product = CudaProduct { a, b, d, accumulate: false, bias: None, relu: false, precision };
    let mut fastest = f64::INFINITY;
    for _ in 0..3 {
        let started = Instant::now();
        stream.product(&product)?;
        stream.wait()?;
        fastest = fastest.min(started.elapsed().as_secs_f64());
    }
    Ok(SIZE.pow(3) as f64 / fastest)
}

fn on_processors() -> f64 {
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
