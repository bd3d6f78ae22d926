use super::corpus::Corpus;
use super::draw::Part;
use super::truth::Tally;
use crate::store::PairBlock;

/// All points of the drug of rank `rank` in study number `study`, sample by sample and dose by dose,
/// with what they say about the best possible scores. Rows are left for the caller to number.
pub(super) fn of_drug(corpus: &Corpus, study: usize, rank: usize) -> (PairBlock, Tally) {
    let (plan, members) = (&corpus.plan, &corpus.members[study]);
    let drug = members.drugs[rank];
    let doses = plan.doses.len().max(1);
    let noise = plan.studies[study].noise;
    let mut block = PairBlock { endpoints: vec![Vec::new()], ..PairBlock::default() };
    let mut tally = Tally::new(plan.studies.len(), corpus.measured_by(study, 0.5));
    for point in measured(corpus, study, rank) {
        let sample = members.samples[point / doses];
        let dose = plan.doses.get(point % doses).copied();
        let truth = corpus.truth(drug, sample, dose);
        let place = sample * doses as u32 + (point % doses) as u32;
        let [z, ..] = corpus.draws.normals(Part::ResponseNoise, study as u32, drug, place);
        let value = (corpus.measured_by(study, truth) + noise * f64::from(z)) as f32;
        block.drug.push(drug);
        block.sample.push(sample);
        block.dose.extend(dose);
        block.endpoints[0].push(value);
        tally.add(value, |source| corpus.measured_by(source, truth));
    }
    (block, tally)
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
