use super::{CudaPairs, CudaTables};
use crate::Result;
use crate::device::cuda::{Address, Kernel, Memory, Storage};
use crate::graph::CudaPlan;
use crate::op::{CudaMap, CudaRows, CudaSegments, EIGHT, Tensor};
use crate::store::Entity;
use std::ops::Range;
use std::rc::Rc;

/// Feeds scoring plans on a device, which take entities apart from pairs: towers
/// by [`Self::feed_entities`], once an entity; the head by [`Self::feed_pairs`], whose pairs find their drug and
/// sample where [`Self::locate`] was told of them. Drops nothing, so that rows have no numbers.
#[derive(Debug)]
pub struct CudaFeeder {
    tables: Rc<CudaTables>,
    /// Pairs, and entities, that are fed at a time, padding included.
    most: [usize; 2],
    /// Rows in the tables of the entities at hand, and how many they are.
    listed: Memory,
    count: Memory,
    /// For each row in the tables of drugs, and of samples, its place in the list that pairs find it in.
    place: [Memory; 2],
    /// Lengths of these lists.
    located: [usize; 2],
    /// For each pair at hand, its drug's and its sample's place.
    index: [Memory; 2],
    /// What is read back.
    packed: Memory,
}

/// What is in no list.
const NONE: u32 = u32::MAX;

const LOCATED: Kernel = Kernel::new("assemble", "located");
const COLUMN: Kernel = Kernel::new("assemble", "column");
const PACKED: Kernel = Kernel::new("assemble", "packed");

impl CudaFeeder {
    /// For at most so many pairs, and so many entities, at a time.
    pub fn new(tables: Rc<CudaTables>, pairs: usize, entities: usize) -> Result<Self> {
        let most = [pairs, entities].map(|n| n.next_multiple_of(EIGHT));
        let stream = tables.stream();
        let words = |n: usize| stream.zeros(4 * n);
        let place = Entity::ALL.map(|entity| stream.holding(&vec![NONE; tables.rows(entity)]));
        let [drugs, samples] = place;
        Ok(Self {
            most,
            listed: words(most[1])?,
            count: words(1)?,
            place: [drugs?, samples?],
            located: [0; 2],
            index: [words(most[0])?, words(most[0])?],
            packed: words(most[0])?,
            tables,
        })
    }

    /// Capacity of each space, padding included, of a plan that takes entities.
    pub fn tower_capacity(&self) -> [usize; 3] {
        self.tables.ports().capacity(0, [self.most[1]; 2])
    }

    /// Capacity of each space, padding included, of a plan that takes pairs of so many drugs and samples.
    pub fn head_capacity(&self, entities: [usize; 2]) -> [usize; 3] {
        self.tables.ports().capacity(self.most[0], entities.map(|n| n.next_multiple_of(EIGHT)))
    }

    /// Feeds `entities`, distinct, as the rows of their space. Panics if they are more than are fed at a time.
    pub fn feed_entities(&mut self, plan: &CudaPlan, entity: Entity, entities: &[u32]) -> Result<CudaRows> {
        assert!(entities.len() <= self.most[1], "{} entities of {}", entities.len(), self.most[1]);
        let listed = entities.iter().map(|&index| self.tables.row(entity, index));
        self.listed.upload(0, &listed.collect::<Result<Vec<u32>>>()?)?;
        self.count.upload(0, &[entities.len() as u32])?;
        let table = self.tables.side(entity);
        let mut rows = self.tables.no_rows();
        rows.count[table.port.space.0] = entities.len().next_multiple_of(EIGHT);
        // Only the way back asks which row an entity has.
        table.put_bits(&mut rows, self.listed.at(), Address::NONE);
        self.tables.feed(plan, entity, &rows, self.listed.at(), self.count.at())?;
        Ok(rows)
    }

    /// Has pairs fed from now on find their drug or sample in this list.
    pub fn locate(&mut self, entity: Entity, entities: &[u32]) -> Result<()> {
        let mut place = vec![NONE; self.tables.rows(entity)];
        for (&index, at) in entities.iter().zip(0..) {
            place[self.tables.row(entity, index)? as usize] = at;
        }
        self.place[entity as usize].upload(0, &place)?;
        self.located[entity as usize] = entities.len();
        Ok(())
    }

    /// Feeds a run of `pairs` whose entities [`Self::locate`] was told of. Panics if they are more than
    /// are fed at a time or than there are.
    pub fn feed_pairs(&self, plan: &CudaPlan, pairs: &CudaPairs, run: Range<usize>) -> Result<CudaRows> {
        assert!(run.end <= pairs.len() && run.len() <= self.most[0], "pairs {run:?} of {}", pairs.len());
        let (ports, stream) = (self.tables.ports(), self.tables.stream());
        let padded = run.len().next_multiple_of(EIGHT);
        let counts = ports.capacity(padded, self.located.map(|n| n.next_multiple_of(EIGHT)));
        let mut rows = self.tables.no_rows();
        rows.count.copy_from_slice(&counts);
        for entity in Entity::ALL {
            let index = &self.index[entity as usize];
            let from = pairs.of(entity).offset(4 * run.start);
            let place = self.place[entity as usize].at();
            let arguments = [index.at().into(), from.into(), place.into(), run.len().into(), padded.into()];
            stream.launch_over(LOCATED, Storage::F32, padded, &arguments)?;
            // Only the way back reads the lists.
            let segments = CudaSegments { start: Address::NONE, order: Address::NONE };
            rows.maps[ports.entities[entity as usize].map.0] = Some(CudaMap { index: index.at(), segments });
        }
        if let Some(to) = ports.dose.and_then(|dose| plan.input(dose, padded)) {
            let from = pairs.dose().offset(4 * run.start);
            let arguments = [to.at.into(), from.into(), run.len().into(), padded.into()];
            stream.launch_over(COLUMN, Storage::F32, padded, &arguments)?;
        }
        Ok(rows)
    }

    /// Appends the first `rows` values of `output`, which has one column, to `into`. Waits for the device.
    pub fn read(&self, output: Tensor, rows: usize, into: &mut Vec<f32>) -> Result<()> {
        assert!(output.columns == 1 && rows <= output.rows.min(self.most[0]), "{rows} rows of {output:?}");
        let arguments = [self.packed.at().into(), output.at.into(), rows.into()];
        self.tables.stream().launch_over(PACKED, Storage::F32, rows, &arguments)?;
        let first = into.len();
        into.resize(first + rows, 0.0);
        self.packed.download(0, &mut into[first..])
    }
}
