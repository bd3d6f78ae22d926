use super::parameters::CELL;
use super::{Gradients, Graph, Parameter, Parameters};
use crate::Result;
use crate::device::cuda::{Address, Memory, Precision, Storage, Stream};
use crate::op::{CudaParameter, CudaParameterGradient, stride};
use std::ops::Range;
use std::sync::Arc;

/// Where the parameters of a network lie on a device: in the order of
/// [`Parameters`], but with every row at a multiple of eight values, and zeros
/// between rows.
#[derive(Debug)]
pub struct CudaLayout {
    /// One a parameter, in the order in which the graph made them.
    places: Vec<Place>,
    /// The values of each bucket of [`Gradients`].
    buckets: Vec<Range<usize>>,
    /// The first parameter, by number, of each bucket.
    firsts: Vec<usize>,
    length: usize,
}

#[derive(Debug)]
struct Place {
    start: usize,
    rows: usize,
    columns: usize,
    host: Parameter,
}

impl CudaLayout {
    /// For the parameters of `graph`.
    pub fn new(graph: &Graph) -> Result<Arc<Self>> {
        let layout = super::parameters::layout(graph)?;
        let mut order: Vec<usize> = (0..layout.len()).collect();
        order.sort_by_key(|&number| layout[number].range.start);
        let mut starts = vec![0; layout.len()];
        let mut length = 0usize;
        for &number in &order {
            starts[number] = length;
            let [rows, columns] = layout[number].shape;
            length = (length + rows * stride(columns)).next_multiple_of(CELL);
        }
        let places = layout.iter().zip(&starts).map(|(parameter, &start)| Place {
            start,
            rows: parameter.shape[0],
            columns: parameter.shape[1],
            host: parameter.clone(),
        });
        let on_host = Gradients::<f32>::zeros(graph)?;
        // The first value on the device of what lies at or after a place on the host.
        let device = |host: usize| {
            order.iter().find(|&&n| layout[n].range.start >= host).map_or(length, |&n| starts[n])
        };
        let buckets = (0..on_host.buckets()).map(|bucket| {
            let place = on_host.place(bucket);
            device(place.start)..device(place.end)
        });
        let firsts = (0..on_host.buckets()).map(|bucket| on_host.first(bucket)).collect();
        Ok(Arc::new(Self { buckets: buckets.collect(), places: places.collect(), firsts, length }))
    }

    /// Values, those between rows included: a multiple of [`Parameters::CELL`].
    pub fn length(&self) -> usize {
        self.length
    }

    /// The values of each bucket of [`Gradients`].
    pub fn buckets(&self) -> &[Range<usize>] {
        &self.buckets
    }

    /// Whether a bucket is whole once parameters from number `settled` on have their gradient.
    pub(super) fn is_whole(&self, bucket: usize, settled: usize) -> bool {
        settled <= self.firsts[bucket]
    }

    /// One number for every [`Parameters::CELL`] values, as [`Parameters::by_cell`] has it.
    pub fn by_cell(&self, of: impl Fn(&Parameter) -> f32) -> Vec<f32> {
        let mut cells = vec![0.0; self.length / CELL];
        for place in &self.places {
            let end = place.start + place.rows * stride(place.columns);
            cells[place.start / CELL..end.div_ceil(CELL)].fill(of(&place.host));
        }
        cells
    }

    /// Lays host values out as on the device.
    pub fn spread(&self, host: &[f32]) -> Vec<f32> {
        let mut device = vec![0.0; self.length];
        self.each_row(|on_host, on_device| device[on_device].copy_from_slice(&host[on_host]));
        device
    }

    /// Lays values from the device out as on the host.
    pub fn gather(&self, device: &[f32], host: &mut [f32]) {
        self.each_row(|on_host, on_device| host[on_host].copy_from_slice(&device[on_device]));
    }

    fn each_row(&self, mut with: impl FnMut(Range<usize>, Range<usize>)) {
        for Place { start, rows, columns, host, .. } in &self.places {
            for row in 0..*rows {
                let (from, to) = (host.range.start + row * columns, start + row * stride(*columns));
                with(from..from + columns, to..to + columns);
            }
        }
    }
}

/// All parameters of a network on a device: in single precision and, where
/// tensors are stored otherwise, a copy in that.
#[derive(Debug)]
pub struct CudaParameters {
    layout: Arc<CudaLayout>,
    stream: Stream,
    storage: Storage,
    master: Memory,
    copy: Option<Memory>,
}

