use super::lane_sum::CudaLaneSum;
use super::rank_sum::CudaRankSum;
use super::scorer::CudaScorer;
use super::update::{Counters, CudaUpdate};
use crate::Result;
use crate::batch::{CudaAssembler, CudaPairs, CudaTables, Examples};
use crate::comm::Communicator;
use crate::device::cuda::{Address, Memory, Recorded, Stream};
use crate::graph::{CudaLayout, CudaParameters, CudaPlan, Gradients, Parameters, Product, Purpose};
use crate::op::{CudaPass, CudaRows};
use crate::status::{self, Call};
use crate::train::divergence::{Diverged, diverged};
use crate::train::engine::{Asks, Engine, EpochStep, Snapshot, Stepped};
use crate::train::{Problem, State, StepTimes, TrainSpec};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Trains on a CUDA device. Pairs, features, shuffles, gradients and what the
/// optimiser remembers stay there; a lane's part of a step is recorded for each
/// number of rows that it comes in, and replayed. With one lane a step is one
/// recording. The host sends a few words a step, and reads what steps came to every few.
pub struct CudaEngine<'a> {
    /// Parts that were run, and what was recorded of them at the second time. Dropped first: NCCL, which
    /// `rank_sum` holds, waits when it ends until no recording names it.
    parts: HashMap<Part, Option<Recorded>>,
    problem: &'a Problem<'a>,
    comm: &'a dyn Communicator,
    seed: u64,
    stream: Stream,
    plan: CudaPlan,
    assembler: CudaAssembler,
    scorer: CudaScorer,
    /// One list a lane of this rank.
    validation: CudaPairs,
    parameters: CudaParameters,
    update: CudaUpdate,
    lane_sum: CudaLaneSum,
    rank_sum: CudaRankSum<'a>,
    /// One [`CudaPass`] a lane of this rank.
    passes: Memory,
    /// Whether parts are recorded at all.
    records: bool,
    /// Those of the last lane of the last step.
    rows: CudaRows,
    /// Losses of the epoch under way and the pairs that they are of, as they were when last read.
    losses: (f64, usize),
    /// Steps since what they came to was read.
    unread: usize,
    /// Steps between two looks at what they came to.
    unread_limit: usize,
    /// Steps found not finite so far, on the device's count.
    skipped: usize,
    /// Steps from now on that are looked at one by one, since one was found not finite.
    watched: usize,
    /// Copies for the host.
    on_host: Parameters<f32>,
    memory_on_host: Vec<Parameters<f32>>,
    /// Whether those are of an earlier step.
    stale: bool,
    /// Time of all steps, or of the parts of those that were profiled.
    spent: BTreeMap<&'static str, Duration>,
    /// The same by parts of a step, of those that were profiled.
    profiled: Option<StepTimes>,
    /// While a step is profiled: when its last part ended.
    marked: Option<Instant>,
}

/// A part of a step that is recorded as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    /// A lane of this rank, its batch in so many rows a space; the last one's with what follows it, up
    /// to a sum over ranks that goes by the host.
    Lane { local: usize, counts: [usize; 3] },
    /// What follows a sum over ranks that goes by the host.
    Update,
}

impl Part {
    /// Run once, as it came, and not recorded yet: libraries load and settle what they need at the first call.
    const SEEN: Option<Recorded> = None;
}

/// Steps between two looks at what they came to.
const UNREAD: usize = 8;
/// Steps that are looked at one by one after one that was not finite, so that the one too many is told of at once.
const WATCHED: usize = 64;

