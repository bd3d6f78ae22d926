use super::{CudaPairs, CudaTables, Examples, Lanes};
use crate::device::cuda::{Address, Argument, Kernel, Memory, Storage, Stream};
use crate::graph::{CudaPlan, NodeId};
use crate::op::{CudaMap, CudaPass, CudaRows, CudaSegments, EIGHT};
use crate::store::Entity;
use crate::{Error, Result};
use std::rc::Rc;

/// Feeds the steps of a training to a plan on a device: the counterpart of
/// [`crate::batch::Assembler`], with the same batches. The pairs of the lanes of this rank and all
/// features lie on the device; a step's pairs are drawn, sorted and listed there by kernels
/// that can be recorded and replayed with another [`CudaPass`].
#[derive(Debug)]
pub struct CudaAssembler {
    tables: Rc<CudaTables>,
    pairs: CudaPairs,
    lanes: Lanes,
    first_lane: usize,
    /// What the shuffles of the epoch under way are keyed by.
    seed: u64,
    epoch: u32,
    /// Distinct drugs and samples of each step, by lane of this rank.
    distinct: Vec<[u32; 2]>,
    /// Most of them in any lane, by step: what rows are rounded up from.
    widest: Vec<[u32; 2]>,
    counting: Counting,
    /// Rows that a step can have, padding included: pairs, drugs, samples.
    most: [usize; 3],
    sorting: Sorting,
    /// The number of each pair of the batch, and 0, 1, 2, ...
    number: Memory,
    count_up: Memory,
    sides: [Side; 2],
}

/// Where distinct entities are counted, in blocks of steps.
#[derive(Debug)]
struct Counting {
    /// For each step of a block, a bit each drug and each sample that it meets.
    met: Memory,
    /// Words of the drugs, and of both.
    words: [usize; 2],
    /// For each step of a block, how many of either.
    counts: Memory,
    steps: usize,
}

/// Two places that pairs go to and fro between while they are sorted.
#[derive(Debug)]
struct Sorting {
    keys: [Memory; 2],
    values: [Memory; 2],
    /// For each tile of pairs, how many have each digit.
    digits: Memory,
    /// For each tile of sorted pairs, how many are the first of their entity.
    heads: Memory,
}

/// One of the two entities that a pair joins.
#[derive(Debug)]
struct Side {
    entity: Entity,
    /// For each pair of the batch, its entity's row in the batch.
    index: Memory,
    /// Where the pairs of each row begin in the order of the map's lists.
    start: Memory,
    /// For each row of the batch, its row in the tables, and its number in the store.
    listed: Memory,
    number: Memory,
    /// Rows in use.
    count: Memory,
    /// For each row of the tables, its row in the batch, where features are fed as bits.
    row: Option<Memory>,
}

/// Pairs that a block of threads sorts.
const TILE: usize = 1024;
/// Threads of such a block, and values of a digit.
const THREADS: usize = 256;
/// Bits of a digit.
const DIGIT: u32 = 8;
/// Bytes that counting may take.
const COUNTING: usize = 64 << 20;

const DRAW: Kernel = Kernel::new("shuffle", "draw");
const MEET: Kernel = Kernel::new("shuffle", "meet");
const TELL: Kernel = Kernel::new("shuffle", "tell");
const COUNT: Kernel = Kernel::new("sort", "count_digits");
const SCATTER: Kernel = Kernel::new("sort", "scatter");
const HEADS: Kernel = Kernel::new("assemble", "heads");
const LISTS: Kernel = Kernel::new("assemble", "lists");
const PAIRS: Kernel = Kernel::new("assemble", "pairs");
const FILL: Kernel = Kernel::new("assemble", "fill");

