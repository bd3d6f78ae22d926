//! The batches of a training on a device held against those of the processors.

use super::{CudaAssembler, CudaTables, Examples, FeaturePort, Lanes, Ports};
use crate::Result;
use crate::batch::{Assembler, Shuffle};
use crate::device::cuda::{Address, Precision, Stream};
use crate::feature::ScaledFeatures;
use crate::graph::compare::download;
use crate::graph::{CpuPlan, CudaPlan, Graph, NodeId, Purpose};
use crate::op::{CudaSegments, Segments, Tensor};
use crate::store::Entity;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// A training whose batches are compared.
pub struct BatchComparison<'a> {
    /// The network.
    pub graph: &'a Arc<Graph>,
    /// Its loss.
    pub loss: NodeId,
    /// Where pairs enter.
    pub ports: Ports,
    /// Features of the drugs, then of the samples.
    pub features: &'a [ScaledFeatures; 2],
    /// The cut of all pairs.
    pub lanes: Lanes,
    /// The pairs, one entry a lane, from lane `first` on.
    pub train: &'a [Examples],
    /// The first lane.
    pub first: usize,
    /// Of the shuffles.
    pub seed: u64,
}

/// How many batches were compared, and what of them was another.
#[derive(Debug, Default)]
pub struct BatchesCompared {
    /// Batches.
    pub batches: usize,
    /// Recordings that they were replayed from.
    pub recordings: usize,
    /// What was another, with its place.
    pub faults: Vec<String>,
}

impl BatchComparison<'_> {
    /// Holds every step of two epochs against that of the processors, to the bit, features rounded as
    /// `precision` stores them.
    pub fn on(&self, stream: &Stream, precision: Precision) -> Result<BatchesCompared> {
        let Self { ports, lanes, features, .. } = *self;
        let most = lanes.most_in_step();
        let capacity = ports.capacity(most, [most; 2]);
        let plan = Purpose::Train;
        let mut cpu = CpuPlan::<f32>::new(self.graph.clone(), plan, self.loss, &[], &capacity)?;
        let mut on_cpu = Assembler::new(ports, features.clone());
        let tables = Rc::new(CudaTables::new(stream, precision, ports, features)?);
        let mut assembler = CudaAssembler::new(tables, self.train, self.first, lanes)?;
        let capacity = assembler.capacity();
        let plan = CudaPlan::new(self.graph.clone(), plan, self.loss, &[], &capacity, stream, precision)?;
        // Whatever buffers held before must not matter.
        plan.spoil()?;
        let pass = stream.zeros(size_of::<crate::op::CudaPass>())?;
        let mut recordings = HashMap::new();
        let mut compared = BatchesCompared::default();
        for epoch in 0..2 {
            assembler.begin_epoch(self.seed, epoch)?;
            for (local, pairs) in self.train.iter().enumerate() {
                let lane = self.first + local;
                let shuffle = Shuffle::new(self.seed, epoch, lane as u32, lanes.rows(lane));
                for step in 0..lanes.steps() {
                    let mut rows = Vec::new();
                    shuffle.list(lanes.step(lane, step), &mut rows);
                    on_cpu.feed(&mut cpu, pairs, &rows);
                    let batch = assembler.rows(step);
                    pass.upload(0, &[assembler.pass(local, step)])?;
                    if stream.records() {
                        if !recordings.contains_key(&batch.count) {
                            let recorded = stream.record(|| assembler.assemble(&plan, &batch, pass.at()))?;
                            recordings.insert(batch.count.clone(), recorded);
                        }
                        recordings[&batch.count].replay()?;
                    } else {
                        assembler.assemble(&plan, &batch, pass.at())?;
                    }
                    let mut fault = |what: &str| {
                        compared.faults.push(format!("{what} of lane {lane}, epoch {epoch}, step {step}"));
                    };
                    self.one(stream, &mut cpu, &plan, &assembler, [local, step], &mut fault)?;
                    compared.batches += 1;
                }
            }
        }
        compared.recordings = recordings.len();
        Ok(compared)
    }

    /// Tells `fault` what of the batch at hand is another than that fed to `cpu`.
    fn one(
        &self,
        stream: &Stream,
        cpu: &mut CpuPlan<f32>,
        plan: &CudaPlan,
        assembler: &CudaAssembler,
        [local, step]: [usize; 2],
        fault: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let (ports, batch) = (self.ports, assembler.rows(step));
        let expected = cpu.rows().clone();
        let (pairs, all) = (expected.of(ports.pairs), batch.of(ports.pairs));
        let mut equal = |what: &str, got: &[u32], expected: &[u32]| {
            if got != expected {
                fault(what);
            }
        };
        equal("rows", &[all as u32], &[self.lanes.most_in_step().next_multiple_of(8) as u32]);
        let numbers = words(stream, batch.numbers(ports.pairs)?, all)?;
        equal("numbers of pairs", &numbers, &padded(&expected.number[ports.pairs.0], all, 0));
        for entity in Entity::ALL {
            let port = ports.entities[entity as usize];
            let (space, count) = (batch.of(port.space), expected.of(port.space));
            let distinct = assembler.distinct(local, step)[entity as usize];
            let rounded_up = space >= count && space.is_multiple_of(8);
            equal("distinct entities", &[distinct as u32, rounded_up.into()], &[count as u32, 1]);
            if distinct != count || !rounded_up {
                continue;
            }
            let numbers = words(stream, batch.numbers(port.space)?, space)?;
            equal("numbers of entities", &numbers, &padded(&expected.number[port.space.0], space, 0));
            let (map, expected_map) = (batch.map(port.map)?, expected.map(port.map));
            equal("a map", &words(stream, map.index, all)?, &padded(&expected_map.index, all, 0));
            let start = words(stream, map.segments.start, space + 1)?;
            let expected_start = padded(&expected_map.segments.start, space + 1, pairs as u32);
            equal("starts of lists", &start, &expected_start);
            let order = words(stream, map.segments.order, pairs)?;
            equal("lists", &order, &expected_map.segments.order);
            match port.features {
                FeaturePort::Values(input) => {
                    let Some(tensor) = plan.input(input, space) else { continue };
                    let values = cpu.input_mut(input).map_or(&[][..], |(values, _)| values);
                    equal("features", &held(stream, tensor)?, &fed(tensor, plan.precision(), values));
                }
                FeaturePort::Bits(id) => {
                    let table = self.features[entity as usize].table();
                    let (got, expected) = (batch.bits(id)?, expected.bits(id));
                    let entities = words(stream, got.entity, space)?;
                    let row = words(stream, got.row, table.rows())?;
                    let in_use = row.iter().filter(|&&r| r != u32::MAX).count();
                    equal("rows with bits", &[in_use as u32], &[count as u32]);
                    let ones = lists(stream, got.ones, table.rows())?;
                    for (local, &entity) in entities[..count].iter().enumerate() {
                        let Some(&row) = row.get(entity as usize) else {
                            equal("entities with bits", &[entity], &[]);
                            continue;
                        };
                        equal("rows of entities with bits", &[row], &[local as u32]);
                        equal("ones", ones.of(entity as usize), expected.ones.of(local));
                    }
                    let by_column = lists(stream, got.by_column, table.width())?;
                    for column in 0..table.width() {
                        let rows = by_column.of(column).iter().filter_map(|&entity| row.get(entity as usize));
                        let rows: Vec<u32> = rows.copied().filter(|&r| r != u32::MAX).collect();
                        equal("rows with a one", &rows, expected.by_column.of(column));
                    }
                }
            }
        }
        for input in [ports.truth].into_iter().chain(ports.dose) {
            let Some(tensor) = plan.input(input, all) else { continue };
            let values = cpu.input_mut(input).map_or(&[][..], |(values, _)| values);
            equal("doses or truths", &held(stream, tensor)?, &fed(tensor, plan.precision(), values));
        }
        Ok(())
    }
}

