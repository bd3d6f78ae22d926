use super::classes::Classes;
use super::encoded::rows_of;
use super::parts::Parts;
use super::run::Latent;
use super::{PretrainCorpus, run::Samples};
use crate::batch::{Examples, part};
use crate::comm::{Communicator, agree};
use crate::feature::{Features, ScaledFeatures};
use crate::model::{Autoencoder, ReconstructionLoss};
use crate::op::CenterLoss;
use crate::report::phrase::have;
use crate::store::Entity;
use crate::study::training::lanes;
use crate::train::{Checkpoints, Observer, Problem, fit, save_weights};
use crate::{Error, Result};
use std::path::Path;
use std::rc::Rc;

/// Trains an autoencoder on all ranks of `world`, from its checkpoint on if there is one, and encodes every row; the
/// weights are saved at `weights`. `None` where it was told to stop.
pub fn fit_network(
    spec: &Autoencoder,
    corpus: &PretrainCorpus,
    samples: &Samples,
    world: &dyn Communicator,
    checkpoints: &mut Checkpoints,
    observer: &mut dyn Observer,
    weights: &Path,
) -> Result<Option<Latent>> {
    let (train, parts) = (&corpus.deck.train, &samples.parts);
    let class_of = agree(world, trained_classes(spec, corpus, samples, world))?;
    let classes = if spec.center_loss.is_some() { samples.classes.names.len() } else { 1 };
    let shares = shares(&class_of, classes, parts);
    let columns = samples.features.table().width();
    // Epochs are cut into steps as even as can be, whatever the lanes.
    let steps = parts.train.len().div_ceil(train.batch_of(parts.train.len()));
    let built = spec
        .build(columns, &shares, parts.train.len().div_ceil(steps.max(1)))
        .map_err(|e| corpus.fault("model", &e));
    let built = agree(world, built)?;
    let mut state = checkpoints.load(world, &built.network.graph, train.optimizer)?;
    let lanes = lanes(&"pretraining", train, parts.train.len(), world, state.as_mut());
    let lanes = lanes.and_then(|lanes| lanes.of_rank(world.rank(), world.size()).map(|own| (lanes, own)));
    let (lanes, own) = agree(world, lanes.map_err(|e| corpus.fault("train", &e)))?;

    let plain = plain_errors(spec.loss, &samples.features, parts);
    let examples = |rows: &[u32]| Examples {
        drug: rows.iter().map(|&row| class_of[row as usize]).collect(),
        sample: rows.to_vec(),
        dose: Vec::new(),
        truth: rows.iter().map(|&row| plain[row as usize]).collect(),
        number: rows.to_vec(),
    };
    let dealt = parts.deal(lanes, train.seed);
    let in_lanes: Vec<Examples> = dealt[own.clone()].iter().map(|rows| examples(rows)).collect();
    let held_out = |lane| examples(&parts.val[part(parts.val.len(), lanes.count(), lane)]);
    let validation: Vec<Examples> = own.clone().map(held_out).collect();
    let mut validated_classes: Vec<u32> = parts.val.iter().map(|&row| class_of[row as usize]).collect();
    validated_classes.sort_unstable();
    validated_classes.dedup();

    let classes = Features::of_all(Entity::Drug, 1, vec![0.0; shares.len() + 1], false)?;
    let classes = ScaledFeatures::new(Rc::new(classes), vec![(0.0, 1.0)], f32::INFINITY);
    let features = [classes, samples.features.clone()];
    let fitted = {
        let problem = Problem {
            name: "pretraining".into(),
            network: &built.network,
            features: &features,
            lanes,
            own,
            train: &in_lanes,
            validation: &validation,
            validation_entities: [&validated_classes, &parts.val],
            deviation: 1.0,
            device: &corpus.device,
        };
        fit(&problem, train, train.seed, world, state, checkpoints, observer)?
    };
    let Some(fitted) = fitted else { return Ok(None) };
    if world.rank() == 0 {
        save_weights(weights, &fitted.parameters)?;
    }
    let (graph, ports) = (&built.network.graph, built.network.ports);
    let encode = |node| rows_of(graph, ports, node, &fitted.parameters, features.clone(), world);
    let values = encode(built.latent)?;
    // What is scored is the error of a sample, handed to its pairs.
    let errors = match graph.boundary(built.network.prediction)[..] {
        [error] => encode(error)?,
        _ => return Err(Error::Network("an autoencoder's prediction reads more than its error".into())),
    };
    Ok(Some(Latent {
        values,
        columns: spec.layers.last().copied().unwrap_or(0),
        errors,
        plain,
        history: fitted.history,
        best_epoch: fitted.best_epoch,
    }))
}

