use super::PretrainCorpus;
use super::network::plain_errors;
use super::run::{Latent, Samples};
use crate::comm::{Communicator, agree};
use crate::deck::PcaSpec;
use crate::feature::Pca;
use crate::graph::Parameters;
use crate::metric::Epoch;
use crate::model::{Encoder, ReconstructionLoss};
use crate::op::Activation;
use crate::train::save_weights;
use crate::{Result, status};
use std::path::Path;
use std::time::Instant;

/// Rows that are restored at a time.
const BLOCK: usize = 512;

/// Fits principal components on the first rank of `world`, and encodes every row; the weights are saved at `weights`.
pub fn fit_pca(
    spec: &PcaSpec,
    corpus: &PretrainCorpus,
    samples: &Samples,
    world: &dyn Communicator,
    weights: &Path,
) -> Result<Latent> {
    let _others_wait = status::patience();
    let fitted =
        || if world.rank() == 0 { fit(spec, corpus, samples, weights) } else { Ok(Latent::default()) };
    agree(world, fitted())
}

fn fit(spec: &PcaSpec, corpus: &PretrainCorpus, samples: &Samples, weights: &Path) -> Result<Latent> {
    let started = Instant::now();
    let table = samples.features.table();
    let (values, columns, parts) = (table.values(), table.width(), &samples.parts);
    let pca = Pca::fit(values, columns, &parts.train, spec.components, corpus.deck.train.seed)
        .map_err(|e| corpus.fault("model.components", &e))?;
    let encoder = Encoder { layers: vec![spec.components], activation: Activation::Identity };
    let graph = encoder.graph(columns)?.graph;
    let mut parameters = Parameters::<f32>::zeros(&graph)?;
    for place in parameters.clone_layout().iter() {
        let into = &mut parameters.values_mut()[place.range.clone()];
        if place.name.ends_with("weight") {
            into.copy_from_slice(&pca.axes);
            continue;
        }
        // Less the mean row's own coordinates.
        for (bias, axis) in into.iter_mut().zip(pca.axes.chunks_exact(columns)) {
            *bias =
                -axis.iter().zip(&pca.mean).map(|(a, m)| f64::from(*a) * f64::from(*m)).sum::<f64>() as f32;
        }
    }
    save_weights(weights, &parameters)?;
    let all: Vec<u32> = (0..table.rows() as u32).collect();
    let coordinates = pca.project(values, &all);
    let mut errors = Vec::with_capacity(all.len());
    for (rows, coordinates) in values.chunks(BLOCK * columns).zip(coordinates.chunks(BLOCK * spec.components))
    {
        for (row, restored) in rows.chunks_exact(columns).zip(pca.restore(coordinates).chunks_exact(columns))
        {
            let squares = row.iter().zip(restored).map(|(v, r)| f64::from(v - r).powi(2)).sum::<f64>();
            errors.push((squares / columns as f64) as f32);
        }
    }
    let plain = plain_errors(ReconstructionLoss::Mse, &samples.features, parts);
    let mean = |of: &[f32], rows: &[u32]| {
        rows.iter().map(|&row| f64::from(of[row as usize])).sum::<f64>() / rows.len() as f64
    };
    let val_loss = mean(&errors, &parts.val);
    let epoch = Epoch {
        epoch: 1,
        step: 1,
        learning_rate: 0.0,
        train_loss: mean(&errors, &parts.train),
        val_loss,
        val_r2: 1.0 - val_loss / mean(&plain, &parts.val),
        seconds: started.elapsed().as_secs_f64(),
    };
    Ok(Latent {
        values: coordinates,
        columns: spec.components,
        errors,
        plain,
        history: vec![epoch],
        best_epoch: 1,
    })
}