/// So many words from a place on a device.
pub(super) fn words(stream: &Stream, at: Address, count: usize) -> Result<Vec<u32>> {
    let copy = stream.zeros(4 * count)?;
    stream.copy(copy.at(), at, 4 * count)?;
    let mut words = vec![0; count];
    copy.download(0, &mut words)?;
    Ok(words)
}

/// The lists of `segments`, of which there are so many.
pub(super) fn lists(stream: &Stream, segments: CudaSegments, count: usize) -> Result<Segments> {
    let start = words(stream, segments.start, count + 1)?;
    let order = words(stream, segments.order, start[count] as usize)?;
    Ok(Segments { start, order })
}

/// `list`, then `with` up to so many.
pub(super) fn padded(list: &[u32], length: usize, with: u32) -> Vec<u32> {
    list.iter().copied().chain(std::iter::repeat(with)).take(length).collect()
}

/// The bits of what a tensor holds, padding included.
pub(super) fn held(stream: &Stream, tensor: Tensor) -> Result<Vec<u32>> {
    Ok(download(stream, tensor, tensor.rows)?.into_iter().map(bits).collect())
}

/// The bits of what a tensor is to hold: `values` as they are stored, and zeros in padding.
pub(super) fn fed(tensor: Tensor, precision: Precision, values: &[f32]) -> Vec<u32> {
    let rounds = precision == Precision::Bf16 && tensor.columns > 1;
    let stored = |&v: &f32| {
        let bits = v.to_bits();
        // To the nearest, ties to even.
        let nearest = || f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000);
        if rounds { nearest() } else { v }
    };
    let values = values.iter().map(stored).chain(std::iter::repeat(0.0));
    values.map(bits).take(tensor.rows * tensor.columns).collect()
}

/// Zero has no sign here.
fn bits(value: f32) -> u32 {
    if value == 0.0 { 0 } else { value.to_bits() }
}