/// The class that each row is trained in: all of them the same where the network makes nothing of classes.
fn trained_classes(
    spec: &Autoencoder,
    corpus: &PretrainCorpus,
    samples: &Samples,
    world: &dyn Communicator,
) -> Result<Vec<u32>> {
    let Classes { names, of, .. } = &samples.classes;
    if spec.center_loss.is_none() {
        return Ok(vec![0; of.len()]);
    }
    if names.len() < 2 {
        let what = "needs two classes at least: name a data.label, or set data.clusters";
        return Err(Error::deck(&corpus.deck_path, "model.center_loss", what));
    }
    let most = CenterLoss::MOST_CLASSES;
    if names.len() > most {
        let what = format!(
            "holds centers of at most {most} classes, not {}: name a coarser data.label, or lower data.clusters",
            names.len()
        );
        return Err(Error::deck(&corpus.deck_path, "model.center_loss", what));
    }
    // A sample of no class stands behind all classes, and no center draws it.
    let lacking = of.iter().filter(|class| class.is_none()).count();
    if lacking > 0 && world.rank() == 0 {
        log::info!("{} no class, of {}: no center draws them", have(lacking, "row"), of.len());
    }
    let none = names.len() as u32;
    Ok(of.iter().map(|class| class.unwrap_or(none)).collect())
}

/// The part of the training rows that each class has.
fn shares(class_of: &[u32], classes: usize, parts: &Parts) -> Vec<f64> {
    let mut counts = vec![0usize; classes];
    let of_class =
        parts.train.iter().filter_map(|&row| Some(class_of[row as usize] as usize).filter(|&c| c < classes));
    of_class.for_each(|class| counts[class] += 1);
    counts.iter().map(|&count| count as f64 / parts.train.len() as f64).collect()
}

/// The reconstruction error of each row if nothing were learnt but the mean of each column over the training rows,
/// which standardised columns have at 0.
pub fn plain_errors(loss: ReconstructionLoss, features: &ScaledFeatures, parts: &Parts) -> Vec<f32> {
    let (values, width) = (features.table().values(), features.table().width());
    if loss == ReconstructionLoss::Mse {
        let square = |row: &[f32]| row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / width as f64;
        return values.chunks_exact(width).map(|row| square(row) as f32).collect();
    }
    let mut means = vec![0.0f64; width];
    for &row in &parts.train {
        let row = &values[row as usize * width..][..width];
        means.iter_mut().zip(row).for_each(|(mean, &v)| *mean += f64::from(v) / parts.train.len() as f64);
    }
    // Of a column that is always 0, or 1, in training; finite where it is not elsewhere.
    let logs: Vec<[f64; 2]> =
        means.iter().map(|mean| mean.clamp(1e-6, 1.0 - 1e-6)).map(|m| [m.ln(), (1.0 - m).ln()]).collect();
    let entropy = |row: &[f32]| {
        let of = |(&v, [one, zero]): (&f32, &[f64; 2])| -f64::from(v) * one - (1.0 - f64::from(v)) * zero;
        row.iter().zip(&logs).map(of).sum::<f64>() / width as f64
    };
    values.chunks_exact(width).map(|row| entropy(row) as f32).collect()
}