impl<'a> CudaEngine<'a> {
    /// At the start: parameters drawn, memory laid out on the device. Fails if there is not enough.
    pub fn new(
        problem: &'a Problem<'a>,
        spec: &TrainSpec,
        seed: u64,
        comm: &'a dyn Communicator,
        stream: &Stream,
    ) -> Result<Self> {
        let (network, precision) = (problem.network, spec.precision);
        let tables = Rc::new(CudaTables::new(stream, precision, network.ports, problem.features)?);
        let assembler = CudaAssembler::new(tables.clone(), problem.train, problem.own.start, problem.lanes)?;
        let plan = CudaPlan::new(
            network.graph.clone(),
            Purpose::Train,
            network.loss,
            &[],
            &assembler.capacity(),
            stream,
            precision,
        )?;
        let layout = CudaLayout::new(&network.graph)?;
        let on_host = network.start(seed)?;
        let parameters = CudaParameters::zeros(stream, layout.clone(), precision)?;
        parameters.upload(&on_host)?;
        let own = problem.own.len();
        let validated = problem.validation_entities.map(<[u32]>::len);
        let engine = Self {
            problem,
            comm,
            seed,
            stream: stream.clone(),
            plan,
            assembler,
            scorer: CudaScorer::new(network, &tables, validated)?,
            validation: CudaPairs::new(&tables, problem.validation)?,
            parameters,
            update: CudaUpdate::new(stream, spec, layout.clone(), precision, own)?,
            lane_sum: CudaLaneSum::new(stream, &layout, own)?,
            rank_sum: CudaRankSum::new(stream, comm, layout, spec)?,
            passes: stream.zeros(own * size_of::<CudaPass>())?,
            parts: HashMap::new(),
            records: stream.records(),
            rows: CudaRows::default(),
            losses: (0.0, 0),
            unread: 0,
            // So that the one too many is told of at once.
            unread_limit: if spec.max_skipped_steps < UNREAD { 1 } else { UNREAD },
            skipped: 0,
            watched: 0,
            on_host,
            memory_on_host: Vec::new(),
            stale: true,
            spent: BTreeMap::new(),
            profiled: None,
            marked: None,
        };
        let held =
            engine.plan.bytes() + engine.assembler.bytes() + tables.bytes() + engine.validation.bytes();
        log::debug!(
            "{}: {:.2} GiB on the device for features, pairs and what ops compute",
            problem.name,
            held as f64 / f64::from(1 << 30)
        );
        Ok(engine)
    }

    fn pass(&self, local: usize) -> Address {
        self.passes.at().offset(local * size_of::<CudaPass>())
    }

    /// Runs a part: as it comes at first, then recorded, then from the recording.
    fn run(&mut self, part: Part, work: impl Fn(&mut Self) -> Result<()>) -> Result<()> {
        if !self.records {
            return work(self);
        }
        match self.parts.get(&part) {
            None => {
                work(self)?;
                self.parts.insert(part, Part::SEEN);
                Ok(())
            }
            Some(Some(recorded)) => recorded.replay(),
            Some(None) => {
                let stream = self.stream.clone();
                let recorded = stream.record(|| work(self))?;
                recorded.replay()?;
                self.parts.insert(part, Some(recorded));
                Ok(())
            }
        }
    }

    /// Ends a part of a step that is profiled: waits for the device, and adds what it took.
    fn mark(&mut self, part: fn(&mut StepTimes) -> &mut Duration) -> Result<()> {
        let Some(since) = self.marked else { return Ok(()) };
        self.stream.wait()?;
        let now = Instant::now();
        *part(self.profiled.get_or_insert_default()) += now - since;
        self.marked = Some(now);
        Ok(())
    }

