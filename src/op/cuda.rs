//! What the kernels of an op are given on a CUDA device, the counterpart of
//! [`super::Forward`] and [`super::Backward`].

use super::{Activation, BitsId, MapId, SpaceId};
use crate::Result;
use crate::device::cuda::{Address, CudaMatrix, Precision, Storage, Stream};

/// Numbers that a kernel reads at a time; rows are stored so many times some number apart.
pub const EIGHT: usize = 8;

/// Columns from which rows are [`LINE`] apart: it costs them an eighth at most.
const WIDE: usize = 512;
/// Numbers of a line of cache, in bfloat16. Products are fastest where rows begin with one.
const LINE: usize = 64;

/// Numbers from one row to the next of a tensor of so many columns: a multiple of [`EIGHT`].
pub fn stride(columns: usize) -> usize {
    columns.next_multiple_of(if columns < WIDE { EIGHT } else { LINE })
}

/// A tensor in a device's memory: `rows`, padding included, by `columns`, rows [`stride`] apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tensor {
    /// Where it is.
    pub at: Address,
    /// Rows, those beyond the batch's included.
    pub rows: usize,
    /// Columns in use.
    pub columns: usize,
    /// How it is stored.
    pub storage: Storage,
}

impl Tensor {
    /// Numbers from one row to the next.
    pub fn stride(&self) -> usize {
        stride(self.columns)
    }

    /// Numbers stored, a multiple of [`EIGHT`].
    pub fn length(&self) -> usize {
        self.rows * self.stride()
    }

    /// As a factor of a product.
    pub fn matrix(&self) -> CudaMatrix {
        let Self { at, rows, columns, storage } = *self;
        CudaMatrix { at, rows, columns, stride: self.stride(), storage, transposed: false }
    }
}

/// A parameter in a device's memory, `[rows, columns]`, rows [`stride`] apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaParameter {
    /// In single precision.
    pub master: Address,
    /// As tensors are stored; the same place where that is in single precision.
    pub copy: Address,
    /// Rows.
    pub rows: usize,
    /// Columns in use.
    pub columns: usize,
}

impl CudaParameter {
    /// The copy as a factor of a product.
    pub fn matrix(&self, storage: Storage) -> CudaMatrix {
        let stride = stride(self.columns);
        CudaMatrix {
            at: self.copy,
            rows: self.rows,
            columns: self.columns,
            stride,
            storage,
            transposed: false,
        }
    }
}

/// The gradient of a parameter, laid out as its master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaParameterGradient {
    /// Where it is, in single precision.
    pub at: Address,
    /// Rows.
    pub rows: usize,
    /// Columns in use.
    pub columns: usize,
}

impl CudaParameterGradient {
    /// As the result of a product.
    pub fn matrix(&self) -> CudaMatrix {
        let stride = stride(self.columns);
        let storage = Storage::F32;
        CudaMatrix { at: self.at, rows: self.rows, columns: self.columns, stride, storage, transposed: false }
    }
}

/// What changes from pass to pass and lies on the device, so that a recorded
/// pass can be replayed with other values: `Pass` of `kernels/crossrx.cuh`.
#[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct CudaPass {
    /// The training's seed.
    pub seed: u64,
    /// Steps taken before this one.
    pub step: u64,
    /// Learning rate.
    pub rate: f64,
    /// Gradient of the sum of the losses.
    pub scale: f32,
    /// Pairs in use; the rest is padding.
    pub pairs: u32,
    /// Position in the lane's shuffled order of the first pair.
    pub first: u32,
    /// The lane's number.
    pub lane: u32,
    /// Pairs of the lane.
    pub lane_rows: u32,
    /// Where they begin among all pairs held.
    pub lane_start: u32,
    /// The epoch under way, from zero.
    pub epoch: u32,
    /// Pairs of the step over all lanes of all ranks.
    pub total_pairs: u32,
}

/// For each row of one set, a list of rows of another: as [`super::Segments`], on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaSegments {
    /// `[lists + 1]`, u32; lists of padding are empty.
    pub start: Address,
    /// The lists, one after another, u32.
    pub order: Address,
}

