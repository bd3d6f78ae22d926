use super::{EntityPort, Examples, FeaturePort, Ports};
use crate::device::sweep_rows;
use crate::feature::ScaledFeatures;
use crate::graph::{CpuPlan, NodeId};
use crate::op::{Number, Rows};
use crate::store::Entity;
use std::ops::Range;

/// Feeds batches to a plan. Holds the features of the entities and scratch
/// space, so that a batch is assembled without allocating.
#[derive(Debug)]
pub struct Assembler {
    ports: Ports,
    /// Drugs, then samples.
    sides: [Side; 2],
    sorted: Vec<u32>,
}

/// One of the two entities that a pair joins.
#[derive(Debug)]
struct Side {
    port: EntityPort,
    features: ScaledFeatures,
    /// For each entity of the store: pairs of this batch, then where the next
    /// one goes; zero between batches.
    next: Vec<u32>,
    /// For each entity of the store: its row in the batch, where it has one.
    local: Vec<u32>,
}

impl Side {
    fn new(port: EntityPort, features: ScaledFeatures) -> Self {
        let entities = features.table().entities();
        Self { port, features, next: vec![0; entities], local: vec![0; entities] }
    }

    /// Lists the distinct entities of a batch, ascending, and counts the pairs of each.
    fn list(&mut self, entities: impl Iterator<Item = u32>, rows: &mut Rows) {
        let distinct = &mut rows.number[self.port.space.0];
        distinct.clear();
        for entity in entities {
            let count = &mut self.next[entity as usize];
            if *count == 0 {
                distinct.push(entity);
            }
            *count += 1;
        }
        distinct.sort_unstable();
        rows.count[self.port.space.0] = distinct.len();
        self.locate(&rows.number[self.port.space.0]);
    }

    /// Notes the row of each of `distinct`.
    fn locate(&mut self, distinct: &[u32]) {
        distinct.iter().zip(0..).for_each(|(&entity, local)| self.local[entity as usize] = local);
    }

    fn clear(&mut self, rows: &Rows) {
        rows.number[self.port.space.0].iter().for_each(|&entity| self.next[entity as usize] = 0);
    }

    fn feed<T: Number>(&self, plan: &mut CpuPlan<T>) {
        let (width, space) = (self.features.table().width(), self.port.space.0);
        match self.port.features {
            FeaturePort::Values(input) => {
                if let Some((values, rows)) = plan.input_mut(input) {
                    let (numbers, features) = (&rows.number[space], self.features.rows());
                    sweep_rows(
                        values,
                        width,
                        #[inline(always)]
                        |first, block| {
                            for (row, &entity) in block.chunks_exact_mut(width).zip(&numbers[first..]) {
                                features.write(entity, row);
                            }
                        },
                    );
                }
            }
            FeaturePort::Bits(id) => {
                let Rows { number, bits, .. } = plan.rows_mut();
                let table = &mut bits[id.0];
                table.ones.clear();
                // All there can be, so that no later batch needs more.
                let most = self.features.table().ones();
                table.by_column.clear();
                table.ones.order.reserve(most);
                table.by_column.order.reserve(most);
                number[space]
                    .iter()
                    .for_each(|&entity| table.ones.push(self.features.table().ones_of(entity)));
                table.invert(width);
            }
        }
    }
}

impl Assembler {
    /// For a network with these ports over these features, of drugs, then samples.
    pub fn new(ports: Ports, [drugs, samples]: [ScaledFeatures; 2]) -> Self {
        let [drug, sample] = ports.entities;
        Self { ports, sides: [Side::new(drug, drugs), Side::new(sample, samples)], sorted: Vec::new() }
    }

    /// Feeds the pairs at `rows` of `examples`: their distinct drugs and
    /// samples once each, ascending, and the pairs sorted by drug, so that
    /// sums into drugs walk memory in order. Panics if they pass the plan's capacity.
    pub fn feed<T: Number>(&mut self, plan: &mut CpuPlan<T>, examples: &Examples, rows: &[u32]) {
        let batch = plan.rows_mut();
        for (side, entity) in self.sides.iter_mut().zip(Entity::ALL) {
            side.list(rows.iter().map(|&r| examples.of(entity)[r as usize]), batch);
        }
        let [drugs, _] = &mut self.sides;
        let mut begin = 0;
        for &drug in &batch.number[drugs.port.space.0] {
            begin += std::mem::replace(&mut drugs.next[drug as usize], begin);
        }
        self.sorted.clear();
        self.sorted.resize(rows.len(), 0);
        for &row in rows {
            let place = &mut drugs.next[examples.drug[row as usize] as usize];
            self.sorted[*place as usize] = row;
            *place += 1;
        }
        self.sides.iter_mut().for_each(|side| side.clear(batch));
        let sorted = std::mem::take(&mut self.sorted);
        self.feed_rows(plan, examples, sorted.iter().copied());
        self.sorted = sorted;
        for side in &self.sides {
            let batch = plan.rows_mut();
            let entities = batch.of(side.port.space);
            batch.maps[side.port.map.0].invert(entities);
            side.feed(plan);
        }
    }

    /// Lists `entities`, distinct, as the rows of their space, and feeds their
    /// features where `plan` reads them. For scoring plans, which take entities
    /// apart from pairs.
    pub fn feed_entities<T: Number>(&mut self, plan: &mut CpuPlan<T>, entity: Entity, entities: &[u32]) {
        let side = &self.sides[entity as usize];
        let rows = plan.rows_mut();
        rows.number[side.port.space.0].clear();
        rows.number[side.port.space.0].extend_from_slice(entities);
        rows.count[side.port.space.0] = entities.len();
        side.feed(plan);
    }

    /// Has pairs fed from now on find their drug or sample in this list.
    pub fn locate(&mut self, entity: Entity, entities: &[u32]) {
        self.sides[entity as usize].locate(entities);
    }

    /// Feeds a run of pairs whose entities [`Self::locate`] was told of.
    pub fn feed_pairs<T: Number>(&mut self, plan: &mut CpuPlan<T>, examples: &Examples, rows: Range<usize>) {
        self.feed_rows(plan, examples, rows.start as u32..rows.end as u32);
    }

    /// Feeds what belongs to pairs: numbers, maps, dose and truth.
    fn feed_rows<T: Number>(
        &self,
        plan: &mut CpuPlan<T>,
        examples: &Examples,
        rows: impl ExactSizeIterator<Item = u32> + Clone,
    ) {
        let batch = plan.rows_mut();
        batch.count[self.ports.pairs.0] = rows.len();
        let numbers = &mut batch.number[self.ports.pairs.0];
        numbers.clear();
        numbers.extend(rows.clone().map(|r| examples.number[r as usize]));
        for (side, entity) in self.sides.iter().zip(Entity::ALL) {
            let (index, from) = (&mut batch.maps[side.port.map.0].index, examples.of(entity));
            index.clear();
            index.extend(rows.clone().map(|r| side.local[from[r as usize] as usize]));
        }
        let mut column = |node: NodeId, from: &[f32]| {
            if let Some((values, _)) = plan.input_mut(node) {
                values
                    .iter_mut()
                    .zip(rows.clone())
                    .for_each(|(v, r)| *v = T::of(f64::from(from[r as usize])));
            }
        };
        if let Some(dose) = self.ports.dose {
            column(dose, &examples.dose);
        }
        column(self.ports.truth, &examples.truth);
    }
}
