//! Made-up corpora: drugs and samples have latent factors, responses follow a Hill curve of them,
//! features show them through noise, and each study measures with an offset, scale and noise of its
//! own. So the best R2 of each source on each target, that of a predictor which has learnt the source
//! without error, is known. Every value is a function of
//! the seed and its place, whatever the number of threads.

mod corpus;
mod draw;
mod feature;
mod latent;
mod pairs;
mod preset;
mod progress;
mod response;
mod truth;
mod vector;

pub use corpus::Corpus;
pub use preset::Preset;

use crate::Result;
use crate::split::{Rule, RuleSplit};
use crate::store::{Encoding, Entity, FeatureInfo, PairBlock, StoreWriter, overlap};
use feature::FeatureMap;
use ndarray::Array2;
use pairs::Grid;
use progress::Progress;
use rayon::prelude::*;
use truth::Tally;

/// Values of features and points of pairs made at a time, while those before are written: what
/// bounds the memory.
const BLOCK: usize = 1 << 20;

/// Writes `corpus` to the store that `store` begins, finishes it, and returns the best possible R2 of
/// each source (row) on each target (column): that of the source's own noise-free expectation against
/// the target's values as written. Memory does not grow with the number of points.
pub fn write_into(mut store: StoreWriter, corpus: &Corpus) -> Result<Array2<f64>> {
    let plan = &corpus.plan;
    let ids = |prefix: &str, count: usize| (0..count).map(|i| format!("{prefix}_{i}")).collect::<Vec<_>>();
    store.entities(Entity::Drug, &ids("Drug", plan.drugs))?;
    store.entities(Entity::Sample, &ids("Sample", plan.samples))?;
    write_features(corpus, Entity::Drug, &mut store)?;
    write_features(corpus, Entity::Sample, &mut store)?;
    let mut tallies = Vec::new();
    let mut row = 0;
    for study in 0..plan.studies.len() {
        tallies.push(write_study(corpus, study, &mut row, &mut store)?);
    }
    let best = truth::best_r2(&tallies);
    store.best_r2(&corpus.studies(), best.view())?;
    store.finish()?;
    Ok(best)
}

fn write_features(corpus: &Corpus, entity: Entity, store: &mut StoreWriter) -> Result<()> {
    let (name, units, columns, factors) = match entity {
        Entity::Drug => ("mordred", "1", corpus.plan.drug_columns, &corpus.drug),
        Entity::Sample => ("expression", "log2", corpus.plan.sample_columns, &corpus.sample),
    };
    let map = FeatureMap::new(corpus.draws, entity, columns);
    let info = FeatureInfo {
        entity,
        name: name.into(),
        encoding: Encoding::F32,
        rows: factors.len(),
        columns,
        units: units.into(),
    };
    let rows: Vec<u32> = (0..factors.len() as u32).collect();
    let mut table = store.feature(info, map.names(), &rows)?;
    table.origin(&format!("made up by crossrx synth, seed {}", corpus.seed))?;
    let height = (BLOCK / columns).max(1);
    let (mut progress, mut done) = (Progress::new(name, factors.len()), 0);
    let block = |block: usize| {
        let rows = block * height..factors.len().min((block + 1) * height);
        map.rows(rows.start, &factors[rows])
    };
    overlap(factors.len().div_ceil(height), block, |rows| {
        table.append(rows.view())?;
        done += rows.nrows();
        progress.at(done);
        Ok(())
    })?;
    table.finish()
}

/// Writes the points of one study, numbering them from `row` on, and its stored splits.
fn write_study(corpus: &Corpus, study: usize, row: &mut u64, store: &mut StoreWriter) -> Result<Tally> {
    let plan = &corpus.plan;
    let name = plan.studies[study].name;
    let (endpoint, units) = plan.endpoint;
    let dose = !plan.doses.is_empty();
    let columns = ["source", "improve_sample_id", "improve_chem_id", "dose", endpoint];
    let columns: Vec<String> =
        columns.iter().filter(|&&c| dose || c != "dose").map(|c| c.to_string()).collect();
    let mut dataset = store.dataset(name, &[(endpoint.into(), units.into())], dose, &[], &columns)?;

    let members = &corpus.members[study];
    let drugs_at_once = (BLOCK / (members.samples.len() * plan.doses.len().max(1))).max(1);
    let mut total = Tally::new(plan.studies.len(), corpus.measured_by(study, 0.5));
    let (mut drugs, mut samples) = (Vec::new(), Vec::new());
    let mut progress = Progress::new(name, plan.studies[study].pairs);
    let grid = Grid::new(corpus, study);
    let drugs_of = |block: usize| {
        let drugs = block * drugs_at_once..members.drugs.len().min((block + 1) * drugs_at_once);
        drugs.into_par_iter().map(|rank| pairs::of_drug(corpus, study, &grid, rank)).collect::<Vec<_>>()
    };
    overlap(members.drugs.len().div_ceil(drugs_at_once), drugs_of, |parts| {
        let mut block = PairBlock { endpoints: vec![Vec::new()], ..PairBlock::default() };
        for (part, tally) in &parts {
            block.drug.extend_from_slice(&part.drug);
            block.sample.extend_from_slice(&part.sample);
            block.dose.extend_from_slice(&part.dose);
            block.endpoints[0].extend_from_slice(&part.endpoints[0]);
            total.merge(tally);
        }
        let end = *row + block.drug.len() as u64;
        block.row.extend(*row..end);
        *row = end;
        dataset.append(&block)?;
        progress.at(dataset.pairs());
        if plan.splits > 0 {
            drugs.extend_from_slice(&block.drug);
            samples.extend_from_slice(&block.sample);
        }
        Ok(())
    })?;
    dataset.finish()?;
    let rule = RuleSplit { rule: Rule::Random, folds: 10, seed: corpus.seed };
    let folds = rule.fold_of_pairs(name, &drugs, &samples)?;
    for k in 0..plan.splits {
        store.split(name, k, &rule.rows(name, &folds, k)?)?;
    }
    Ok(total)
}
