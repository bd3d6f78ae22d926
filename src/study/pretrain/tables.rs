use super::embedding::Embedding;
use super::run::{Latent, Samples};
use crate::{Result, atomic};
use std::io::Write;
use std::path::Path;

/// Writes `latent.csv`: columns `id,study,class,part,z0,z1,...`, one row a sample of a study, part `train` or `val`,
/// class empty where it has none. `ids` are those of the store's samples.
pub fn write_latent(path: &Path, samples: &Samples, ids: &[String], latent: &Latent) -> Result<()> {
    let columns: Vec<String> = (0..latent.columns).map(|z| format!("z{z}")).collect();
    let values =
        |row: usize| latent.values[row * latent.columns..][..latent.columns].iter().copied().map(Some);
    write(path, samples, ids, &columns, values)
}

/// Writes `embedding.csv`: columns `id,study,class,part,pc1,pc2,tsne1,tsne2`, the last two empty of rows that were
/// not drawn.
pub fn write_embedding(path: &Path, samples: &Samples, ids: &[String], embedding: &Embedding) -> Result<()> {
    let columns = ["pc1", "pc2", "tsne1", "tsne2"].map(String::from);
    let values = |row: usize| {
        let neighbours = embedding.neighbours[row].map_or([None; 2], |place| place.map(Some));
        embedding.components[row].map(Some).into_iter().chain(neighbours)
    };
    write(path, samples, ids, &columns, values)
}

fn write<V: Iterator<Item = Option<f32>>>(
    path: &Path,
    samples: &Samples,
    ids: &[String],
    columns: &[String],
    values: impl Fn(usize) -> V,
) -> Result<()> {
    atomic::write_file(path, |w| {
        let mut csv = csv::Writer::from_writer(w);
        csv.write_record(
            ["id", "study", "class", "part"].into_iter().chain(columns.iter().map(String::as_str)),
        )?;
        let mut cell = Vec::new();
        for row in 0..samples.study.len() {
            csv.write_field(&ids[samples.samples[row] as usize])?;
            csv.write_field(&samples.studies[samples.study[row] as usize].name)?;
            csv.write_field(samples.classes.name(row))?;
            csv.write_field(if samples.parts.is_training[row] { "train" } else { "val" })?;
            for value in values(row) {
                cell.clear();
                if let Some(value) = value {
                    write!(cell, "{value}")?;
                }
                csv.write_field(&cell)?;
            }
            csv.write_record(None::<&[u8]>)?;
        }
        csv.flush()
    })
}