    /// Puts a lane's batch, its way forward and its way back on the stream.
    fn lane(&mut self, local: usize, rows: &CudaRows) -> Result<()> {
        let pass = self.pass(local);
        self.assembler.assemble(&self.plan, rows, pass)?;
        self.mark(|times| &mut times.assembly)?;
        self.plan.forward(&self.parameters, rows, pass)?;
        self.update.loss(self.plan.output(rows), local, pass)?;
        self.mark(|times| &mut times.forward)?;
        self.lane_sum.go_to(local);
        if local + 1 < self.problem.own.len() {
            let gradients = self.lane_sum.next();
            self.plan.backward(&self.parameters, gradients, rows, pass, &mut |_| Ok(()))?;
            self.mark(|times| &mut times.backward)?;
            self.lane_sum.taken()?;
            return self.mark(|times| &mut times.lanes);
        }
        self.update.words(self.lane_sum.sum())?;
        let rank_sum = &self.rank_sum;
        let last = self.lane_sum.last();
        self.plan.backward(&self.parameters, last.gradients(), rows, pass, &mut |bucket| {
            last.add(bucket)?;
            rank_sum.give(bucket, last.sum())
        })?;
        self.mark(|times| &mut times.backward)?;
        self.rank_sum.join()?;
        self.mark(|times| &mut times.wait)?;
        if self.rank_sum.by_host() {
            return Ok(());
        }
        self.update.step(&self.parameters, self.lane_sum.sum(), pass)?;
        self.mark(|times| &mut times.update)
    }

    /// Reads what steps have come to.
    fn read(&mut self) -> Result<(Counters, Stepped)> {
        let counters = {
            // The device waits for those of other ranks.
            let _waiting = self.rank_sum.by_nccl().then(|| status::waiting(Call::Sum));
            self.update.counters()?
        };
        log::trace!("norm of the gradient: {:e}", counters.norm);
        status::beat();
        self.unread = 0;
        self.losses = (counters.lane_losses.iter().sum(), counters.counted);
        let skipped = counters.skipped - self.skipped;
        self.skipped = counters.skipped;
        if skipped > 0 {
            self.watched = WATCHED;
        }
        let stepped =
            Stepped { asks: counters.asks, skipped, last_skipped: counters.last_skipped.unwrap_or_default() };
        Ok((counters, stepped))
    }
}

