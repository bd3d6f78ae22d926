use crate::Result;
use crate::batch::Examples;
use crate::device::philox::{Stream, key, normal, philox4x32_10, uniform};
use crate::feature::{Features, ScaledFeatures};
use crate::model::{InputWidths, TwoTower};
use crate::op::Activation;
use crate::store::Entity;
use rayon::prelude::*;
use std::ops::Range;
use std::rc::Rc;

/// A network and the shape of its data, as a published program trains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Case {
    /// UNO's: towers of 3 x 1000, a head of 4 x 1000, 2,048 pairs of 370 drugs and 812 samples
    #[value(name = "two-tower-1000")]
    TwoTower1000,
    /// The same at width 256, 4,096 pairs
    #[value(name = "two-tower-256")]
    TwoTower256,
    /// UNO's on NCI-60's shape, for GPUs: 65,536 pairs of 52,000 drugs and 59 samples
    #[value(name = "two-tower-nci60")]
    TwoTowerNci60,
    /// L1000's: bits of 2,000 compounds and 978 genes, 2 x 400, 4,096 pairs
    CompoundGene,
}

/// One of the two sides of a pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub entities: usize,
    pub columns: usize,
    /// Of a table of bits, the part that is one.
    pub ones: Option<f32>,
}

/// The seed of all that is made up.
const SEED: u64 = 1;

impl Case {
    /// Those of a size for processors.
    pub const ALL: [Case; 3] = [Case::TwoTower1000, Case::TwoTower256, Case::CompoundGene];

    /// Its name, such as `two-tower-256`.
    pub fn name(self) -> &'static str {
        match self {
            Case::TwoTower1000 => "two-tower-1000",
            Case::TwoTower256 => "two-tower-256",
            Case::TwoTowerNci60 => "two-tower-nci60",
            Case::CompoundGene => "compound-gene",
        }
    }

    /// Pairs a step, over all lanes.
    pub fn batch(self) -> usize {
        match self {
            Case::TwoTower1000 => 2048,
            Case::TwoTower256 | Case::CompoundGene => 4096,
            Case::TwoTowerNci60 => 65_536,
        }
    }

    /// Its network; there is no dropout, since the peers have none.
    pub fn network(self) -> TwoTower {
        let (tower, head) = match self {
            Case::TwoTower1000 | Case::TwoTowerNci60 => (vec![1000; 3], vec![1000; 4]),
            Case::TwoTower256 => (vec![256; 3], vec![256; 4]),
            Case::CompoundGene => (vec![], vec![400; 2]),
        };
        TwoTower {
            drug_tower: tower.clone(),
            sample_tower: tower,
            head,
            activation: Activation::Relu,
            dropout: 0.0,
            layer_norm: false,
            residual: false,
            members: 1,
        }
    }

    pub(super) fn sides(self) -> [Side; 2] {
        let side = |entities, columns, ones| Side { entities, columns, ones };
        match self {
            Case::CompoundGene => [side(2000, 2048, Some(0.02)), side(978, 1107, Some(0.05))],
            Case::TwoTowerNci60 => [side(52_000, 3820, None), side(59, 942, None)],
            _ => [side(370, 3820, None), side(812, 942, None)],
        }
    }

    /// What the network is given.
    pub(super) fn widths(self) -> InputWidths {
        let [drug, sample] = self.sides().map(|side| side.columns);
        let bits = self.sides().map(|side| side.ones.is_some());
        InputWidths { drug, sample, dose: true, bits }
    }

    /// Made-up features of drugs, then samples.
    pub(super) fn features(self) -> Result<[ScaledFeatures; 2]> {
        let table = |entity: Entity| -> Result<ScaledFeatures> {
            let Side { entities, columns, ones } = self.sides()[entity as usize];
            let draw = |block: usize| {
                let counter = Stream::MadeUp.counter(block as u32, entity as u32, 0, 99);
                let words = philox4x32_10(counter, key(SEED));
                ones.map_or_else(
                    || normal(words),
                    |part| words.map(|w| f32::from(u8::from(uniform(w) < part))),
                )
            };
            let cells = entities * columns;
            let mut values = vec![0.0; cells];
            let blocks = values.par_chunks_mut(4).enumerate();
            blocks.for_each(|(block, values)| values.copy_from_slice(&draw(block)[..values.len()]));
            let features = Features::of_all(entity, columns, values, ones.is_some())?;
            Ok(ScaledFeatures::new(Rc::new(features), vec![(0.0, 1.0); columns], f32::MAX))
        };
        Ok([table(Entity::Drug)?, table(Entity::Sample)?])
    }

    /// Pairs of drugs and samples drawn evenly, by their numbers.
    pub(super) fn pairs(self, numbers: Range<usize>) -> Examples {
        let [drugs, samples] = self.sides().map(|side| side.entities as u64);
        let mut examples = Examples::default();
        for number in numbers {
            let counter = Stream::MadeUp.counter(number as u32, 2, 0, 99);
            let [drug, sample, a, b] = philox4x32_10(counter, key(SEED));
            let below = |word: u32, n: u64| ((u64::from(word) * n) >> 32) as u32;
            let [dose, truth, ..] = normal([a, b, !a, !b]);
            examples.drug.push(below(drug, drugs));
            examples.sample.push(below(sample, samples));
            examples.dose.push(dose);
            examples.truth.push(truth);
            examples.number.push(number as u32);
        }
        examples
    }
}
