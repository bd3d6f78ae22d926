use super::corpus::Corpus;
use super::draw::Part;
use super::response::{Curve, auc, dose_decay, efficacy};
use super::truth::Tally;
use crate::store::PairBlock;

/// All points of the drug of rank `rank` in study number `study`, sample by sample and dose by dose,
/// with what they say about the best possible scores. Rows are left for the caller to number.
pub(super) fn of_drug(corpus: &Corpus, study: usize, rank: usize) -> (PairBlock, Tally) {
    let (plan, members) = (&corpus.plan, &corpus.members[study]);
    let drug = members.drugs[rank];
    let doses = plan.doses.len().max(1);
    let truths = truths(corpus, study, drug);
    let points: Vec<usize> = measured(corpus, study, rank).collect();
    let place = |&point: &usize| members.samples[point / doses] * doses as u32 + (point % doses) as u32;
    let places: Vec<u32> = points.iter().map(place).collect();
    let mut noise = vec![0.0; points.len()];
    let part = Part::ResponseNoise;
    corpus.draws.first_normals(part, study as u32, drug, &places, &mut noise);
    let scale = plan.studies[study].noise;
    let mut tally = Tally::new(plan.studies.len(), corpus.measured_by(study, 0.5));
    let mut values = Vec::with_capacity(points.len());
    for (&point, &z) in points.iter().zip(&noise) {
        let truth = truths[point];
        let value = (corpus.measured_by(study, truth) + scale * f64::from(z)) as f32;
        values.push(value);
        tally.add(value, |source| corpus.measured_by(source, truth));
    }
    let dose = if plan.doses.is_empty() {
        Vec::new()
    } else {
        points.iter().map(|point| plan.doses[point % doses]).collect()
    };
    let block = PairBlock {
        drug: vec![drug; points.len()],
        sample: points.iter().map(|point| members.samples[point / doses]).collect(),
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
fn measured(corpus: &Corpus, study: usize, rank: usize) -> impl Iterator<Item = usize> {
    let (plan, members) = (&corpus.plan, &corpus.members[study]);
    let share = |rank: usize| plan.studies[study].pairs * rank / members.drugs.len();
    let points = members.samples.len() * plan.doses.len().max(1);
    let mut wanted = share(rank + 1) - share(rank);
    let (drug, draws) = (members.drugs[rank], corpus.draws);
    let mut words = [0; 4];
    (0..points).filter(move |&point| {
        if point % 4 == 0 {
            words = draws.words(Part::Measured, study as u32, drug, (point / 4) as u32);
        }
        let left = (points - point) as u64;
        let chosen = (u64::from(words[point % 4]) * left) >> 32 < wanted as u64;
        wanted -= usize::from(chosen);
        chosen
    })
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
                (0..plan.drugs).map(|rank| measured(&corpus, study, rank).count()).collect();
            assert_eq!(counts.iter().sum::<usize>(), plan.pairs);
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        }
    }
}
