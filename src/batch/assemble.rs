use super::{Examples, Ports};
use crate::feature::ScaledFeatures;
use crate::graph::{CpuPlan, NodeId};
use crate::op::{MapId, Number, Rows, SpaceId};
use crate::store::Entity;
use std::ops::Range;

/// Feeds batches to a plan. Holds the features of the entities and scratch
/// space, so that a batch is assembled without allocating.
#[derive(Debug)]
pub struct Assembler {
    ports: Ports,
    drugs: Side,
    samples: Side,
    sorted: Vec<u32>,
}

/// One of the two entities that a pair joins.
#[derive(Debug)]
struct Side {
    space: SpaceId,
    map: MapId,
    input: NodeId,
    features: ScaledFeatures,
    /// For each entity of the store: pairs of this batch, then where the next
    /// one goes; zero between batches.
    next: Vec<u32>,
    /// For each entity of the store: its row in the batch, where it has one.
    local: Vec<u32>,
}

impl Side {
    fn new(space: SpaceId, map: MapId, input: NodeId, features: ScaledFeatures) -> Self {
        let entities = features.table().entities();
        Self { space, map, input, features, next: vec![0; entities], local: vec![0; entities] }
    }

    /// Lists the distinct entities of a batch, ascending, and counts the pairs of each.
    fn list(&mut self, entities: impl Iterator<Item = u32>, rows: &mut Rows) {
        let distinct = &mut rows.number[self.space.0];
        distinct.clear();
        for entity in entities {
            let count = &mut self.next[entity as usize];
            if *count == 0 {
                distinct.push(entity);
            }
            *count += 1;
        }
        distinct.sort_unstable();
        self.place(rows);
    }

    /// Notes the row of each entity that `rows` lists.
    fn place(&mut self, rows: &mut Rows) {
        let distinct = &rows.number[self.space.0];
        rows.count[self.space.0] = distinct.len();
        distinct.iter().zip(0..).for_each(|(&entity, local)| self.local[entity as usize] = local);
    }

    fn clear(&mut self, rows: &Rows) {
        rows.number[self.space.0].iter().for_each(|&entity| self.next[entity as usize] = 0);
    }

    fn feed<T: Number>(&self, plan: &mut CpuPlan<T>) {
        if let Some((values, rows)) = plan.input_mut(self.input) {
            let into = values.chunks_exact_mut(self.features.table().width());
            into.zip(&rows.number[self.space.0])
                .for_each(|(row, &entity)| self.features.write_row(entity, row));
        }
    }
}

impl Assembler {
    /// For a network with these ports over these features.
    pub fn new(ports: Ports, drugs: ScaledFeatures, samples: ScaledFeatures) -> Self {
        Self {
            ports,
            drugs: Side::new(ports.drugs, ports.drug_of, ports.drug_features, drugs),
            samples: Side::new(ports.samples, ports.sample_of, ports.sample_features, samples),
            sorted: Vec::new(),
        }
    }

    /// Feeds the pairs at `rows` of `examples`: their distinct drugs and
    /// samples once each, ascending, and the pairs sorted by drug, so that
    /// sums into drugs walk memory in order.
    pub fn feed<T: Number>(&mut self, plan: &mut CpuPlan<T>, examples: &Examples, rows: &[u32]) {
        let batch = plan.rows_mut();
        self.drugs.list(rows.iter().map(|&r| examples.drug[r as usize]), batch);
        self.samples.list(rows.iter().map(|&r| examples.sample[r as usize]), batch);

        let mut begin = 0;
        for &drug in &batch.number[self.ports.drugs.0] {
            begin += std::mem::replace(&mut self.drugs.next[drug as usize], begin);
        }
        self.sorted.clear();
        self.sorted.resize(rows.len(), 0);
        for &row in rows {
            let place = &mut self.drugs.next[examples.drug[row as usize] as usize];
            self.sorted[*place as usize] = row;
            *place += 1;
        }
        self.drugs.clear(batch);
        self.samples.clear(batch);

        let sorted = std::mem::take(&mut self.sorted);
        self.feed_rows(plan, examples, sorted.iter().copied());
        self.sorted = sorted;
        for side in [&self.drugs, &self.samples] {
            let batch = plan.rows_mut();
            let entities = batch.of(side.space);
            batch.maps[side.map.0].invert(entities);
            side.feed(plan);
        }
    }

    /// Lists `entities`, distinct, as the rows of their space, and feeds their
    /// features where `plan` reads them. For scoring plans, which take entities
    /// apart from pairs.
    pub fn feed_entities<T: Number>(&mut self, plan: &mut CpuPlan<T>, entity: Entity, entities: &[u32]) {
        let side = match entity {
            Entity::Drug => &mut self.drugs,
            Entity::Sample => &mut self.samples,
        };
        let rows = plan.rows_mut();
        rows.number[side.space.0].clear();
        rows.number[side.space.0].extend_from_slice(entities);
        side.place(rows);
        side.feed(plan);
    }

    /// Feeds a run of pairs whose entities the last calls of
    /// [`Self::feed_entities`] listed.
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
        let refill = |list: &mut Vec<u32>, from: &[u32], local: Option<&[u32]>| {
            list.clear();
            match local {
                Some(local) => list.extend(rows.clone().map(|r| local[from[r as usize] as usize])),
                None => list.extend(rows.clone().map(|r| from[r as usize])),
            }
        };
        refill(&mut batch.number[self.ports.pairs.0], &examples.number, None);
        refill(&mut batch.maps[self.drugs.map.0].index, &examples.drug, Some(&self.drugs.local));
        refill(&mut batch.maps[self.samples.map.0].index, &examples.sample, Some(&self.samples.local));
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