impl Engine for CudaEngine<'_> {
    fn restore(&mut self, state: &State) -> Result<()> {
        self.parameters.upload(&state.weights)?;
        let progress = &state.progress;
        let lane_losses = &state.lane_losses[self.problem.own.clone()];
        self.skipped = progress.skipped;
        self.stale = true;
        self.update.restore(
            &state.memory,
            progress.optimizer_steps,
            progress.counted,
            progress.skipped,
            lane_losses,
        )
    }

    fn begin_epoch(&mut self, epoch: usize) -> Result<()> {
        self.assembler.begin_epoch(self.seed, epoch as u32)?;
        // Sums by NCCL are recorded with the lane's part, which all ranks must do at the same steps; and lanes
        // are computed alike however they are dealt.
        let all = self.comm.all_gather(bytemuck::cast_slice(self.assembler.widest()));
        self.assembler.widen(&all);
        Ok(())
    }

    fn step(&mut self, EpochStep { at, step, rate }: EpochStep, asks: Asks) -> Result<Stepped> {
        let started = Instant::now();
        self.stale = true;
        let lanes = self.problem.lanes;
        let total = lanes.rows_in_step(at);
        let own = self.problem.own.len();
        let passes: Vec<CudaPass> = (0..own)
            .map(|local| CudaPass {
                seed: step.seed,
                step: step.number,
                rate,
                scale: 1.0 / total as f32,
                total_pairs: total as u32,
                ..self.assembler.pass(local, at)
            })
            .collect();
        self.passes.upload(0, &passes)?;
        self.update.ask(asks)?;
        for local in 0..own {
            let counts = self.assembler.counts(at);
            let rows = self.assembler.rows(at);
            self.run(Part::Lane { local, counts }, |engine| engine.lane(local, &rows))?;
            self.rows = rows;
        }
        let mut asked = None;
        if self.rank_sum.by_host() {
            let words = self.rank_sum.sum_by_host(self.lane_sum.sum().memory())?;
            self.mark(|times| &mut times.wait)?;
            asked = Some(Asks { stop: words[0] > 0.0, checkpoint: words[1] > 0.0 });
            let pass = self.pass(own - 1);
            self.run(Part::Update, |engine| {
                engine.update.step(&engine.parameters, engine.lane_sum.sum(), pass)?;
                engine.mark(|times| &mut times.update)
            })?;
        } else if self.rank_sum.is_alone() {
            asked = Some(asks);
        }
        self.unread += 1;
        status::beat();
        // The last of an epoch too, whose asks nobody would hear where epochs are short.
        let look = self.unread >= self.unread_limit || self.watched > 0 || at + 1 == lanes.steps();
        self.watched = self.watched.saturating_sub(1);
        let stepped = if look { self.read()?.1 } else { Stepped::default() };
        *self.spent.entry("steps").or_default() += started.elapsed();
        Ok(Stepped { asks: asked.unwrap_or(stepped.asks), ..stepped })
    }

    fn settle(&mut self) -> Result<Stepped> {
        if self.unread == 0 {
            return Ok(Stepped::default());
        }
        let started = Instant::now();
        let stepped = self.read()?.1;
        *self.spent.entry("steps").or_default() += started.elapsed();
        Ok(stepped)
    }

    fn snapshot(&mut self) -> Result<Snapshot<'_>> {
        let (counters, _) = self.read()?;
        if self.stale {
            self.parameters.download(&mut self.on_host)?;
            self.memory_on_host = self.update.memory(&self.on_host)?;
            self.stale = false;
        }
        Ok(Snapshot {
            parameters: &self.on_host,
            memory: self.memory_on_host.iter().map(Parameters::values).collect(),
            optimizer_steps: counters.steps,
            lane_losses: counters.lane_losses,
            counted: counters.counted,
        })
    }

    fn losses_so_far(&self) -> (f64, usize) {
        self.losses
    }

    fn clear_sums(&mut self) -> Result<()> {
        self.losses = (0.0, 0);
        self.update.begin_epoch()
    }

    fn validate(&mut self) -> Result<Vec<Vec<f32>>> {
        self.scorer.embed(&self.parameters, self.problem.validation_entities)?;
        let mut first = 0;
        let predict = |lane: &Examples| {
            let rows = first..first + lane.len();
            first = rows.end;
            let mut predicted = Vec::with_capacity(lane.len());
            self.scorer.predict(&self.parameters, &self.validation, rows, &mut predicted)?;
            Ok(predicted)
        };
        self.problem.validation.iter().map(predict).collect()
    }

    fn diverged(&mut self) -> Result<Vec<Diverged>> {
        self.parameters.download(&mut self.on_host)?;
        let mut gradients = Gradients::zeros(&self.problem.network.graph)?;
        self.lane_sum.sum().download(&mut gradients)?;
        Ok(diverged(&self.on_host, &gradients))
    }

    fn products(&self) -> Vec<Product> {
        self.plan.products(&self.rows)
    }

    fn distinct(&self) -> [usize; 2] {
        self.problem.network.ports.entities.map(|port| self.rows.of(port.space))
    }

    fn profile(&mut self, step: EpochStep) -> Result<()> {
        self.stream.wait()?;
        let records = std::mem::replace(&mut self.records, false);
        self.plan.profile(true);
        let before = self.spent.clone();
        let started = Instant::now();
        self.marked = Some(started);
        self.step(step, Asks::default())?;
        self.marked = None;
        self.stream.wait()?;
        let whole = started.elapsed();
        self.spent = before;
        let ops = self.plan.profile(false);
        let rest = whole.saturating_sub(ops.values().sum());
        for (part, time) in ops.into_iter().chain([("batch assembly, sums and optimiser", rest)]) {
            *self.spent.entry(part).or_default() += time;
        }
        self.records = records;
        Ok(())
    }

    fn spent(&self) -> Vec<(&'static str, Duration)> {
        let mut parts: Vec<_> = self.spent.iter().map(|(&part, &time)| (part, time)).collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.1));
        parts
    }

    fn buckets(&self) -> usize {
        self.lane_sum.sum().layout().buckets().len()
    }

    fn step_times(&self) -> Option<StepTimes> {
        self.profiled
    }

    fn reset_spent(&mut self) {
        self.profiled = None;
        self.spent.clear();
    }
}
