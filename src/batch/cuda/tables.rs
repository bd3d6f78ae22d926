use super::{EntityPort, FeaturePort, Ports};
use crate::device::cuda::{Address, Kernel, Memory, Precision, Storage, Stream};
use crate::feature::ScaledFeatures;
use crate::graph::CudaPlan;
use crate::op::{CudaBits, CudaRows, CudaSegments, EIGHT, Segments, stride};
use crate::store::Entity;
use crate::{Error, Result};

/// The features of all drugs and samples that have any, in the memory of a
/// device, scaled and stored as a plan reads them. Columns of nothing but zeros and ones are
/// kept as bits.
#[derive(Debug)]
pub struct CudaTables {
    stream: Stream,
    precision: Precision,
    ports: Ports,
    /// Drugs, then samples.
    sides: [Table; 2],
}

/// The features of one of the two entities that a pair joins, one row each entity that has some.
#[derive(Debug)]
pub(super) struct Table {
    pub port: EntityPort,
    /// For each entity of the store: its row here, or `NONE`.
    row_of: Vec<u32>,
    pub rows: usize,
    /// The entity of each row, u32.
    pub number: Memory,
    cells: Cells,
}

/// How the rows lie on the device.
#[derive(Debug)]
enum Cells {
    /// As a tensor.
    Values(Memory),
    /// One bit a column, and what zeros, then ones, become: `[2, stride]`, in single precision.
    Packed { bits: Memory, values: Memory },
    /// By the places of ones.
    Ones { ones: Lists, by_column: Lists },
}

#[derive(Debug)]
struct Lists {
    start: Memory,
    order: Memory,
}

const NONE: u32 = u32::MAX;
/// Values that go to the device at a time.
const BLOCK: usize = 1 << 22;
/// Threads of a block of the kernels of `features.cu`, and rows that it takes.
const THREADS: [usize; 2] = [32, 8];
const ROWS: usize = 32;

const GATHER: Kernel = Kernel::new("features", "gather");
const UNPACK: Kernel = Kernel::new("features", "unpack");
const NARROWED: Kernel = Kernel::new("narrow", "narrowed");

impl Lists {
    fn new(stream: &Stream, lists: &Segments) -> Result<Self> {
        Ok(Self { start: stream.holding(&lists.start)?, order: stream.holding(&lists.order)? })
    }

    fn segments(&self) -> CudaSegments {
        CudaSegments { start: self.start.at(), order: self.order.at() }
    }
}

impl CudaTables {
    /// Puts `features`, of drugs, then samples, on a device, for plans of `precision`
    /// with these ports. Fails if there is no memory for them.
    pub fn new(
        stream: &Stream,
        precision: Precision,
        ports: Ports,
        features: &[ScaledFeatures; 2],
    ) -> Result<Self> {
        let [drugs, samples] = Entity::ALL.map(|entity| {
            let port = ports.entities[entity as usize];
            Table::new(stream, precision.storage(), port, &features[entity as usize])
        });
        Ok(Self { stream: stream.clone(), precision, ports, sides: [drugs?, samples?] })
    }

    /// Where they lie, and where what is done with them goes.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Of the plans that they are for.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Of the plans that they are for.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Drugs, or samples, that have features.
    pub fn rows(&self, entity: Entity) -> usize {
        self.sides[entity as usize].rows
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> usize {
        self.sides.iter().map(Table::bytes).sum()
    }

    pub(super) fn side(&self, entity: Entity) -> &Table {
        &self.sides[entity as usize]
    }

    /// The row of drug or sample `index` of the store.
    pub(super) fn row(&self, entity: Entity, index: u32) -> Result<u32> {
        let row = self.side(entity).row_of.get(index as usize).copied().filter(|&row| row != NONE);
        row.ok_or_else(|| Error::Request(format!("{} {index} of a pair has no features", entity.name())))
    }

    /// No rows, and room for what these ports name.
    pub(super) fn no_rows(&self) -> CudaRows {
        let Ports { pairs, entities, .. } = self.ports;
        let spaces = entities.iter().map(|port| port.space.0).fold(pairs.0, usize::max) + 1;
        let maps = entities.iter().map(|port| port.map.0 + 1).max().unwrap_or(0);
        let bits = entities.iter().map(|port| match port.features {
            FeaturePort::Bits(id) => id.0 + 1,
            FeaturePort::Values(_) => 0,
        });
        let bits = bits.max().unwrap_or(0);
        CudaRows {
            count: vec![0; spaces],
            number: vec![None; spaces],
            maps: vec![None; maps],
            bits: vec![None; bits],
        }
    }

    /// Feeds `plan` the features of the entities whose rows here lie at `listed`: as
    /// many as the word at `count` says, and zeros for the rest of those in `rows`.
    pub(super) fn feed(
        &self,
        plan: &CudaPlan,
        entity: Entity,
        rows: &CudaRows,
        listed: Address,
        count: Address,
    ) -> Result<()> {
        let table = self.side(entity);
        let FeaturePort::Values(input) = table.port.features else { return Ok(()) };
        let Some(to) = plan.input(input, rows.of(table.port.space)) else { return Ok(()) };
        let eights = to.stride() / EIGHT;
        let blocks = |across: usize| [across.div_ceil(THREADS[0]), to.rows.div_ceil(ROWS).min(0xffff)];
        let ends = [listed.into(), count.into(), to.rows.into()];
        let [listed, count, all] = ends;
        match &table.cells {
            Cells::Values(values) => {
                // Vectors of sixteen bytes.
                let vectors = eights * to.storage.bytes() / 2;
                let arguments = [to.at.into(), values.at().into(), listed, count, all, vectors.into()];
                self.stream.launch(GATHER, to.storage, blocks(vectors), THREADS, &arguments)
            }
            Cells::Packed { bits, values } => {
                let table = [bits.at().into(), values.at().into()];
                let arguments = [to.at.into(), table[0], table[1], listed, count, all, eights.into()];
                self.stream.launch(UNPACK, to.storage, blocks(eights), THREADS, &arguments)
            }
            Cells::Ones { .. } => Ok(()),
        }
    }
}

impl Table {
    fn new(stream: &Stream, storage: Storage, port: EntityPort, features: &ScaledFeatures) -> Result<Self> {
        let table = features.table();
        let present = table.present();
        // As plans have it.
        let storage = if table.width() == 1 { Storage::F32 } else { storage };
        let mut row_of = vec![NONE; table.entities()];
        present.iter().zip(0..).for_each(|(&entity, row)| row_of[entity as usize] = row);
        let cells = match port.features {
            FeaturePort::Bits(_) => ones(stream, features, &present)?,
            FeaturePort::Values(_) if table.are_bits() => {
                let what = table.entity().name();
                return Err(Error::Network(format!("{what} features kept as bits, but fed as numbers")));
            }
            FeaturePort::Values(_) => {
                let binary = |&entity: &u32| table.row(entity).iter().all(|&x| x == 0.0 || x == 1.0);
                if present.iter().all(binary) {
                    packed(stream, features, &present)?
                } else {
                    values(stream, storage, features, &present)?
                }
            }
        };
        Ok(Self { port, row_of, rows: present.len(), number: stream.holding(&present)?, cells })
    }

