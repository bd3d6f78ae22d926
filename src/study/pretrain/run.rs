use super::PretrainCorpus;
use super::classes::Classes;
use super::embedding::Embedding;
use super::folder::{self, Folder};
use super::network::fit_network;
use super::observer::Teller;
use super::parts::Parts;
use super::pca::fit_pca;
use super::quality::quality;
use super::tables::{write_embedding, write_latent};
use crate::comm::{Communicator, agree, share};
use crate::deck::PretrainModel;
use crate::feature::{ScaledFeatures, StudyScaling, StudyTables};
use crate::metric::Epoch;
use crate::report::latent::quality_json;
use crate::report::phrase::count;
use crate::report::run_json::{self, RunInfo};
use crate::report::{self, history};
use crate::store::Entity;
use crate::study::account::{Peak, mib};
use crate::study::journal::{Claim, RUN};
use crate::study::training_log::TrainingLog;
use crate::study::{Launch, Start};
use crate::{Error, Result, atomic, status, stop};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// A study that is encoded.
pub struct EncodedStudy {
    /// Name of its table.
    pub name: String,
    /// Samples that have a row.
    pub rows: usize,
    /// Columns of its table.
    pub columns: usize,
}

/// The rows of a pretraining: a sample of a study each.
pub struct Samples {
    /// The studies, in the order of their rows.
    pub studies: Vec<EncodedStudy>,
    /// Number of the study of each row.
    pub study: Vec<u32>,
    /// Sample of each row, an index into the store's.
    pub samples: Vec<u32>,
    /// Which of them train.
    pub parts: Parts,
    /// Their classes.
    pub classes: Classes,
    /// As the encoder sees them; an entity is a row.
    pub features: ScaledFeatures,
    /// How each study was scaled.
    pub scaling: StudyScaling,
}

impl Samples {
    /// Reads the studies that the deck names. Every rank of `world` calls this.
    pub fn read(corpus: &PretrainCorpus, world: &dyn Communicator) -> Result<Self> {
        // The first rank reads, and makes clusters, for all.
        let _others_wait = status::patience();
        let deck = &corpus.deck;
        let of_deck = |e: Error| corpus.fault("data.studies", &e);
        let tables = agree(world, StudyTables::of(&corpus.store, &deck.data.studies).map_err(of_deck))?;
        let parts = Parts::of(&tables, deck.data.validation, deck.train.seed);
        let mut studies = Vec::new();
        let (mut study, mut samples) = (Vec::with_capacity(tables.rows()), Vec::with_capacity(tables.rows()));
        for (name, number) in tables.names().zip(0..) {
            let own = tables.samples_of(number);
            studies.push(EncodedStudy {
                name: name.into(),
                rows: own.len(),
                columns: tables.columns_of(number),
            });
            study.extend(own.iter().map(|_| number as u32));
            samples.extend_from_slice(own);
        }
        let enough = |number: usize| {
            let training = tables.rows_of(number).filter(|&row| parts.is_training[row]).count();
            let what = || format!("{} has {training} rows to train on: two at least", studies[number].name);
            if training < 2 { Err(Error::deck(&corpus.deck_path, "data.studies", what())) } else { Ok(()) }
        };
        agree(world, (0..studies.len()).try_for_each(enough))?;
        let scaling = StudyScaling::fit(&tables, &parts.is_training, deck.scale(), deck.data.filter, world);
        let scaling = scaling.map_err(|e| match e {
            Error::Told => e,
            e => corpus.fault("data.filter", &e),
        })?;
        let features = scaling.read(&tables, world)?;
        let classes = Classes::of(corpus, &samples, features.table(), &parts, world)?;
        Ok(Self { studies, study, samples, parts, classes, features, scaling })
    }
}

