use super::PretrainCorpus;
use super::parts::Parts;
use crate::Result;
use crate::comm::{Communicator, agree};
use crate::feature::{Features, clusters, labels};
use crate::report::phrase;

/// The classes of rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Classes {
    /// Names of those that a row has.
    pub names: Vec<String>,
    /// Of each row.
    pub of: Vec<Option<u32>>,
    /// Where they come from: `label site`, `k-means`, both, or `none`.
    pub origin: String,
}

impl Classes {
    /// Reads the labels that the deck names, and makes clusters of the rows that have none where it wishes them. Every
    /// rank of `world` calls this; the first one computes.
    pub fn of(
        corpus: &PretrainCorpus,
        samples: &[u32],
        features: &Features,
        parts: &Parts,
        world: &dyn Communicator,
    ) -> Result<Self> {
        let mut classes = agree(world, Self::labelled(corpus, samples))?;
        let wanted = corpus.deck.data.clusters;
        let Some(count) = wanted.filter(|_| classes.of.iter().any(Option::is_none)) else {
            return Ok(classes);
        };
        let unlabelled = |rows: &mut dyn Iterator<Item = u32>| -> Vec<u32> {
            rows.filter(|&row| classes.of[row as usize].is_none()).collect()
        };
        let of = unlabelled(&mut (0..samples.len() as u32));
        let fitted = unlabelled(&mut parts.train.iter().copied());
        // Beside labels there may be few.
        let few = (fitted.len() / 2).max(1);
        let count = if corpus.deck.data.label.is_empty() { count } else { count.min(few) };
        if wanted != Some(count) && world.rank() == 0 {
            log::warn!(
                "{} no label, {} of them to train on: {} made",
                phrase::have(of.len(), "row"),
                fitted.len(),
                phrase::are(count, "cluster")
            );
        }
        let make = || {
            if count == 1 {
                return Ok(vec![0; of.len()]);
            }
            let (values, columns) = (features.values(), features.width());
            let found = clusters(values, columns, &fitted, &of, count, corpus.deck.train.seed);
            found.map_err(|e| corpus.fault("data.clusters", &e))
        };
        let made = agree(world, if world.rank() == 0 { make() } else { Ok(Vec::new()) })?;
        let mut made: Vec<u8> = bytemuck::cast_slice(&made).to_vec();
        world.broadcast(0, &mut made);
        let made = made.chunks_exact(4).map(bytemuck::pod_read_unaligned::<u32>);
        let first = classes.names.len() as u32;
        classes.names.extend((1..=count).map(|number| format!("cluster {number}")));
        of.iter().zip(made).for_each(|(&row, cluster)| classes.of[row as usize] = Some(first + cluster));
        classes.origin = match corpus.deck.data.label.is_empty() {
            true => "k-means".into(),
            false => format!("{}, k-means", classes.origin),
        };
        Ok(classes.only_present())
    }

    /// The class of a sample is the one in the first table that has it.
    fn labelled(corpus: &PretrainCorpus, samples: &[u32]) -> Result<Self> {
        let tables = &corpus.deck.data.label;
        let (mut names, mut of) = (Vec::new(), vec![None; samples.len()]);
        for table in tables {
            let read = labels(&corpus.store, table).map_err(|e| corpus.fault("data.label", &e))?;
            let mut places = Vec::with_capacity(read.names.len());
            for name in read.names {
                // A class of two tables is one.
                let known = names.iter().position(|known| *known == name);
                places.push(known.unwrap_or(names.len()) as u32);
                names.extend(known.is_none().then_some(name));
            }
            for (class, &sample) in of.iter_mut().zip(samples) {
                let label = read.of.get(sample as usize).copied().flatten();
                *class = class.or_else(|| Some(places[label? as usize]));
            }
        }
        let origin = if tables.is_empty() { "none".into() } else { format!("label {}", tables.join(", ")) };
        Ok(Self { names, of, origin }.only_present())
    }

    /// Without the classes that no row has.
    fn only_present(self) -> Self {
        let mut count = vec![0usize; self.names.len()];
        self.of.iter().flatten().for_each(|&class| count[class as usize] += 1);
        let mut place = vec![0; count.len()];
        let mut names = Vec::new();
        for ((name, count), place) in self.names.into_iter().zip(count).zip(&mut place) {
            *place = names.len() as u32;
            names.extend((count > 0).then_some(name));
        }
        let of = self.of.into_iter().map(|class| class.map(|class| place[class as usize])).collect();
        Self { names, of, origin: self.origin }
    }

    /// Rows of each class among `rows`.
    pub fn counts(&self, rows: impl Iterator<Item = u32>) -> Vec<usize> {
        let mut counts = vec![0; self.names.len()];
        rows.filter_map(|row| self.of[row as usize]).for_each(|class| counts[class as usize] += 1);
        counts
    }

    /// The name of the class of a row, empty where it has none.
    pub fn name(&self, row: usize) -> &str {
        self.of[row].map_or("", |class| &self.names[class as usize])
    }
}
