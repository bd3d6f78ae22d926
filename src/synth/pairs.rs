use super::corpus::Corpus;
use super::draw::Part;
use super::response::{Curve, auc, dose_decay, efficacy};
use super::truth::Tally;
use crate::store::PairBlock;

/// The points that a study could measure of any drug: samples by doses.
pub(super) struct Grid {
    sample: Vec<u32>,
    /// None where a pair is a whole curve.
    dose: Vec<f32>,
    /// What stands for sample and dose in draws.
    place: Vec<u32>,
}

impl Grid {
    /// Of study number `study`.
    pub fn new(corpus: &Corpus, study: usize) -> Grid {
        let (doses, samples) = (&corpus.plan.doses, &corpus.members[study].samples);
        let steps = doses.len().max(1) as u32;
        let points = samples.iter().flat_map(|&sample| (0..steps).map(move |step| (sample, step)));
        Grid {
            sample: points.clone().map(|(sample, _)| sample).collect(),
            dose: samples.iter().flat_map(|_| doses).copied().collect(),
            place: points.map(|(sample, step)| sample * steps + step).collect(),
        }
    }
}

/// All points of the drug of rank `rank` in study number `study`, sample by sample and dose by dose,
/// with what they say about the best possible scores. Rows are left for the caller to number.
pub(super) fn of_drug(corpus: &Corpus, study: usize, grid: &Grid, rank: usize) -> (PairBlock, Tally) {
    let (plan, members) = (&corpus.plan, &corpus.members[study]);
    let drug = members.drugs[rank];
    let truths = truths(corpus, study, drug);
    let points = measured(corpus, study, rank);
    let place: Vec<u32> = points.iter().map(|&point| grid.place[point]).collect();
    let mut values = vec![0.0; points.len()];
    corpus.draws.first_normals(Part::ResponseNoise, study as u32, drug, &place, &mut values);
    let noise = plan.studies[study].noise;
    let mut tally = Tally::new(plan.studies.len(), corpus.measured_by(study, 0.5));
    for (value, &point) in values.iter_mut().zip(&points) {
        let truth = truths[point];
        *value = (corpus.measured_by(study, truth) + noise * f64::from(*value)) as f32;
        tally.add(*value, |source| corpus.measured_by(source, truth));
    }
    let dose = if grid.dose.is_empty() {
        Vec::new()
    } else {
        points.iter().map(|&point| grid.dose[point]).collect()
    };
    let block = PairBlock {
        drug: vec![drug; points.len()],
        sample: points.iter().map(|&point| grid.sample[point]).collect(),
        dose,
        endpoints: vec![values],
        ..PairBlock::default()
    };
    (block, tally)
}

/// The true response of every point of a drug's grid, samples by doses.
fn truths(corpus: &Corpus, study: usize, drug: u32) -> Vec<f64> {
    let drug = &corpus.drug[drug as usize];
    let samples = corpus.members[study].samples.iter().map(|&sample| &corpus.sample[sample as usize]);
    if corpus.plan.doses.is_empty() {
        return samples.map(|sample| auc(drug, sample)).collect();
    }
    let decays: Vec<f64> = corpus.plan.doses.iter().map(|&dose| dose_decay(f64::from(dose))).collect();
    let efficacy = efficacy(drug);
    let curves = samples.map(|sample| Curve::new(efficacy, drug, sample));
    curves.flat_map(|curve| decays.iter().map(move |&decay| curve.viability(decay))).collect()
}

/// The points of a drug's grid (samples by doses) that the study measured, ascending. Drugs share the
/// study's points evenly; within a drug each choice is equally likely (Knuth, algorithm S).
fn measured(corpus: &Corpus, study: usize, rank: usize) -> Vec<usize> {
    let (plan, members) = (&corpus.plan, &corpus.members[study]);
    let share = |rank: usize| plan.studies[study].pairs * rank / members.drugs.len();
    let points = members.samples.len() * plan.doses.len().max(1);
    let mut wanted = share(rank + 1) - share(rank);
    let (drug, draws) = (members.drugs[rank], corpus.draws);
    let mut words = [0; 4];
    let mut chosen = Vec::with_capacity(wanted);
    for point in 0..points {
        if point % 4 == 0 {
            words = draws.words(Part::Measured, study as u32, drug, (point / 4) as u32);
        }
        let left = (points - point) as u64;
        if (u64::from(words[point % 4]) * left) >> 32 < wanted as u64 {
            wanted -= 1;
            chosen.push(point);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::Preset;

    #[test]
    fn drugs_together_have_exactly_the_points_asked_for() {
        let corpus = Corpus::new(Preset::Demo, 3);
        for (study, plan) in corpus.plan.studies.iter().enumerate() {
            let counts: Vec<usize> =
                (0..plan.drugs).map(|rank| measured(&corpus, study, rank).len()).collect();
            assert_eq!(counts.iter().sum::<usize>(), plan.pairs);
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        }
    }
}
