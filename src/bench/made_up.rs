use super::Case;
use crate::batch::{Examples, Lanes, deal};
use crate::device::Device;
use crate::device::cuda::Precision;
use crate::feature::ScaledFeatures;
use crate::model::{Loss, ModelSpec, PairNetwork};
use crate::train::{OptimizerKind, Problem, TrainSpec};
use crate::{Error, Result};
use std::ops::Range;

/// A case ready to be trained by one rank: its network and its share of made-up data.
pub struct MadeUp {
    case: Case,
    network: PairNetwork,
    features: [ScaledFeatures; 2],
    lanes: Lanes,
    own: Range<usize>,
    train: Vec<Examples>,
    device: Device,
    precision: Precision,
}

/// Steps an epoch.
const STEPS: usize = 8;

impl MadeUp {
    /// What rank `rank` of `ranks` trains on: its share of `lanes`, one a rank if absent. Fails
    /// where lanes cannot be dealt to the ranks.
    pub fn new(
        case: Case,
        rank: usize,
        ranks: usize,
        lanes: Option<usize>,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        let lanes = Lanes::new(case.batch() * STEPS, lanes.unwrap_or(ranks), case.batch())?;
        let own = lanes.of_rank(rank, ranks)?;
        let network = ModelSpec::TwoTower(case.network()).build(case.widths(), Loss::Mse)?;
        let all = case.pairs(0..lanes.total());
        let entities = case.sides().map(|side| side.entities);
        let lane_of = deal::<Error>(lanes, entities, network.entity_costs(), |each| {
            each([&all.drug, &all.sample]);
            Ok(())
        })?;
        let of_lane = |lane: usize| {
            let rows = (0..).zip(&lane_of).filter(|(_, l)| **l as usize == lane).map(|(row, _)| row);
            all.select(&rows.collect::<Vec<_>>())
        };
        Ok(Self {
            case,
            network,
            features: case.features()?,
            lanes,
            train: own.clone().map(of_lane).collect(),
            own,
            device,
            precision,
        })
    }

    /// Without validation pairs.
    pub fn problem(&self) -> Problem<'_> {
        Problem {
            name: self.case.name().into(),
            network: &self.network,
            features: &self.features,
            lanes: self.lanes,
            own: self.own.clone(),
            train: &self.train,
            validation: &[],
            validation_entities: [&[], &[]],
            deviation: 1.0,
            device: &self.device,
        }
    }

    /// Adam, as the peers have it.
    pub fn spec(&self) -> TrainSpec {
        TrainSpec {
            batch: self.case.batch(),
            optimizer: OptimizerKind::Adam,
            learning_rate: 1e-4,
            weight_decay: 0.0,
            precision: self.precision,
            ..TrainSpec::default()
        }
    }
}
