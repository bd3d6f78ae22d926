use super::draw::{Draws, Part};
use super::latent::{Factors, factors};
use super::preset::{Plan, Preset};
use super::response;

/// A made-up corpus: everything about it that is not written to the store. It is a function of the
/// preset and the seed.
#[derive(Debug, Clone)]
pub struct Corpus {
    pub(super) plan: Plan,
    pub(super) seed: u64,
    pub(super) draws: Draws,
    pub(super) drug: Vec<Factors>,
    pub(super) sample: Vec<Factors>,
    pub(super) members: Vec<Members>,
}

/// The drugs and samples that a study screened, ascending.
#[derive(Debug, Clone)]
pub(super) struct Members {
    pub drugs: Vec<u32>,
    pub samples: Vec<u32>,
}

impl Corpus {
    /// Draws the latent factors and the members of each study.
    pub fn new(preset: Preset, seed: u64) -> Corpus {
        let plan = preset.plan();
        let draws = Draws::new(seed);
        let members = (0u32..)
            .zip(&plan.studies)
            .map(|(index, study)| Members {
                drugs: choose(&draws, Part::DrugMember, index, plan.drugs, study.drugs),
                samples: choose(&draws, Part::SampleMember, index, plan.samples, study.samples),
            })
            .collect();
        Corpus {
            drug: factors(&draws, Part::DrugLatent, plan.drugs),
            sample: factors(&draws, Part::SampleLatent, plan.samples),
            plan,
            seed,
            draws,
            members,
        }
    }

    /// Names of the studies, in the order of their numbers.
    pub fn studies(&self) -> Vec<String> {
        self.plan.studies.iter().map(|s| s.name.to_string()).collect()
    }

    /// What study number `study` measures of `drug` on `sample` but for its noise, in the endpoint's
    /// units; `dose` is log10 molar, none where a pair is a whole curve. It is what a perfect predictor
    /// learnt from that study alone would give for any pair.
    ///
    /// # Panics
    /// When the corpus has no such study, drug or sample.
    pub fn expected(&self, study: usize, drug: u32, sample: u32, dose: Option<f32>) -> f64 {
        self.measured_by(study, self.truth(drug, sample, dose))
    }

    pub(super) fn truth(&self, drug: u32, sample: u32, dose: Option<f32>) -> f64 {
        let (drug, sample) = (&self.drug[drug as usize], &self.sample[sample as usize]);
        match dose {
            Some(dose) => response::viability(drug, sample, f64::from(dose)),
            None => response::auc(drug, sample),
        }
    }

    #[inline]
    pub(super) fn measured_by(&self, study: usize, truth: f64) -> f64 {
        let study = &self.plan.studies[study];
        study.offset + study.scale * truth
    }
}

/// `wanted` of entities 0 to `pool`, each set equally likely, ascending.
fn choose(draws: &Draws, part: Part, study: u32, pool: usize, wanted: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..pool as u32).collect();
    order.sort_by_cached_key(|&entity| draws.words(part, study, entity, 0));
    order.truncate(wanted);
    order.sort_unstable();
    order
}
