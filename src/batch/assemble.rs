use crate::feature::Features;
use crate::graph::{CpuPlan, NodeId};
use crate::op::{MapId, Number, SpaceId};

/// Where pairs enter a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Rows that are pairs, drugs and samples.
    pub pairs: SpaceId,
    /// Distinct drugs of a batch.
    pub drugs: SpaceId,
    /// Distinct samples of a batch.
    pub samples: SpaceId,
    /// From a pair to its drug.
    pub drug_of: MapId,
    /// From a pair to its sample.
    pub sample_of: MapId,
    /// `[drugs, columns]`.
    pub drug_features: NodeId,
    /// `[samples, columns]`.
    pub sample_features: NodeId,
    /// `[pairs, 1]`, scaled, where the network takes a dose.
    pub dose: Option<NodeId>,
    /// `[pairs, 1]`, scaled.
    pub truth: NodeId,
}

impl Ports {
    /// Capacities of the three spaces, by their numbers.
    pub fn capacity(&self, pairs: usize, drugs: usize, samples: usize) -> [usize; 3] {
        let mut capacity = [0; 3];
        capacity[self.pairs.0] = pairs;
        capacity[self.drugs.0] = drugs;
        capacity[self.samples.0] = samples;
        capacity
    }
}

/// Pairs as a network sees them: doses and truths scaled.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Examples {
    /// Drug index in the store, `[n]`.
    pub drug: Vec<u32>,
    /// Sample index in the store, `[n]`.
    pub sample: Vec<u32>,
    /// Scaled dose, `[n]`, or empty.
    pub dose: Vec<f32>,
    /// Scaled endpoint, `[n]`.
    pub truth: Vec<f32>,
    /// Row in the dataset, `[n]`.
    pub number: Vec<u32>,
}

impl Examples {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.drug.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.drug.is_empty()
    }
}

/// Feeds batches to a plan. Holds the features of the entities and scratch
/// space, so that a batch is assembled without allocating.
#[derive(Debug)]
pub struct Assembler<'a> {
    ports: Ports,
    drugs: &'a Features,
    samples: &'a Features,
    drug_slots: Slots,
    sample_slots: Slots,
    sorted: Vec<u32>,
}

/// Distinct entities of a batch, numbered ascending.
#[derive(Debug)]
struct Slots {
    /// For each entity of the store: pairs of this batch, then where the next one goes; zero between batches.
    next: Vec<u32>,
    local: Vec<u32>,
}

impl Slots {
    fn new(entities: usize) -> Self {
        Self { next: vec![0; entities], local: vec![0; entities] }
    }

    /// Lists the distinct entities in `distinct`, ascending, and notes the number of each.
    fn number(&mut self, entities: impl Iterator<Item = u32>, distinct: &mut Vec<u32>) {
        distinct.clear();
        for entity in entities {
            let count = &mut self.next[entity as usize];
            if *count == 0 {
                distinct.push(entity);
            }
            *count += 1;
        }
        distinct.sort_unstable();
        distinct.iter().zip(0..).for_each(|(&entity, local)| self.local[entity as usize] = local);
    }
}

impl<'a> Assembler<'a> {
    /// For a network with these ports over these features.
    pub fn new(ports: Ports, drugs: &'a Features, samples: &'a Features) -> Self {
        let (drug_slots, sample_slots) = (Slots::new(drugs.entities()), Slots::new(samples.entities()));
        Self { ports, drugs, samples, drug_slots, sample_slots, sorted: Vec::new() }
    }