impl CudaAssembler {
    /// For a training on these pairs, one entry a lane from `first_lane` on, cut
    /// into steps by `lanes`. Fails if there is no memory for them.
    pub fn new(tables: Rc<CudaTables>, train: &[Examples], first_lane: usize, lanes: Lanes) -> Result<Self> {
        let expected = |(lane, pairs): (usize, &Examples)| pairs.len() == lanes.rows(lane);
        if first_lane + train.len() > lanes.count() || !(first_lane..).zip(train).all(expected) {
            return Err(Error::Network(format!(
                "pairs of {} lanes that are cut in another way",
                train.len()
            )));
        }
        let stream = tables.stream().clone();
        let pairs = CudaPairs::new(&tables, train)?;
        let most = lanes.most_in_step();
        let entities = Entity::ALL.map(|entity| tables.rows(entity).min(most).next_multiple_of(EIGHT));
        let most = [most.next_multiple_of(EIGHT), entities[0], entities[1]];
        let words = |n: usize| stream.zeros(4 * n);
        let tiles = most[0].div_ceil(TILE);
        let sorting = Sorting {
            keys: [words(most[0])?, words(most[0])?],
            values: [words(most[0])?, words(most[0])?],
            digits: words(tiles * THREADS)?,
            heads: words(tiles)?,
        };
        let side = |entity: Entity| -> Result<Side> {
            let (rows, side) = (most[1 + entity as usize], tables.side(entity));
            Ok(Side {
                entity,
                index: words(most[0])?,
                start: words(rows + 1)?,
                listed: words(rows)?,
                number: words(rows)?,
                count: words(1)?,
                row: side.takes_bits().then(|| words(side.rows)).transpose()?,
            })
        };
        let sides = [side(Entity::Drug)?, side(Entity::Sample)?];
        let counting = Counting::new(&tables, lanes)?;
        let up: Vec<u32> = (0..most[0] as u32).collect();
        Ok(Self {
            number: words(most[0])?,
            count_up: stream.holding(&up)?,
            distinct: vec![[0; 2]; train.len() * lanes.steps()],
            widest: vec![[0; 2]; lanes.steps()],
            tables,
            pairs,
            lanes,
            first_lane,
            seed: 0,
            epoch: 0,
            counting,
            most,
            sorting,
            sides,
        })
    }

    /// Capacity of each space, padding included, by the spaces' numbers: what a plan is compiled for.
    pub fn capacity(&self) -> [usize; 3] {
        self.tables.ports().capacity(self.most[0], [self.most[1], self.most[2]])
    }

    /// Bytes of pairs and scratch space on the device, features not among them.
    pub fn bytes(&self) -> usize {
        let Sorting { keys, values, digits, heads } = &self.sorting;
        let sorting = keys.iter().chain(values).chain([digits, heads]);
        let sides = self.sides.iter().flat_map(|side| {
            [&side.index, &side.start, &side.listed, &side.number, &side.count].into_iter().chain(&side.row)
        });
        let own = [&self.number, &self.count_up, &self.counting.met, &self.counting.counts];
        self.pairs.bytes() + sorting.chain(sides).chain(own).map(Memory::bytes).sum::<usize>()
    }

    /// Begins an epoch, from zero, of the training with this seed: counts the distinct drugs and samples of
    /// every step, which say how many rows are computed. Waits for the device.
    pub fn begin_epoch(&mut self, seed: u64, epoch: u32) -> Result<()> {
        (self.seed, self.epoch) = (seed, epoch);
        let steps = self.lanes.steps();
        let (stream, tables) = (self.tables.stream(), &self.tables);
        let Counting { met, words, counts, steps: at_once } = &self.counting;
        for (local, distinct) in self.distinct.chunks_exact_mut(steps).enumerate() {
            let lane = self.first_lane + local;
            for (distinct, first) in distinct.chunks_mut(*at_once).zip((0..).step_by(*at_once)) {
                met.zero()?;
                let begin = self.lanes.step(lane, first).start;
                let end = self.lanes.step(lane, first + distinct.len() - 1).end;
                let [drugs, samples] = Entity::ALL.map(|entity| self.pairs.of(entity));
                let arguments: [Argument; 14] = [
                    met.at().into(),
                    drugs.into(),
                    samples.into(),
                    seed.into(),
                    epoch.into(),
                    lane.into(),
                    self.lanes.rows(lane).into(),
                    self.pairs.start(local).into(),
                    steps.into(),
                    begin.into(),
                    (end - begin).into(),
                    first.into(),
                    words[0].into(),
                    words[1].into(),
                ];
                stream.launch_over(MEET, Storage::F32, end - begin, &arguments)?;
                let [own, all] = [words[0].into(), words[1].into()];
                let arguments = [counts.at().into(), met.at().into(), own, all];
                stream.launch(TELL, Storage::F32, [distinct.len(), 1], [THREADS, 1], &arguments)?;
                counts.download(0, distinct)?;
            }
        }
        debug_assert!(self.distinct.iter().all(|[d, s]| {
            *d as usize <= tables.rows(Entity::Drug) && *s as usize <= tables.rows(Entity::Sample)
        }));
        self.widest.fill([0; 2]);
        for lane in self.distinct.chunks_exact(steps) {
            widen(&mut self.widest, lane.iter().copied());
        }
        Ok(())
    }