/// A map of the batch at hand, on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaMap {
    /// As [`super::RowMap`] has it, u32; padding names row 0.
    pub index: Address,
    /// The inverse; no list names padding.
    pub segments: CudaSegments,
}

/// A table of zeros and ones on the device: that of all entities, which a batch picks from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaBits {
    /// For each entity of the table, the columns of its ones.
    pub ones: CudaSegments,
    /// For each column, the entities that have a one there, ascending.
    pub by_column: CudaSegments,
    /// For each row of the batch, its entity in the table, u32; any for padding.
    pub entity: Address,
    /// For each entity of the table, its row in the batch, u32, or `u32::MAX`.
    pub row: Address,
}

/// The rows of a batch on the device, as [`super::Rows`] has them on the host.
#[derive(Debug, Clone, Default)]
pub struct CudaRows {
    /// Rows of each space, padding included.
    pub count: Vec<usize>,
    /// Number in the dataset of each row, u32, by space.
    pub number: Vec<Option<Address>>,
    /// By map; none where the plan has no use for it.
    pub maps: Vec<Option<CudaMap>>,
    /// By table of bits.
    pub bits: Vec<Option<CudaBits>>,
}

impl CudaRows {
    /// Rows of `space`, padding included.
    pub fn of(&self, space: SpaceId) -> usize {
        self.count[space.0]
    }

    /// The map `id`.
    pub fn map(&self, id: MapId) -> Result<CudaMap> {
        self.maps[id.0].ok_or_else(|| absent("map"))
    }

    /// The table of bits `id`.
    pub fn bits(&self, id: BitsId) -> Result<CudaBits> {
        self.bits[id.0].ok_or_else(|| absent("table of bits"))
    }

    /// The numbers of the rows of `space`.
    pub fn numbers(&self, space: SpaceId) -> Result<Address> {
        self.number[space.0].ok_or_else(|| absent("list of row numbers"))
    }
}

fn absent(what: &str) -> crate::Error {
    crate::Error::Network(format!("a pass on the device needs a {what} that the batch lacks"))
}

/// What forward kernels on the device read and write.
pub struct CudaForward<'a> {
    /// Where kernels go.
    pub stream: &'a Stream,
    /// How products are computed.
    pub precision: Precision,
    /// One an input.
    pub inputs: &'a [Tensor],
    /// Whether the first is fed from outside: what lies between its columns and the next multiple of eight is zero.
    pub fed: bool,
    /// As [`super::Op::parameters`] lists them.
    pub parameters: &'a [CudaParameter],
    /// To be written whole, padding included.
    pub output: Tensor,
    /// Maps and row numbers of this batch.
    pub batch: &'a CudaRows,
    /// Where the [`CudaPass`] lies.
    pub pass: Address,
    /// Number of this op in its network.
    pub node: usize,
    /// What [`CudaKernel::constants`] gives, f32.
    pub constants: Address,
}

/// What backward kernels on the device read and write.
pub struct CudaBackward<'a> {
    /// As in [`CudaForward`].
    pub stream: &'a Stream,
    /// As in [`CudaForward`].
    pub precision: Precision,
    /// Their values are there where [`super::Op::keeps`] says so.
    pub inputs: &'a [Tensor],
    /// As in [`CudaForward`].
    pub fed: bool,
    /// As in [`CudaForward`].
    pub parameters: &'a [CudaParameter],
    /// Its values are there where [`super::Op::keeps`] says so.
    pub output: Tensor,
    /// Nothing reads it after these kernels; zero in rows of padding.
    pub output_gradient: Tensor,
    /// One an input, with whether it is added to; `None` where nothing before it learns. To be
    /// written whole, zero in rows of padding.
    pub input_gradients: &'a [Option<(Tensor, bool)>],
    /// One a parameter, to be written whole but for what lies between columns and stride, which is zero.
    pub parameter_gradients: &'a [CudaParameterGradient],
    /// As [`super::Backward::add_weight`] has it.
    pub add_weight: bool,
    /// As in [`CudaForward`].
    pub batch: &'a CudaRows,
    /// As in [`CudaForward`].
    pub pass: Address,
    /// As in [`CudaForward`].
    pub node: usize,
    /// As in [`CudaForward`].
    pub constants: Address,
    /// At least [`CudaKernel::workspace`] bytes, for these kernels alone.
    pub workspace: Address,
    /// What [`CudaKernel::slopes`] of the op before says, where this op is to do it: the gradient of the first
    /// input, which is set then and not added to, becomes that of the argument of its activation.
    pub slopes_before: Option<SlopesBefore>,
    /// Whether the op after has done what [`CudaKernel::slopes`] of this one says.
    pub slopes_done: bool,
}