    /// Whether a network takes them as bits.
    pub fn takes_bits(&self) -> bool {
        matches!(self.cells, Cells::Ones { .. })
    }

    /// Adds what a network that takes bits is given of the whole table. `entity` and `row` are as
    /// [`CudaBits`] has them.
    pub fn put_bits(&self, rows: &mut CudaRows, entity: Address, row: Address) {
        if let (Cells::Ones { ones, by_column }, FeaturePort::Bits(id)) = (&self.cells, self.port.features) {
            let (ones, by_column) = (ones.segments(), by_column.segments());
            rows.bits[id.0] = Some(CudaBits { ones, by_column, entity, row });
        }
    }

    fn bytes(&self) -> usize {
        self.number.bytes()
            + match &self.cells {
                Cells::Values(values) => values.bytes(),
                Cells::Packed { bits, values } => bits.bytes() + values.bytes(),
                Cells::Ones { ones, by_column } => {
                    [ones, by_column].map(|lists| lists.start.bytes() + lists.order.bytes()).iter().sum()
                }
            }
    }
}

fn ones(stream: &Stream, features: &ScaledFeatures, present: &[u32]) -> Result<Cells> {
    let table = features.table();
    let mut by_row = Segments::with_capacity(present.len(), table.ones());
    by_row.clear();
    present.iter().for_each(|&entity| by_row.push(table.ones_of(entity)));
    let mut by_column = Segments::default();
    let named = present.iter().zip(0..);
    let named = named.flat_map(|(&entity, row)| table.ones_of(entity).iter().map(move |&c| (row, c)));
    by_column.invert(table.width(), named);
    Ok(Cells::Ones { ones: Lists::new(stream, &by_row)?, by_column: Lists::new(stream, &by_column)? })
}

fn packed(stream: &Stream, features: &ScaledFeatures, present: &[u32]) -> Result<Cells> {
    let table = features.table();
    let (width, stride) = (table.width(), stride(table.width()));
    let eights = stride / EIGHT;
    let mut bits = vec![0u8; present.len() * eights];
    for (to, &entity) in bits.chunks_exact_mut(eights).zip(present) {
        for (column, &x) in table.row(entity).iter().enumerate() {
            to[column / EIGHT] |= u8::from(x == 1.0) << (column % EIGHT);
        }
    }
    let mut values = vec![0.0f32; 2 * stride];
    let (zeros, ones) = values.split_at_mut(stride);
    features.rows().scale(&vec![0.0; width], zeros);
    features.rows().scale(&vec![1.0; width], ones);
    Ok(Cells::Packed { bits: stream.holding(&bits)?, values: stream.holding(&values)? })
}

fn values(stream: &Stream, storage: Storage, features: &ScaledFeatures, present: &[u32]) -> Result<Cells> {
    let stride = stride(features.table().width());
    let table = stream.zeros(present.len() * stride * storage.bytes())?;
    let at_once = (BLOCK / stride).max(1);
    let mut block = vec![0.0f32; at_once.min(present.len()) * stride];
    let staged = stream.zeros(size_of_val(&block[..]))?;
    let mut offset = 0;
    for entities in present.chunks(at_once) {
        for (row, &entity) in block.chunks_exact_mut(stride).zip(entities) {
            features.rows().write(entity, row);
        }
        let length = entities.len() * stride;
        staged.upload(0, &block[..length])?;
        let to = table.at().offset(offset * storage.bytes());
        let eights = length / EIGHT;
        stream.launch_over(NARROWED, storage, eights, &[to.into(), staged.at().into(), eights.into()])?;
        offset += length;
    }
    stream.wait()?;
    Ok(Cells::Values(table))
}
