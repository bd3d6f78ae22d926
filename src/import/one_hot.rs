//! Label tables of a store: one row a sample, one column a class, kept as bits.

use crate::store::{Encoding, Entity, FeatureInfo, StoreWriter};
use crate::{Error, Result};
use ndarray::Array2;
use std::collections::BTreeMap;
use std::fmt;

/// More classes are ids or measurements.
const MOST_CLASSES: usize = 4096;
/// Rows that are written at a time.
const BLOCK: usize = 256;
/// Classes that a report names.
const SHOWN: usize = 8;

/// A label table as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelMatch {
    /// Its name.
    pub name: String,
    /// Number of samples with a label.
    pub samples: usize,
    /// The classes in the order of the columns, by name, with their numbers of samples.
    pub classes: Vec<(String, usize)>,
    /// Number of rows that joined and have no label.
    pub unlabelled: usize,
}

/// Writes the label table `name`: `of` holds the class of each sample, by index,
/// that has one. Classes become columns sorted by name. Refuses no samples, and
/// more than 4,096 classes.
pub(super) fn write(
    writer: &mut StoreWriter,
    name: &str,
    origin: &str,
    of: &BTreeMap<u32, String>,
) -> Result<LabelMatch> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for class in of.values() {
        *counts.entry(class).or_default() += 1;
    }
    if counts.is_empty() || counts.len() > MOST_CLASSES {
        let what =
            format!("{} classes of {} samples; there may be 1 to {MOST_CLASSES}", counts.len(), of.len());
        return Err(Error::Request(format!("{origin}: the labels {name:?} have {what}")));
    }
    let places: BTreeMap<&str, usize> = counts.keys().copied().zip(0..).collect();
    let names: Vec<String> = counts.keys().map(|&class| class.to_owned()).collect();
    let samples: Vec<u32> = of.keys().copied().collect();
    let classes: Vec<usize> = of.values().filter_map(|class| places.get(class.as_str()).copied()).collect();
    let info = FeatureInfo {
        entity: Entity::Sample,
        name: name.into(),
        encoding: Encoding::Bits,
        rows: samples.len(),
        columns: names.len(),
        units: "1".into(),
    };
    let mut table = writer.feature(info, &names, &samples)?;
    table.origin(origin)?;
    for block in classes.chunks(BLOCK) {
        let mut ones = Array2::zeros((block.len(), names.len()));
        for (mut row, &class) in ones.rows_mut().into_iter().zip(block) {
            row[class] = 1.0;
        }
        table.append(ones.view())?;
    }
    table.finish()?;
    let classes = counts.into_iter().map(|(class, n)| (class.to_owned(), n)).collect();
    Ok(LabelMatch { name: name.into(), samples: of.len(), classes, unlabelled: 0 })
}

impl fmt::Display for LabelMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut largest: Vec<&(String, usize)> = self.classes.iter().collect();
        largest.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let shown: Vec<String> =
            largest.iter().take(SHOWN).map(|(class, n)| format!("{class} {n}")).collect();
        let more = if largest.len() > SHOWN { ", ..." } else { "" };
        let (name, samples, classes) = (&self.name, self.samples, self.classes.len());
        let samples = format!("{samples} sample{}", if samples == 1 { "" } else { "s" });
        let classes = format!("{classes} class{}", if classes == 1 { "" } else { "es" });
        writeln!(f, "{name}: {samples} in {classes}: {}{more}", shown.join(", "))?;
        if self.unlabelled > 0 {
            writeln!(f, "  {} rows that joined have no label", self.unlabelled)?;
        }
        Ok(())
    }
}