/// How the way back through an op begins, where the op that writes its output's gradient could do that in passing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slopes {
    /// Of the op's values: their gradient becomes that of its arguments.
    pub activation: Activation,
    /// Which of the op's parameters has the sum of the rows of that as its gradient, if one has.
    pub bias: Option<usize>,
}

/// [`Slopes`] with the place of the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlopesBefore {
    /// As [`Slopes`] has it.
    pub activation: Activation,
    /// Where the sum of the rows goes, in single precision.
    pub sum: Option<Address>,
}

/// The kernels of an op on a CUDA device. What they sum they sum in an order
/// that depends on shapes alone.
pub trait CudaKernel {
    /// Puts what computes the output on the stream.
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()>;
    /// Puts what computes the gradients of inputs and parameters on the stream.
    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()>;
    /// Bytes that backward needs beside, for an output of so many rows; the widest of the op's tensors
    /// has so many columns.
    fn workspace(&self, _rows: usize, _columns: usize) -> usize {
        0
    }
    /// Numbers that its kernels read and that never change; a plan lays them out on the device once.
    fn constants(&self) -> Vec<f32> {
        Vec::new()
    }
    /// What the op that writes the gradient of this one's output, of so many columns, may do in passing.
    fn slopes(&self, _columns: usize) -> Option<Slopes> {
        None
    }
    /// Whether the way back, for an output of so many columns, can do what [`CudaKernel::slopes`] of the op that
    /// makes its first input says.
    fn does_slopes_before(&self, _columns: usize) -> bool {
        false
    }
}

/// Blocks for kernels that go through the rows of a tensor, eight columns and four rows a thread:
/// `first_row` and `first_column` of `kernels/crossrx.cuh`. And the threads of a block.
pub(super) fn row_grid(rows: usize, columns: usize) -> [[usize; 2]; 2] {
    [[rows.div_ceil(8 * 4), stride(columns).div_ceil(32 * EIGHT)], [32, 8]]
}

