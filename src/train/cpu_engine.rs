use super::cpu_scorer::CpuScorer;
use super::divergence::{Diverged, diverged};
use super::engine::{Asks, Engine, EpochStep, Snapshot, Stepped};
use super::lane_sum::LaneSum;
use super::optimizer::Optimizer;
use super::reduction::Reduction;
use super::{Problem, State, StepTimes, TrainSpec};
use crate::Result;
use crate::batch::{Assembler, Shuffle};
use crate::comm::Communicator;
use crate::device::sum;
use crate::graph::{CpuPlan, Parameters, Product, Purpose};
use crate::op::Step;
use std::time::{Duration, Instant};

/// Trains on this rank's processors.
pub struct CpuEngine<'a> {
    problem: &'a Problem<'a>,
    seed: u64,
    plan: CpuPlan<f32>,
    assembler: Assembler,
    scorer: CpuScorer,
    parameters: Parameters<f32>,
    optimizer: Optimizer,
    lane_sum: LaneSum,
    reduction: Reduction<'a>,
    /// Of the epoch under way, one a lane of this rank.
    orders: Vec<Shuffle>,
    /// Rows of the step under way.
    rows: Vec<u32>,
    /// Sums of the losses of the epoch under way, one a lane of this rank.
    lane_losses: Vec<f64>,
    /// Training pairs of all lanes in them.
    counted: usize,
    /// Sums of the losses of the step under way, one a lane of this rank.
    losses: Vec<f64>,
    spent: StepTimes,
}

impl<'a> CpuEngine<'a> {
    /// At the start: parameters drawn, buffers laid out. Fails if there is no memory for them.
    pub fn new(
        problem: &'a Problem<'a>,
        spec: &TrainSpec,
        seed: u64,
        comm: &'a dyn Communicator,
    ) -> Result<Self> {
        let (network, ports) = (problem.network, problem.network.ports);
        let capacity = ports.capacity(problem.lanes.most_in_step(), problem.most_entities());
        let parameters = network.start(seed)?;
        let plan = CpuPlan::new(network.graph.clone(), Purpose::Train, network.loss, &[], &capacity)?;
        let lane_sum = LaneSum::new(plan.gradients()?, problem.own.len())?;
        let reduction = Reduction::new(comm, lane_sum.buckets())?;
        let validated = problem.validation_entities.map(<[u32]>::len);
        Ok(Self {
            problem,
            seed,
            plan,
            assembler: Assembler::new(ports, problem.features.clone()),
            scorer: CpuScorer::new(network, problem.features.clone(), validated)?,
            optimizer: Optimizer::new(spec, &parameters),
            lane_sum,
            reduction,
            orders: Vec::with_capacity(problem.own.len()),
            rows: Vec::with_capacity(problem.lanes.most_in_step()),
            lane_losses: vec![0.0; problem.own.len()],
            counted: 0,
            losses: vec![0.0; problem.own.len()],
            spent: StepTimes::default(),
            parameters,
        })
    }

    /// Goes backward through the last lane of this rank; each bucket of gradients goes its way over
    /// ranks as soon as it is whole, the last one with the words.
    fn backward_of_last_lane(&mut self, scale: f32, step: Step, asks: Asks) {
        let strange = self.losses.iter().filter(|loss| !loss.is_finite()).count();
        let words = [f32::from(u8::from(asks.stop)), f32::from(u8::from(asks.checkpoint)), strange as f32];
        let (mut earlier, last) = self.lane_sum.last();
        let (reduction, mut handing_over) = (&mut self.reduction, Duration::ZERO);
        let begun = Instant::now();
        self.plan.backward(&self.parameters, last, scale, step, &mut |bucket, last| {
            let started = Instant::now();
            let values = earlier.take(last, bucket);
            if bucket + 1 < last.buckets() {
                reduction.give(bucket, values);
            } else {
                reduction.give_last(bucket, values, words);
            }
            handing_over += started.elapsed();
        });
        self.spent.backward += begun.elapsed().saturating_sub(handing_over);
        self.spent.lanes += handing_over;
    }
}