/// What an encoder makes of all rows. On the first rank; the others have no rows.
#[derive(Debug, Clone, Default)]
pub struct Latent {
    /// `[rows, columns]`.
    pub values: Vec<f32>,
    /// Of the latent.
    pub columns: usize,
    /// Reconstruction error of each row.
    pub errors: Vec<f32>,
    /// The same if nothing had been learnt.
    pub plain: Vec<f32>,
    /// Every epoch.
    pub history: Vec<Epoch>,
    /// From one.
    pub best_epoch: usize,
}

impl Latent {
    /// Mean error of `rows`, and the part of their plain error that is gone; NaN of none.
    pub fn errors(&self, rows: impl Iterator<Item = u32>) -> (f64, f64) {
        let (mut count, mut error, mut plain) = (0.0, 0.0, 0.0);
        for row in rows {
            count += 1.0;
            error += f64::from(self.errors[row as usize]);
            plain += f64::from(self.plain[row as usize]);
        }
        (error / count, 1.0 - error / plain)
    }
}

/// Fits the encoder of `corpus` on all ranks of `world`, and writes it, the latent rows of all samples and what they
/// are worth to `out`. A pretraining that `out` holds part of goes on. On rank 0, returns a line that says what came
/// of it. [`Error::Stopped`] where it was told to stop before the end.
pub fn pretrain(
    corpus: &PretrainCorpus,
    out: &Path,
    start: Start,
    world: &dyn Communicator,
    launch: &Launch,
) -> Result<Option<String>> {
    let folder = agree(world, Folder::new(corpus, out, world.size()))?;
    let begin = || -> Result<(Option<Claim>, Vec<usize>)> {
        let (mut claim, complete) = folder.claim(start)?;
        if !complete {
            claim.begin(&launch.started, world.size())?;
        }
        Ok((Some(claim), vec![usize::from(complete)]))
    };
    let speaks = world.rank() == 0;
    let (mut claim, mut complete) = agree(world, if speaks { begin() } else { Ok((None, Vec::new())) })?;
    share(world, &mut complete);
    if complete == [1] {
        let page = || {
            if !folder.file(folder::REPORT).exists() {
                report::latent::write(out, None)?;
            }
            // A job that was killed right before its end has left them.
            folder.finish()
        };
        agree(world, if speaks { page() } else { Ok(()) })?;
        return Ok(speaks.then(|| format!("{}: complete already\n", out.display())));
    }
    status::begin_task("pretraining");
    let reading = Instant::now();
    let samples = Samples::read(corpus, world)?;
    let reading = reading.elapsed().as_secs_f64();
    if speaks {
        say_what_is_read(&samples);
    }
    let training = Instant::now();
    let weights = folder.file(folder::WEIGHTS);
    let latent = match &corpus.deck.model {
        PretrainModel::Pca(spec) => Some(fit_pca(spec, corpus, &samples, world, &weights)?),
        PretrainModel::Autoencoder(spec) => {
            let mut checkpoints = agree(world, folder.checkpoints(corpus))?;
            let log = speaks.then(|| TrainingLog::new("pretraining".into(), folder.logs()));
            let mut teller = Teller::new(corpus.deck.train.epochs, log, launch.heartbeat);
            let latent = fit_network(spec, corpus, &samples, world, &mut checkpoints, &mut teller, &weights)?;
            match &latent {
                Some(latent) => teller.finish(&latent.history),
                None => teller.settle(),
            }
            latent
        }
    };
    status::end_task();
    let Some(latent) = latent else {
        if let Some(claim) = &mut claim {
            claim.keep();
            let without = if start == Start::Fresh { " without --fresh" } else { "" };
            let why = stop::reason().unwrap_or_else(|| "as another rank was told to".into());
            log::info!("stopped {why}; the same command{without} goes on from here");
        }
        return Err(Error::Stopped);
    };
    let training = training.elapsed().as_secs_f64();
    let peak = Peak::so_far(world);
    let _others_wait = status::patience();
    let finish = |claim: &mut Claim| -> Result<String> {
        let written = write(corpus, &folder, &samples, &latent, [reading, training])?;
        let (jobs, wall_s) = claim.jobs();
        let info = RunInfo {
            model: corpus.deck.model.name().into(),
            crossrx: env!("CARGO_PKG_VERSION").into(),
            versions: launch.versions.clone(),
            command: launch.command.clone(),
            ranks: world.size(),
            threads: launch.threads,
            groups: 1,
            started: launch.started.clone(),
            wall_s,
            jobs,
            peak_memory_mib: mib(peak.rank),
            peak_node_memory_mib: mib(peak.node),
            sources: corpus.deck.data.studies.clone(),
            ..RunInfo::default()
        };
        run_json::write(&folder.file(RUN), &info)?;
        claim.keep();
        report::latent::write(out, None)?;
        folder.finish()?;
        Ok(format!("{written}report: {}\n", folder.file(folder::REPORT).display()))
    };
    agree(world, claim.as_mut().map(finish).transpose())
}