/// Sets a gradient to `from`, or adds to it: `put` of `kernels/add.cu`.
pub(super) fn put(stream: &Stream, to: Tensor, from: Tensor, accumulate: bool) -> Result<()> {
    const PUT: crate::device::cuda::Kernel = crate::device::cuda::Kernel::new("add", "put");
    let eights = to.length() / EIGHT;
    stream.launch_over(
        PUT,
        to.storage,
        eights,
        &[to.at.into(), from.at.into(), eights.into(), accumulate.into()],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cuda::{Argument, HostDriver, Kernel, Memory};

    #[test]
    fn rows_begin_where_they_can_be_read_at_once() {
        let of = [1, 8, 9, 511, 512, 513, 1000, 3820].map(stride);
        assert_eq!(of, [8, 8, 16, 512, 512, 576, 1024, 3840]);
    }

    /// The nearest bfloat16 by its distance, of two as near the even one.
    fn rounded(x: f32) -> u16 {
        if x.is_nan() {
            return (x.to_bits() >> 16) as u16 | 0x40;
        }
        let down = (x.to_bits() >> 16) as u16;
        // Beyond the largest comes what would be next, were there one: infinity stands for it.
        let wide = |bits: u16| match bits & 0x7fff {
            0x7f80 => f64::from(f32::MAX.log2().round()).exp2().copysign(f64::from(x)),
            _ => f64::from(f32::from_bits(u32::from(bits) << 16)),
        };
        if x.is_infinite() {
            return down;
        }
        let [below, above] = [down, down + 1].map(|bits| (wide(bits) - f64::from(x)).abs());
        if below < above || below == above && down.is_multiple_of(2) { down } else { down + 1 }
    }

    #[test]
    fn numbers_are_narrowed_to_the_nearest_ties_to_even() {
        let low = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff];
        let all = (0..=u16::MAX).flat_map(|high| low.map(|low| u32::from(high) << 16 | low));
        let values: Vec<f32> = all.map(f32::from_bits).collect();
        let stream = HostDriver::stream();
        let (from, to) = (stream.holding(&values).unwrap(), stream.zeros(2 * values.len()).unwrap());
        let eights = values.len() / EIGHT;
        let arguments = [to.at().into(), from.at().into(), eights.into()];
        stream.launch_over(Kernel::new("narrow", "narrowed"), Storage::Bf16, eights, &arguments).unwrap();
        let mut got = vec![0u16; values.len()];
        to.download(0, &mut got).unwrap();
        for (&x, &got) in values.iter().zip(&got) {
            // Which one of those that are no number, devices choose for themselves.
            let none = x.is_nan() && f32::from_bits(u32::from(got) << 16).is_nan();
            assert!(none || got == rounded(x), "{x:e}, bits {:#x}: {got:#x}", x.to_bits());
        }
    }

    /// A kernel on blocks and grids of several sizes leaves the same bits.
    fn same_on_any_grid(kernel: Kernel, arguments: &[Argument], to: &Memory, threads: usize, warps: bool) {
        let stream = HostDriver::stream();
        let mut expected: Option<Vec<u32>> = None;
        let sizes: &[usize] = if warps { &[256, 32, 96, 1024] } else { &[256, 1, 7, 33, 1000] };
        for &block in sizes {
            for more in [0, 2] {
                to.zero().unwrap();
                let grid = [threads.div_ceil(block) + more, 1];
                stream.launch(kernel, Storage::F32, grid, [block, 1], arguments).unwrap();
                let mut got = vec![0u32; to.bytes() / 4];
                to.download(0, &mut got).unwrap();
                assert!(got.iter().any(|&bits| bits != 0));
                let expected = expected.get_or_insert_with(|| got.clone());
                assert!(*expected == got, "{kernel:?} in blocks of {block}, {more} more than needed");
            }
        }
    }

    #[test]
    fn kernels_do_not_mind_blocks_of_other_sizes() {
        let stream = HostDriver::stream();
        let (rows, columns) = (45, 70);
        let length = rows * stride(columns);
        let values: Vec<f32> = (0..length).map(|i| (i as f32).sin()).collect();
        let [a, b] = [0, 1].map(|_| stream.holding(&values).unwrap());
        let to = stream.zeros(4 * length).unwrap();
        let (at, from, other) = (to.at().into(), a.at().into(), b.at().into());
        let eights = length / EIGHT;
        let one: Argument = 1u32.into();
        let (rows_u, columns_u, stride_u) = (rows.into(), columns.into(), stride(columns).into());
        let put = [at, from, eights.into(), one];
        same_on_any_grid(Kernel::new("add", "put"), &put, &to, eights, false);
        let loss = [at, from, b.at().offset(4).into(), rows_u];
        same_on_any_grid(Kernel::new("squared_error", "forward"), &loss, &to, rows, false);
        let norm = [at, from, other, from, rows_u, columns_u, stride_u];
        same_on_any_grid(Kernel::new("layer_norm", "forward"), &norm, &to, 32 * rows, true);
        let dense = [
            at,
            0u32.into(),
            8u32.into(),
            from,
            other,
            2u32.into(),
            0u32.into(),
            rows_u,
            columns_u,
            stride_u,
        ];
        same_on_any_grid(Kernel::new("fuse", "dense_gradient"), &dense, &to, 32 * rows, true);
        let join = [at, from, 0u32.into(), 15u32.into(), 3u32.into(), stride_u];
        same_on_any_grid(
            Kernel::new("segment", "join_pieces"),
            &join,
            &to,
            15 * stride(columns) / EIGHT,
            false,
        );
    }
}
