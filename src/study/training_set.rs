use super::corpus::SplitParts;
use super::predictor::examples;
use super::{Corpus, Task};
use crate::Result;
use crate::batch::{Examples, Lanes, deal, part};
use crate::comm::Communicator;
use crate::device::Device;
use crate::feature::{Features, ScaledFeatures, Scaling, ValueScale};
use crate::model::PairNetwork;
use crate::split::RowSet;
use crate::store::Pairs;
use crate::train::Problem;
use std::ops::Range;

/// What one rank of a group trains a task on, read from the store and scaled: the pairs of its
/// lanes, and what all lanes together say of features and entities.
pub struct TrainingSet {
    /// The network, untrained.
    pub network: PairNetwork,
    /// The cut of all training pairs.
    pub lanes: Lanes,
    /// The lanes of this rank.
    pub own: Range<usize>,
    /// Training pairs, one entry a lane of this rank.
    pub train: Vec<Examples>,
    /// Validation pairs, cut the same way.
    pub validation: Vec<Examples>,
    /// How inputs and endpoint are scaled, from the training pairs of all lanes.
    pub scaling: Scaling,
    /// Features of the drugs, then of the samples, scaled.
    pub features: [ScaledFeatures; 2],
    /// What starting weights, shuffles and dropout are drawn from.
    pub seed: u64,
    name: String,
    /// Drugs, then samples, of the validation pairs of all lanes, ascending.
    validated: [Vec<u32>; 2],
}

impl TrainingSet {
    /// Reads what this rank of `group` needs to train `network` by `task` on `rows`, cut into
    /// `lanes`; every rank calls it. Fails where the lanes cannot be dealt to the ranks, or the
    /// store cannot be read.
    pub fn read(
        corpus: &Corpus,
        task: &Task,
        rows: &SplitParts,
        network: PairNetwork,
        lanes: Lanes,
        group: &dyn Communicator,
    ) -> Result<Self> {
        let deck = &corpus.deck;
        let own = lanes.of_rank(group.rank(), group.size())?;
        let train_rows = lane_rows(corpus, task, &rows.train, lanes, network.entity_costs(), own.clone())?;
        let val_part = |lane| rows.val[part(rows.val.len(), lanes.count(), lane)].to_vec();
        let val_rows: Vec<Vec<u32>> = own.clone().map(val_part).collect();
        let read = |lane: &Vec<u32>| corpus.pairs(&task.source, lane);
        let train: Vec<Pairs> = train_rows.iter().map(read).collect::<Result<_>>()?;
        let validation: Vec<Pairs> = val_rows.iter().map(read).collect::<Result<_>>()?;

        let distinct = |pairs: &[Pairs]| {
            let of = |features: &Features, entities: fn(&Pairs) -> &[u32]| {
                distinct(group, features.entities(), pairs.iter().flat_map(entities).copied())
            };
            [of(&corpus.drugs, |p| &p.drug), of(&corpus.samples, |p| &p.sample)]
        };
        let trained_on = distinct(&train);
        let validated = distinct(&validation);
        let scale = |of: fn(&Pairs) -> &[f32]| scale(group, train.iter().map(of).collect());
        let dose = corpus.dose.then(|| scale(|p| &p.dose));
        let endpoint = scale(|p| &p.value);
        let tables = [corpus.drugs.as_ref(), corpus.samples.as_ref()];
        let entities = [trained_on[0].as_slice(), &trained_on[1]];
        let scaling = Scaling::fit(tables, entities, dose, endpoint, &deck.data.endpoint);
        let features =
            [&corpus.drugs, &corpus.samples].map(|table| scaling.scaled(table.clone(), deck.data.clip));

        let scaled = |pairs: Vec<Pairs>, rows: Vec<Vec<u32>>| -> Vec<Examples> {
            pairs.into_iter().zip(rows).map(|(pairs, rows)| examples(pairs, rows, &scaling)).collect()
        };
        let (train, validation) = (scaled(train, train_rows), scaled(validation, val_rows));
        let seed = deck.train.seed.wrapping_add(u64::from(task.split));
        let name = task.to_string();
        Ok(Self { network, lanes, own, train, validation, scaling, features, seed, name, validated })
    }

    /// The training, to be computed on `device`.
    pub fn problem<'a>(&'a self, device: &'a Device) -> Problem<'a> {
        Problem {
            name: self.name.clone(),
            network: &self.network,
            features: &self.features,
            lanes: self.lanes,
            own: self.own.clone(),
            train: &self.train,
            validation: &self.validation,
            validation_entities: [&self.validated[0], &self.validated[1]],
            deviation: f64::from(self.scaling.endpoint.deviation),
            device,
        }
    }
}

/// The training rows of the lanes `own`, each ascending.
fn lane_rows(
    corpus: &Corpus,
    task: &Task,
    rows: &RowSet,
    lanes: Lanes,
    costs: [f64; 2],
    own: Range<usize>,
) -> Result<Vec<Vec<u32>>> {
    if lanes.count() == 1 {
        return Ok(vec![rows.iter().collect()]);
    }
    let entities = [corpus.drugs.entities(), corpus.samples.entities()];
    let lane_of = deal(lanes, entities, costs, |each| {
        corpus.blocks(&task.source, rows)?.try_for_each(|block| {
            let block = block?;
            each([&block.drug, &block.sample]);
            Ok(())
        })
    })?;
    let mut of_lane: Vec<Vec<u32>> = own.clone().map(|lane| Vec::with_capacity(lanes.rows(lane))).collect();
    for (row, lane) in rows.iter().zip(lane_of).filter(|(_, lane)| own.contains(&(*lane as usize))) {
        of_lane[lane as usize - own.start].push(row);
    }
    Ok(of_lane)
}

/// The distinct entities that any rank of the group names, ascending.
fn distinct(group: &dyn Communicator, entities: usize, named: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut present = vec![0u8; entities.div_ceil(8)];
    named.for_each(|entity| present[entity as usize / 8] |= 1 << (entity % 8));
    for theirs in group.all_gather(&present) {
        present.iter_mut().zip(theirs).for_each(|(p, t)| *p |= t);
    }
    (0..entities as u32).filter(|&e| present[e as usize / 8] & (1 << (e % 8)) != 0).collect()
}

/// Mean and deviation over the lanes of all ranks, summed lane by lane, so
/// that they do not depend on how lanes are dealt to ranks.
fn scale(group: &dyn Communicator, lanes: Vec<&[f32]>) -> ValueScale {
    let total = |of: &dyn Fn(f64) -> f64| {
        let sums: Vec<f64> = lanes.iter().map(|lane| lane.iter().map(|&v| of(v.into())).sum()).collect();
        let all = group.all_gather(bytemuck::cast_slice(&sums));
        all.iter().flat_map(|sums| sums.chunks_exact(8)).map(bytemuck::pod_read_unaligned::<f64>).sum::<f64>()
    };
    let count = total(&|_| 1.0);
    let mean = total(&|v| v) / count;
    ValueScale::new(mean, total(&|v| (v - mean).powi(2)) / count)
}