impl CudaParameters {
    /// Zeros.
    pub fn zeros(stream: &Stream, layout: Arc<CudaLayout>, precision: Precision) -> Result<Self> {
        let storage = precision.storage();
        let bytes = |storage: Storage| layout.length * storage.bytes();
        let copy = (storage != Storage::F32).then(|| stream.zeros(bytes(storage))).transpose()?;
        let master = stream.zeros(bytes(Storage::F32))?;
        Ok(Self { layout, stream: stream.clone(), storage, master, copy })
    }

    /// Their places.
    pub fn layout(&self) -> &Arc<CudaLayout> {
        &self.layout
    }

    /// In single precision.
    pub fn master(&self) -> &Memory {
        &self.master
    }

    /// As tensors are stored, where that is not in single precision.
    pub fn copy(&self) -> Option<&Memory> {
        self.copy.as_ref()
    }

    /// Takes the values of `host`.
    pub fn upload(&self, host: &Parameters<f32>) -> Result<()> {
        self.upload_laid_out(&self.layout.spread(host.values()))
    }

    fn upload_laid_out(&self, values: &[f32]) -> Result<()> {
        self.master.upload(0, values)?;
        self.make_copy()
    }

    /// Makes the copy that of the values in single precision.
    fn make_copy(&self) -> Result<()> {
        let Some(copy) = &self.copy else { return Ok(()) };
        const NARROW: crate::device::cuda::Kernel = crate::device::cuda::Kernel::new("narrow", "narrowed");
        let eights = self.layout.length / crate::op::EIGHT;
        let arguments = [copy.at().into(), self.master.at().into(), eights.into()];
        self.stream.launch_over(NARROW, self.storage, eights, &arguments)
    }

    /// Gives its values to `host`.
    pub fn download(&self, host: &mut Parameters<f32>) -> Result<()> {
        let mut values = vec![0.0; self.layout.length];
        self.master.download(0, &mut values)?;
        self.layout.gather(&values, host.values_mut());
        Ok(())
    }

    /// The parameter of this number.
    pub(super) fn of(&self, number: usize) -> CudaParameter {
        let Place { start, rows, columns, .. } = self.layout.places[number];
        let master = self.master.at().offset(start * Storage::F32.bytes());
        let copy = self.copy.as_ref().map(|copy| copy.at().offset(start * self.storage.bytes()));
        CudaParameter { master, copy: copy.unwrap_or(master), rows, columns }
    }
}

/// Gradients of all parameters on a device, in single precision, laid out as
/// those; behind the last bucket, words that are summed over ranks with it.
#[derive(Debug)]
pub struct CudaGradients {
    layout: Arc<CudaLayout>,
    memory: Memory,
}

impl CudaGradients {
    /// Words behind the last bucket.
    pub const WORDS: usize = CELL;

    /// Zeros.
    pub fn zeros(stream: &Stream, layout: Arc<CudaLayout>) -> Result<Self> {
        let memory = stream.zeros((layout.length + Self::WORDS) * Storage::F32.bytes())?;
        Ok(Self { layout, memory })
    }

    /// [`CudaLayout::length`] values, then [`Self::WORDS`].
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Where the words are: in single precision, right behind the last bucket.
    pub fn words(&self) -> Address {
        self.memory.at().offset(self.layout.length * Storage::F32.bytes())
    }

    /// Their places.
    pub fn layout(&self) -> &Arc<CudaLayout> {
        &self.layout
    }

    /// Gives its values to `host`.
    pub fn download(&self, host: &mut Gradients<f32>) -> Result<()> {
        let mut values = vec![0.0; self.layout.length];
        self.memory.download(0, &mut values)?;
        self.layout.each_row(|on_host, on_device| {
            let bucket = (0..host.buckets()).find(|&b| host.place(b).contains(&on_host.start));
            if let Some(bucket) = bucket {
                let first = host.place(bucket).start;
                host.bucket_mut(bucket)[on_host.start - first..on_host.end - first]
                    .copy_from_slice(&values[on_device]);
            }
        });
        Ok(())
    }

    /// That of the parameter of this number.
    pub(super) fn of(&self, number: usize) -> CudaParameterGradient {
        let Place { start, rows, columns, .. } = self.layout.places[number];
        CudaParameterGradient { at: self.memory.at().offset(start * Storage::F32.bytes()), rows, columns }
    }
}