impl Engine for CpuEngine<'_> {
    fn restore(&mut self, state: &State) -> Result<()> {
        self.parameters.values_mut().copy_from_slice(state.weights.values());
        self.optimizer.restore(&state.memory, state.progress.optimizer_steps);
        self.counted = state.progress.counted;
        self.lane_losses.copy_from_slice(&state.lane_losses[self.problem.own.clone()]);
        Ok(())
    }

    fn begin_epoch(&mut self, epoch: usize) -> Result<()> {
        let (seed, epoch) = (self.seed, epoch as u32);
        let lanes = self.problem.own.clone().zip(self.problem.train);
        self.orders.clear();
        self.orders.extend(lanes.map(|(lane, pairs)| Shuffle::new(seed, epoch, lane as u32, pairs.len())));
        Ok(())
    }

    fn step(&mut self, EpochStep { at, step, rate }: EpochStep, asks: Asks) -> Result<Stepped> {
        let lanes = self.problem.lanes;
        let scale = 1.0 / lanes.rows_in_step(at) as f32;
        let own = self.problem.own.clone();
        for (local, lane) in own.clone().enumerate() {
            let started = Instant::now();
            self.orders[local].list(lanes.step(lane, at), &mut self.rows);
            self.assembler.feed(&mut self.plan, &self.problem.train[local], &self.rows);
            let assembled = Instant::now();
            self.spent.assembly += assembled - started;
            self.plan.forward(&self.parameters, step);
            self.losses[local] = sum(self.plan.output());
            let computed = Instant::now();
            self.spent.forward += computed - assembled;
            if lane + 1 < own.end {
                let gradients = self.lane_sum.next();
                self.plan.backward(&self.parameters, gradients, scale, step, &mut |_, _| ());
                let derived = Instant::now();
                self.spent.backward += derived - computed;
                self.lane_sum.taken();
                self.spent.lanes += derived.elapsed();
            }
        }
        self.backward_of_last_lane(scale, step, asks);
        let started = Instant::now();
        let reduced = self.reduction.finish(self.lane_sum.sum())?;
        let summed = Instant::now();
        self.spent.wait += summed - started;
        let [stop, checkpoint, strange] = reduced.words;
        let asks = Asks { stop: stop > 0.0, checkpoint: checkpoint > 0.0 };
        if !reduced.finite || strange > 0.0 {
            return Ok(Stepped { asks, skipped: 1, last_skipped: step.number });
        }
        self.lane_losses.iter_mut().zip(&self.losses).for_each(|(lane, loss)| *lane += loss);
        self.counted += lanes.rows_in_step(at);
        self.optimizer.step(&mut self.parameters, self.lane_sum.sum(), rate);
        self.spent.update += summed.elapsed();
        Ok(Stepped { asks, ..Stepped::default() })
    }

    fn settle(&mut self) -> Result<Stepped> {
        Ok(Stepped::default())
    }

    fn snapshot(&mut self) -> Result<Snapshot<'_>> {
        Ok(Snapshot {
            parameters: &self.parameters,
            memory: self.optimizer.memory(),
            optimizer_steps: self.optimizer.steps(),
            lane_losses: self.lane_losses.clone(),
            counted: self.counted,
        })
    }

    fn losses_so_far(&self) -> (f64, usize) {
        (self.lane_losses.iter().sum(), self.counted)
    }

    fn clear_sums(&mut self) -> Result<()> {
        self.lane_losses.fill(0.0);
        self.counted = 0;
        Ok(())
    }

    fn validate(&mut self) -> Result<Vec<Vec<f32>>> {
        self.scorer.embed(&self.parameters, self.problem.validation_entities)?;
        let predict = |lane: &crate::batch::Examples| {
            let mut predicted = Vec::with_capacity(lane.len());
            self.scorer.predict(&self.parameters, lane, 0..lane.len(), &mut predicted)?;
            Ok(predicted)
        };
        self.problem.validation.iter().map(predict).collect()
    }

    fn diverged(&mut self) -> Result<Vec<Diverged>> {
        Ok(diverged(&self.parameters, self.lane_sum.sum()))
    }

    fn products(&self) -> Vec<Product> {
        self.plan.products()
    }

    fn distinct(&self) -> [usize; 2] {
        self.problem.network.ports.entities.map(|port| self.plan.rows().of(port.space))
    }

    fn spent(&self) -> Vec<(&'static str, Duration)> {
        let StepTimes { assembly, lanes, wait, update, .. } = self.spent;
        let mut parts =
            vec![("batch assembly", assembly), ("all-reduce", lanes + wait), ("optimiser", update)];
        for (op, time) in self.plan.spent() {
            match parts.iter_mut().find(|part| part.0 == op) {
                Some(part) => part.1 += time,
                None => parts.push((op, time)),
            }
        }
        parts.sort_by_key(|part| std::cmp::Reverse(part.1));
        parts
    }

    fn step_times(&self) -> Option<StepTimes> {
        Some(StepTimes { sums: self.reduction.busy(), ..self.spent })
    }

    fn buckets(&self) -> usize {
        self.lane_sum.buckets()
    }

    fn reset_spent(&mut self) {
        self.spent = StepTimes::default();
        self.reduction.reset_busy();
        self.plan.reset_spent();
    }
}