    /// Most distinct drugs and samples of any lane of this rank in each step of the epoch under way, or of
    /// those that [`Self::widen`] was given.
    pub fn widest(&self) -> &[[u32; 2]] {
        &self.widest
    }

    /// Has the lanes of this rank computed in as many rows as those of all ranks, whose [`Self::widest`] these are.
    pub fn widen(&mut self, ranks: &[Vec<u8>]) {
        for rank in ranks {
            let counts = rank.chunks_exact(size_of::<[u32; 2]>()).map(bytemuck::pod_read_unaligned);
            widen(&mut self.widest, counts);
        }
    }

    /// Distinct drugs and samples that lane `local` of this rank meets in `step` of the epoch under way.
    pub fn distinct(&self, local: usize, step: usize) -> [usize; 2] {
        self.distinct[local * self.lanes.steps() + step].map(|n| n as usize)
    }

    /// Rows of each space, padding included, of a step of the epoch under way: few
    /// different numbers, the same for all lanes. Steps with the same ones can
    /// replay one recording.
    pub fn counts(&self, step: usize) -> [usize; 3] {
        let distinct = self.widest[step].map(|n| n as usize);
        let entities = [0, 1].map(|side| {
            let most = self.most[1 + side];
            let granule = (most / 32).next_multiple_of(EIGHT).max(64);
            distinct[side].max(1).next_multiple_of(granule).min(most)
        });
        self.tables.ports().capacity(self.most[0], entities)
    }

    /// The rows of a lane in `step` of the epoch under way, [`Self::counts`] of them, once
    /// [`Self::assemble`] has run. All batches lie in the same places.
    pub fn rows(&self, step: usize) -> CudaRows {
        let ports = self.tables.ports();
        let mut rows = self.tables.no_rows();
        rows.count.copy_from_slice(&self.counts(step));
        rows.number[ports.pairs.0] = Some(self.number.at());
        // Pairs are sorted by drug.
        let orders = [self.count_up.at(), self.sorting.values[self.sorted_by_sample()].at()];
        for (side, order) in self.sides.iter().zip(orders) {
            let table = self.tables.side(side.entity);
            rows.number[table.port.space.0] = Some(side.number.at());
            let segments = CudaSegments { start: side.start.at(), order };
            rows.maps[table.port.map.0] = Some(CudaMap { index: side.index.at(), segments });
            let row = side.row.as_ref().map_or(Address::NONE, Memory::at);
            table.put_bits(&mut rows, side.listed.at(), row);
        }
        rows
    }

    /// What tells the device which pairs to take: those of lane `local` of this
    /// rank in `step` of the epoch under way. The step's number, the learning rate and the scale are left
    /// to be filled in.
    pub fn pass(&self, local: usize, step: usize) -> CudaPass {
        let lane = self.first_lane + local;
        let positions = self.lanes.step(lane, step);
        CudaPass {
            seed: self.seed,
            pairs: positions.len() as u32,
            first: positions.start as u32,
            lane: lane as u32,
            lane_rows: self.lanes.rows(lane) as u32,
            lane_start: self.pairs.start(local) as u32,
            epoch: self.epoch,
            ..CudaPass::default()
        }
    }

    /// Puts what assembles the batch of the [`CudaPass`] at `pass` on the stream and
    /// feeds it to `plan`. `rows` is of [`Self::rows`], for as many distinct entities as the batch has.
    pub fn assemble(&self, plan: &CudaPlan, rows: &CudaRows, pass: Address) -> Result<()> {
        let (stream, ports) = (self.tables.stream(), self.tables.ports());
        let n = self.most[0];
        let Sorting { keys, values, .. } = &self.sorting;
        let arguments = [
            keys[0].at().into(),
            values[0].at().into(),
            self.pairs.of(Entity::Drug).into(),
            n.into(),
            pass.into(),
        ];
        stream.launch_over(DRAW, Storage::F32, n, &arguments)?;
        let [drugs, samples] = &self.sides;
        let at = self.sort(Entity::Drug, 0)?;
        self.list(drugs, at, Address::NONE, rows, pass)?;
        let column = |node: Option<NodeId>| {
            let tensor = node.and_then(|node| plan.input(node, n));
            tensor.map_or(Address::NONE, |tensor| tensor.at)
        };
        let arguments = [
            keys[1 - at].at().into(),
            values[1 - at].at().into(),
            self.number.at().into(),
            column(ports.dose).into(),
            column(Some(ports.truth)).into(),
            values[at].at().into(),
            self.pairs.of(Entity::Sample).into(),
            self.pairs.number().into(),
            self.pairs.dose().into(),
            self.pairs.truth().into(),
            n.into(),
            pass.into(),
        ];
        stream.launch_over(PAIRS, Storage::F32, n, &arguments)?;
        let at = self.sort(Entity::Sample, 1 - at)?;
        self.list(samples, at, values[at].at(), rows, pass)?;
        for side in &self.sides {
            self.tables.feed(plan, side.entity, rows, side.listed.at(), side.count.at())?;
        }
        Ok(())
    }

