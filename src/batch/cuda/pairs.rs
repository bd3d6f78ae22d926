use super::{CudaTables, Examples};
use crate::device::cuda::{Address, Memory};
use crate::store::Entity;
use crate::{Error, Result};

/// Pairs in the memory of a device, one list after another: those of lanes, or
/// those to be scored. Their drugs and samples are told by their rows in the tables.
#[derive(Debug)]
pub struct CudaPairs {
    /// Drug, then sample, of each pair, u32.
    entities: [Memory; 2],
    /// In single precision.
    dose: Option<Memory>,
    truth: Memory,
    /// Row in the dataset, u32.
    number: Memory,
    /// Where each list begins; one more entry ends the last.
    start: Vec<usize>,
}

/// Pairs that go to the device at a time.
const BLOCK: usize = 1 << 20;

impl CudaPairs {
    /// Puts `lists` on the device of `tables`. Refuses a pair whose drug or sample
    /// has no features, pairs without the dose that the network takes, and more than 2^32 - 1 of them.
    pub fn new(tables: &CudaTables, lists: &[Examples]) -> Result<Self> {
        let mut start = vec![0];
        for list in lists {
            start.push(start[start.len() - 1] + list.len());
        }
        let total = start[lists.len()];
        if u32::try_from(total).is_err() {
            return Err(Error::Request(format!(
                "{total} pairs are more than a device numbers; use more ranks"
            )));
        }
        let doses = tables.ports().dose.is_some();
        let stream = tables.stream();
        let [drugs, samples, truth, number] = [(); 4].map(|()| stream.zeros(4 * total));
        let dose = doses.then(|| stream.zeros(4 * total)).transpose()?;
        let pairs = Self { entities: [drugs?, samples?], dose, truth: truth?, number: number?, start };
        let mut rows = Vec::new();
        for (list, &first) in lists.iter().zip(&pairs.start) {
            let n = list.len();
            if [list.sample.len(), list.truth.len(), list.number.len()] != [n; 3]
                || (doses && list.dose.len() != n)
            {
                return Err(Error::Network(format!("{n} pairs lack a sample, a dose or an endpoint")));
            }
            for entity in Entity::ALL {
                for (block, at) in list.of(entity).chunks(BLOCK).zip((first..).step_by(BLOCK)) {
                    rows.clear();
                    for &index in block {
                        rows.push(tables.row(entity, index)?);
                    }
                    pairs.entities[entity as usize].upload(4 * at, &rows)?;
                }
            }
            if let Some(dose) = &pairs.dose {
                dose.upload(4 * first, &list.dose)?;
            }
            pairs.truth.upload(4 * first, &list.truth)?;
            pairs.number.upload(4 * first, &list.number)?;
        }
        Ok(pairs)
    }

    /// Pairs in all lists.
    pub fn len(&self) -> usize {
        self.start[self.start.len() - 1]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> usize {
        let [drugs, samples] = &self.entities;
        let lists = [drugs, samples, &self.truth, &self.number];
        lists.into_iter().chain(&self.dose).map(Memory::bytes).sum()
    }

    /// Where list `list` begins.
    pub(super) fn start(&self, list: usize) -> usize {
        self.start[list]
    }

    /// The row in the tables of each pair's drug or sample.
    pub(super) fn of(&self, entity: Entity) -> Address {
        self.entities[entity as usize].at()
    }

    /// Doses, if there are any.
    pub(super) fn dose(&self) -> Address {
        self.dose.as_ref().map_or(Address::NONE, Memory::at)
    }

    pub(super) fn truth(&self) -> Address {
        self.truth.at()
    }

    pub(super) fn number(&self) -> Address {
        self.number.at()
    }
}
