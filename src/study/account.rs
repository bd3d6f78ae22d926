use super::Corpus;
use super::corpus::BLOCK;
use super::farm::Grouping;
use super::strict::Seen;
use crate::Result;
use crate::baseline;
use crate::comm::{Communicator, ProcessMemory, TreeSum};
use crate::deck::Splits;
use crate::graph::{NodeId, Parameters, Purpose, Schedule};
use crate::model::PairNetwork;
use crate::report::phrase::count;
use crate::store::Entity;
use crate::train::{EMBEDDING_CHUNK, SCORING_CHUNK};

/// Bytes of a pair that is trained on or validated with, without its dose:
/// drug, sample, truth and row.
const PAIR: usize = 16;
/// Bytes of a training pair, whichever rank's, while lanes are dealt.
const DEALT: usize = 4;
/// Bytes of its dose.
const DOSE: usize = 4;
/// Bytes of a pair that passes by in a block, as read, as selected and as scaled.
const PASSING: usize = 52;
/// Bytes of an imported split as it is read: its rows, and a mark a row.
const IMPORTED: usize = 5;
/// Bytes of a pair that is scored on the rank that writes: its truth, the
/// network's prediction, and at the same time ranks of both and an order.
const SCORED: usize = 8 + 24;
/// Bytes of a distinct combination of drug and sample among training pairs,
/// of which as many again may be waiting to be found repeats.
const COMBINATION: usize = 16;
/// Bytes of an effect of a drug at a dose, and doses that a drug is taken to have.
const EFFECT: usize = 56;
const DOSES: usize = 16;

/// What a study holds in memory at its peak, in bytes: the rank that needs
/// most, by part, and its node.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Code and libraries, as measured when the corpus was opened.
    program: usize,
    features: usize,
    /// Of these, what the ranks of a node hold once between them.
    shared: usize,
    node_ranks: usize,
    /// Which pairs can be used, and the rows of a split.
    rows: usize,
    /// Blocks of pairs that pass by.
    passing: usize,
    pairs: usize,
    parameters: usize,
    /// A checkpoint's state, which is there beside the training that goes on from it.
    state: usize,
    /// Tensors of a training step, and of scoring the validation pairs.
    buffers: usize,
    /// Instead of the three above before pairs are read.
    dealing: usize,
    /// Instead of them once a network is trained.
    scoring: usize,
}

impl Account {
    /// Of the study of `corpus` on groups of this size.
    pub fn of(corpus: &Corpus, network: &PairNetwork, grouping: Grouping) -> Result<Self> {
        let deck = &corpus.deck;
        let lanes = deck.train.lanes.unwrap_or(grouping.ranks);
        let own_lanes = lanes / grouping.ranks;
        let pair = PAIR + if corpus.dose { DOSE } else { 0 };
        let imported = matches!(deck.data.splits, Splits::Imported(_));
        let (mut pairs, mut split, mut lane, mut seen, mut test) = (0, 0, 0, 0, 0);
        let mut dealing = 0;
        for task in corpus.tasks()? {
            let sizes = corpus.sizes(&task.source, task.split)?;
            let share = |pairs: usize| (pairs * own_lanes).div_ceil(lanes);
            pairs = pairs.max((share(sizes.train) + share(sizes.val)) * pair + sizes.val * 4);
            let read = if imported { IMPORTED * task.pairs } else { 0 };
            split = split.max(read).max(task.pairs / 8 + 4 * (sizes.val + sizes.test));
            dealing = dealing.max(if lanes > 1 { sizes.train * DEALT } else { 0 });
            lane = lane.max(corpus.lanes(sizes.train, grouping.ranks)?.most_in_step());
            let [drugs, samples] = corpus.usable(&task.source)?.entities;
            let effects = drugs * if corpus.dose { DOSES } else { 1 } + samples;
            let combinations = sizes.train.min(drugs.saturating_mul(samples));
            seen =
                seen.max((combinations.max(Seen::AT_ONCE) * COMBINATION) + effects.min(sizes.train) * EFFECT);
            if deck.data.targets.contains(&task.source) {
                test = test.max(sizes.test);
            }
        }
        let (mut rows, mut largest) = (split, 0);
        for name in corpus.named() {
            let dataset = corpus.store.dataset(name)?;
            rows += dataset.pairs / 8;
            largest = largest.max(dataset.pairs);
            if deck.data.targets.contains(name) && deck.data.sources.iter().any(|source| source != name) {
                test = test.max(corpus.usable(name)?.rows.len());
            }
        }
        let entities = [corpus.drugs.rows(), corpus.samples.rows()];
        let indexed: usize = Entity::ALL.map(|entity| corpus.store.count(entity)).iter().sum();
        let scorer = scorer(network, entities)? + 8 * indexed;
        let train = network.ports.capacity(lane, entities.map(|n| n.min(lane)));
        let parameters = size_of_val(Parameters::<f32>::zeros(&network.graph)?.values());
        // Weights, the best ones, two moments, and one gradient a level of the lane tree.
        let copies = 4 + own_lanes.next_power_of_two().ilog2() as usize + 1;
        let received = if grouping.ranks > 1 { TreeSum::BYTES } else { 0 };
        let tables = [&corpus.drugs, &corpus.samples];
        Ok(Self {
            program: corpus.program,
            features: tables.iter().map(|table| table.bytes()).sum(),
            shared: tables.iter().filter(|table| table.is_shared()).map(|table| table.bytes()).sum(),
            node_ranks: corpus.node_ranks,
            rows,
            passing: largest.min(BLOCK) * PASSING,
            pairs,
            parameters: parameters * copies + received,
            state: parameters * (2 + deck.train.optimizer.memory().len()),
            buffers: bytes(network, Purpose::Train, network.loss, &[], train)? + 8 * indexed + scorer,
            dealing,
            scoring: 2 * parameters + scorer + seen + test * (SCORED + 4 * baseline::NAMES.len()),
        })
    }