    /// Counts the steps of an epoch so many at a time.
    #[cfg(test)]
    pub(super) fn count_in_blocks_of(&mut self, steps: usize) {
        self.counting.steps = steps.min(self.counting.steps);
    }

    /// Sorts the pairs of a batch by their keys, rows of `entity` in the tables, those with the same
    /// key in the order that they have. Returns which of the two places they are in then.
    fn sort(&self, entity: Entity, from: usize) -> Result<usize> {
        let (stream, n) = (self.tables.stream(), self.most[0]);
        let Sorting { keys, values, digits, .. } = &self.sorting;
        let grid = [n.div_ceil(TILE), 1];
        let mut at = from;
        for pass in 0..self.digits(entity) {
            let [key, digits, shift, n]: [Argument; 4] =
                [keys[at].at().into(), digits.at().into(), (pass * DIGIT).into(), n.into()];
            stream.launch(COUNT, Storage::F32, grid, [THREADS, 1], &[digits, key, shift, n])?;
            let to = [keys[1 - at].at().into(), values[1 - at].at().into()];
            let arguments = [to[0], to[1], key, values[at].at().into(), digits, shift, n];
            stream.launch(SCATTER, Storage::F32, grid, [THREADS, 1], &arguments)?;
            at = 1 - at;
        }
        Ok(at)
    }

    /// Digits of the largest row of `entity` in the tables.
    fn digits(&self, entity: Entity) -> u32 {
        let largest = self.tables.rows(entity).saturating_sub(1) as u32;
        (u32::BITS - largest.leading_zeros()).div_ceil(DIGIT)
    }

    /// The place where pairs sorted by sample end.
    fn sorted_by_sample(&self) -> usize {
        let [drug, sample] = Entity::ALL.map(|entity| self.digits(entity) as usize % 2);
        (1 - drug + sample) % 2
    }

    /// Lists the distinct entities of pairs sorted by them, and where their pairs begin. `order` says
    /// where in the batch each is, or is absent where the batch itself is sorted so.
    fn list(&self, side: &Side, at: usize, order: Address, rows: &CudaRows, pass: Address) -> Result<()> {
        let (stream, n) = (self.tables.stream(), self.most[0]);
        let Sorting { keys, heads, .. } = &self.sorting;
        let table = self.tables.side(side.entity);
        if let Some(row) = &side.row {
            let arguments = [row.at().into(), u32::MAX.into(), table.rows.into()];
            stream.launch_over(FILL, Storage::F32, table.rows, &arguments)?;
        }
        let (grid, threads) = ([n.div_ceil(TILE), 1], [THREADS, 1]);
        let [key, heads, n, pass]: [Argument; 4] =
            [keys[at].at().into(), heads.at().into(), n.into(), pass.into()];
        stream.launch(HEADS, Storage::F32, grid, threads, &[heads, key, n, pass])?;
        let arguments = [
            side.index.at().into(),
            side.start.at().into(),
            side.listed.at().into(),
            side.number.at().into(),
            side.row.as_ref().map_or(Address::NONE, Memory::at).into(),
            side.count.at().into(),
            key,
            order.into(),
            heads,
            table.number.at().into(),
            n,
            rows.of(table.port.space).into(),
            pass,
        ];
        stream.launch(LISTS, Storage::F32, grid, threads, &arguments)
    }
}

fn widen(widest: &mut [[u32; 2]], other: impl Iterator<Item = [u32; 2]>) {
    for (widest, other) in widest.iter_mut().zip(other) {
        *widest = [widest[0].max(other[0]), widest[1].max(other[1])];
    }
}

impl Counting {
    fn new(tables: &CudaTables, lanes: Lanes) -> Result<Self> {
        let stream: &Stream = tables.stream();
        let words = Entity::ALL.map(|entity| tables.rows(entity).div_ceil(32));
        let words = [words[0], words[0] + words[1]];
        let steps = (COUNTING / (4 * words[1].max(1))).clamp(1, lanes.steps());
        let (met, counts) = (stream.zeros(4 * steps * words[1])?, stream.zeros(8 * steps)?);
        Ok(Self { met, words, counts, steps })
    }
}
