use crate::store::{Entity, FeatureInfo, Store};
use crate::{Error, Result};
use std::collections::HashMap;
use std::ops::Range;

/// Feature tables of samples, each a study, one below the other: the rows of all, by the columns that all have,
/// which are found by name. A row is a sample of a study; a sample of two studies has two rows.
pub struct StudyTables<'a> {
    store: &'a Store,
    studies: Vec<Study<'a>>,
    columns: Vec<String>,
}

struct Study<'a> {
    info: &'a FeatureInfo,
    /// Sample of each row.
    samples: Vec<u32>,
    /// Columns of the table by name.
    places: HashMap<String, usize>,
    rows: Range<usize>,
}

impl<'a> StudyTables<'a> {
    /// The tables `names` of `store`; values are still to be read. Refuses a name that is not there, and tables
    /// that have no column in common.
    pub fn of(store: &'a Store, names: &[String]) -> Result<Self> {
        let mut studies: Vec<Study<'a>> = Vec::with_capacity(names.len());
        let mut columns: Vec<String> = Vec::new();
        let mut first_row = 0;
        for name in names {
            let info = store.feature_named(Entity::Sample, name)?;
            let there = store.feature_names(info)?;
            let samples = store.feature_entities(info)?;
            let places = there.iter().cloned().zip(0..).collect();
            match studies.is_empty() {
                true => columns = there,
                false => columns.retain(|column| HashMap::contains_key(&places, column)),
            }
            let rows = first_row..first_row + samples.len();
            first_row = rows.end;
            studies.push(Study { info, samples, places, rows });
        }
        if columns.is_empty() {
            let what = format!("the studies {} have no column in common", names.join(", "));
            return Err(Error::store(store.path(), "/features/sample", what));
        }
        if u32::try_from(first_row).is_err() {
            return Err(Error::store(
                store.path(),
                "/features/sample",
                format!("{first_row} rows are too many"),
            ));
        }
        Ok(Self { store, studies, columns })
    }

    /// Names of the studies, in the order of their rows.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.studies.iter().map(|study| study.info.name.as_str())
    }

    /// Columns that every study has, in the order of the first one.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Columns of the table of study `number`.
    pub fn columns_of(&self, number: usize) -> usize {
        self.studies[number].info.columns
    }

    /// Rows of all studies.
    pub fn rows(&self) -> usize {
        self.studies.last().map_or(0, |study| study.rows.end)
    }

    /// Rows of study `number`.
    pub fn rows_of(&self, number: usize) -> Range<usize> {
        self.studies[number].rows.clone()
    }

    /// The sample of each row of study `number`, distinct.
    pub fn samples_of(&self, number: usize) -> &[u32] {
        &self.studies[number].samples
    }

    /// Where study `number` has `columns`, if it does.
    pub fn places(&self, number: usize, columns: &[String]) -> Vec<Option<usize>> {
        columns.iter().map(|column| self.studies[number].places.get(column).copied()).collect()
    }

    /// Streams the values of study `number`: `each` gets the number of a row among those of all studies and the
    /// row as stored, missing values NaN.
    pub fn each_row(&self, number: usize, mut each: impl FnMut(usize, &[f32]) + Send) -> Result<()> {
        let study = &self.studies[number];
        let mut rows = study.rows.clone();
        self.store.feature_blocks(study.info, |block| {
            for (values, row) in block.chunks_exact(study.info.columns).zip(&mut rows) {
                each(row, values);
            }
        })
    }
}