    /// Feeds the pairs at `rows` of `examples`: their distinct drugs and
    /// samples once each, ascending, and the pairs sorted by drug, so that
    /// sums into drugs walk memory in order.
    pub fn feed<T: Number>(&mut self, plan: &mut CpuPlan<T>, examples: &Examples, rows: &[u32]) {
        let ports = self.ports;
        let batch = plan.rows_mut();
        let pairs = rows.len();
        batch.count[ports.pairs.0] = pairs;
        let drugs = rows.iter().map(|&r| examples.drug[r as usize]);
        self.drug_slots.number(drugs, &mut batch.number[ports.drugs.0]);
        let samples = rows.iter().map(|&r| examples.sample[r as usize]);
        self.sample_slots.number(samples, &mut batch.number[ports.samples.0]);
        let (drugs, samples) = (batch.number[ports.drugs.0].len(), batch.number[ports.samples.0].len());
        batch.count[ports.drugs.0] = drugs;
        batch.count[ports.samples.0] = samples;

        let mut begin = 0;
        for &drug in &batch.number[ports.drugs.0] {
            begin += std::mem::replace(&mut self.drug_slots.next[drug as usize], begin);
        }
        self.sorted.clear();
        self.sorted.resize(pairs, 0);
        for &row in rows {
            let place = &mut self.drug_slots.next[examples.drug[row as usize] as usize];
            self.sorted[*place as usize] = row;
            *place += 1;
        }
        for &drug in &batch.number[ports.drugs.0] {
            self.drug_slots.next[drug as usize] = 0;
        }
        for &sample in &batch.number[ports.samples.0] {
            self.sample_slots.next[sample as usize] = 0;
        }

        self.point(plan, examples, |at, sorted| sorted[at], pairs);
        let batch = plan.rows_mut();
        batch.maps[ports.drug_of.0].invert(drugs);
        batch.maps[ports.sample_of.0].invert(samples);
        self.feed_entities(plan);
    }

    /// Feeds every drug and sample that `examples` name, for a scoring plan
    /// that computes entities once.
    pub fn feed_all_entities<T: Number>(&mut self, plan: &mut CpuPlan<T>, examples: &Examples) {
        let batch = plan.rows_mut();
        let ports = self.ports;
        self.drug_slots.number(examples.drug.iter().copied(), &mut batch.number[ports.drugs.0]);
        self.sample_slots.number(examples.sample.iter().copied(), &mut batch.number[ports.samples.0]);
        batch.count[ports.drugs.0] = batch.number[ports.drugs.0].len();
        batch.count[ports.samples.0] = batch.number[ports.samples.0].len();
        self.drug_slots.next.fill(0);
        self.sample_slots.next.fill(0);
        self.feed_entities(plan);
    }

    /// Feeds a run of the pairs whose entities [`Self::feed_all_entities`] fed.
    pub fn feed_pairs<T: Number>(
        &mut self,
        plan: &mut CpuPlan<T>,
        examples: &Examples,
        rows: std::ops::Range<usize>,
    ) {
        plan.rows_mut().count[self.ports.pairs.0] = rows.len();
        self.point(plan, examples, |at, _| (rows.start + at) as u32, rows.len());
    }

    /// Fills what belongs to pairs: `row(i)` is the example at place `i`.
    fn point<T: Number>(
        &self,
        plan: &mut CpuPlan<T>,
        examples: &Examples,
        row: impl Fn(usize, &[u32]) -> u32,
        pairs: usize,
    ) {
        let ports = self.ports;
        let at = |i: usize| row(i, &self.sorted) as usize;
        let batch = plan.rows_mut();
        let refill = |list: &mut Vec<u32>, value: &dyn Fn(usize) -> u32| {
            list.clear();
            list.extend((0..pairs).map(|i| value(at(i))));
        };
        refill(&mut batch.number[ports.pairs.0], &|r| examples.number[r]);
        let drug = |r: usize| self.drug_slots.local[examples.drug[r] as usize];
        refill(&mut batch.maps[ports.drug_of.0].index, &drug);
        let sample = |r: usize| self.sample_slots.local[examples.sample[r] as usize];
        refill(&mut batch.maps[ports.sample_of.0].index, &sample);
        let mut column = |node: NodeId, from: &[f32]| {
            if let Some((values, _)) = plan.input_mut(node) {
                values.iter_mut().enumerate().for_each(|(i, v)| *v = T::of(f64::from(from[at(i)])));
            }
        };
        if let Some(dose) = ports.dose {
            column(dose, &examples.dose);
        }
        column(ports.truth, &examples.truth);
    }

    fn feed_entities<T: Number>(&self, plan: &mut CpuPlan<T>) {
        let ports = self.ports;
        for (node, space, features) in [
            (ports.drug_features, ports.drugs, self.drugs),
            (ports.sample_features, ports.samples, self.samples),
        ] {
            if let Some((values, batch)) = plan.input_mut(node) {
                let rows = values.chunks_exact_mut(features.width());
                for (row, &entity) in rows.zip(&batch.number[space.0]) {
                    let from = features.row(entity);
                    row.iter_mut().zip(from).for_each(|(v, &x)| *v = T::of(f64::from(x)));
                }
            }
        }
    }
}