    /// Of the rank that needs most.
    pub fn rank(&self) -> usize {
        let work = self.scoring.max(self.pairs + self.parameters + self.buffers).max(self.dealing);
        self.program + self.features + self.rows + self.passing + work
    }

    /// Of a node whose ranks all need as much.
    pub fn node(&self) -> usize {
        self.shared + self.node_ranks * (self.rank() - self.shared)
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "memory of the rank that needs most: {:.0} MiB (program {:.0}, features {:.0}, rows {:.0}, blocks {:.0}, and the largest of dealing lanes {:.0}, training {:.0} (pairs {:.0}, parameters {:.0}, buffers {:.0}) and scoring {:.0})",
            mib(self.rank()),
            mib(self.program),
            mib(self.features),
            mib(self.rows),
            mib(self.passing),
            mib(self.dealing),
            mib(self.pairs + self.parameters + self.buffers),
            mib(self.pairs),
            mib(self.parameters),
            mib(self.buffers),
            mib(self.scoring)
        )?;
        writeln!(f, "going on from a checkpoint takes {:.0} MiB more", mib(self.state))?;
        let (node, ranks) = (mib(self.node()), count(self.node_ranks, "rank"));
        write!(f, "memory of this node: {node:.0} MiB for {ranks}")?;
        if self.node_ranks > 1 {
            write!(f, ", which hold {:.0} MiB of features once between them", mib(self.shared))?;
        }
        Ok(())
    }
}

/// In binary megabytes.
pub fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn bytes(
    network: &PairNetwork,
    purpose: Purpose,
    output: NodeId,
    fed: &[NodeId],
    capacity: [usize; 3],
) -> Result<usize> {
    Ok(Schedule::new(&network.graph, purpose, output, fed, &capacity)?.memory() * size_of::<f32>())
}

/// What scores pairs of so many drugs and samples: the head, and a tower for each tensor that it reads.
fn scorer(network: &PairNetwork, entities: [usize; 2]) -> Result<usize> {
    let (ports, boundary) = (network.ports, network.graph.boundary(network.prediction));
    let head = ports.capacity(SCORING_CHUNK, entities);
    let mut total = bytes(network, Purpose::Score, network.prediction, &boundary, head)?;
    for &tensor in &boundary {
        total += bytes(network, Purpose::Score, tensor, &[], ports.capacity(0, [EMBEDDING_CHUNK; 2]))?;
    }
    Ok(total)
}

/// The most memory that ranks have held, in bytes, as the system counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// By the rank that held most.
    pub rank: usize,
    /// Which rank that was.
    pub which: usize,
    /// By the ranks of the node that held most, what they share counted once.
    pub node: usize,
}

impl Peak {
    /// So far; every rank of `world` calls this. Zero where the system does not tell.
    pub fn so_far(world: &dyn Communicator) -> Self {
        let gather = |comm: &dyn Communicator, value: ProcessMemory| -> Vec<ProcessMemory> {
            let all = comm.all_gather(bytemuck::bytes_of(&value));
            all.iter().map(|bytes| bytemuck::pod_read_unaligned(bytes)).collect()
        };
        let own = ProcessMemory::now();
        let node = gather(world.node().as_ref(), own);
        let alone: u64 = node.iter().map(|m| m.peak.saturating_sub(m.shared)).sum();
        let shared = node.iter().map(|m| m.shared).max().unwrap_or(0);
        // What a rank tells is its own peak, and its node's in the place of what it holds now.
        let all = gather(world, ProcessMemory { resident: alone + shared, ..own });
        let most = all.iter().enumerate().max_by_key(|(_, m)| m.peak);
        let (which, rank) = most.map_or((0, 0), |(which, m)| (which, m.peak as usize));
        let node = all.iter().map(|m| m.resident as usize).max().unwrap_or(0);
        Self { rank, which, node }
    }
}