fn say_what_is_read(samples: &Samples) {
    let columns = samples.features.table().width();
    for study in &samples.studies {
        let dropped = study.columns - columns;
        log::info!(
            "{}: {}, {dropped} of {} columns not read",
            study.name,
            count(study.rows, "row"),
            study.columns
        );
    }
    let (parts, classes) = (&samples.parts, &samples.classes);
    log::info!(
        "{} of {columns} columns to train on, {} held out; {} ({})",
        count(parts.train.len(), "row"),
        parts.val.len(),
        match classes.names.len() {
            0 => "no classes".into(),
            1 => "1 class".into(),
            several => format!("{several} classes"),
        },
        classes.origin
    );
}

/// Writes all but the word that it is complete, and returns what came of it in a line.
fn write(
    corpus: &PretrainCorpus,
    folder: &Folder,
    samples: &Samples,
    latent: &Latent,
    [reading, training]: [f64; 2],
) -> Result<String> {
    let measuring = Instant::now();
    let ids = corpus.store.ids(Entity::Sample)?;
    let deck = corpus.deck.to_toml()?;
    atomic::write_file(&folder.file(folder::DECK), |w| w.write_all(deck.as_bytes()))?;
    samples.scaling.save(&folder.file(folder::SCALING))?;
    history::write(&folder.file(folder::HISTORY), &latent.history)?;
    write_latent(&folder.file(folder::LATENT), samples, &ids, latent)?;
    let embedding = Embedding::of(&latent.values, latent.columns, corpus.deck.train.seed);
    write_embedding(&folder.file(folder::EMBEDDING), samples, &ids, &embedding)?;
    // Of all jobs that it took.
    let epochs: f64 = latent.history.iter().map(|epoch| epoch.seconds).sum();
    let mut quality = quality(corpus, samples, latent, embedding.shares.to_vec(), BTreeMap::new());
    let measuring = measuring.elapsed().as_secs_f64();
    let seconds =
        [("reading", reading), ("training", training.max(epochs)), ("measuring and pictures", measuring)];
    quality.seconds = seconds.map(|(part, seconds)| (part.to_string(), seconds)).into();
    quality_json::write(&folder.file(folder::QUALITY), &quality)?;
    let (error, explained) = latent.errors(samples.parts.val.iter().copied());
    let gone = if explained > 0.0 {
        format!("{:.1} % of it gone", 100.0 * explained)
    } else {
        format!(
            "no better than the mean ({} {explained:.3})",
            if quality.is_cross_entropy() { "part gone" } else { "R2" }
        )
    };
    let best = match &corpus.deck.model {
        PretrainModel::Autoencoder(_) => {
            format!("; best of {} is {}", count(latent.history.len(), "epoch"), latent.best_epoch)
        }
        PretrainModel::Pca(_) => String::new(),
    };
    Ok(format!(
        "{} to {}: error {error:.4} on {}, {gone}{best}\n",
        count(samples.features.table().width(), "column"),
        latent.columns,
        count(samples.parts.val.len(), "held-out row"),
    ))
}
