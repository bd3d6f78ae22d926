use super::{Activation, CudaSegments, EIGHT, Segments, Tensor, stride};
use crate::Result;
use crate::device::cuda::{Address, Kernel, Storage, Stream};
use crate::device::{Element, sweep_costly_rows};

/// Columns whose sums stay in registers.
const STRIP: usize = 64;

/// Sums rows by lists: each row of `to`, `[lists, columns]`, becomes the sum of
/// the rows of `from`, `[rows, columns]`, that its list names, first to last,
/// or has it added where `accumulate`. The order of every sum is that of the
/// list, so it depends on no thread.
pub fn sum_segments<T: Element>(
    to: &mut [T],
    accumulate: bool,
    segments: &Segments,
    from: &[T],
    columns: usize,
) {
    let lists = segments.start.len() - 1;
    let cost = columns * (1 + segments.order.len() / lists.max(1));
    sweep_costly_rows(
        to,
        columns,
        cost,
        #[inline(always)]
        |first, block| {
            for strip in (0..columns).step_by(STRIP) {
                let width = STRIP.min(columns - strip);
                for (list, row) in (first..).zip(block.chunks_exact_mut(columns)) {
                    let into = &mut row[strip..strip + width];
                    let list = segments.of(list);
                    if width == STRIP {
                        sum_rows::<T, STRIP>(into, accumulate, list, from, columns, strip);
                    } else {
                        into.iter_mut().filter(|_| !accumulate).for_each(|sum| *sum = T::zero());
                        for &row in list {
                            let values = &from[row as usize * columns + strip..][..width];
                            into.iter_mut().zip(values).for_each(|(sum, &v)| *sum += v);
                        }
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn sum_rows<T: Element, const WIDTH: usize>(
    into: &mut [T],
    accumulate: bool,
    list: &[u32],
    from: &[T],
    columns: usize,
    first: usize,
) {
    let mut sums = [T::zero(); WIDTH];
    if accumulate {
        sums.copy_from_slice(into);
    }
    for &row in list {
        let values = &from[row as usize * columns + first..][..WIDTH];
        for i in 0..WIDTH {
            sums[i] += values[i];
        }
    }
    into.copy_from_slice(&sums);
}

const SUMS: Kernel = Kernel::new("segment", "sums");
const WIDE_SUMS: Kernel = Kernel::new("segment", "wide_sums");
const JOIN_PIECES: Kernel = Kernel::new("segment", "join_pieces");

/// Warps of a block.
const LINES: usize = 16;
/// Entries of a list that a warp reads at once.
const GROUP: usize = 4;
/// Fewer lists than this are cut into pieces, of all lists together at most twice as many.
const FEW_LISTS: usize = 128;

/// Sums of rows by lists on a CUDA device: each row of `to` becomes, or has added, `activation(sum + bias)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct CudaSums {
    /// One row a list; stored as `from` is, or in single precision.
    pub to: Tensor,
    /// Whether sums are added to what `to` holds.
    pub accumulate: bool,
    /// The rows that are summed.
    pub from: Tensor,
    /// The lists.
    pub segments: CudaSegments,
    /// Where given, the list of each row of `to`, u32.
    pub which: Address,
    /// Where given, the row of `from` of each entry of a list, u32, or `u32::MAX` where it has none.
    pub through: Address,
    /// In single precision, or none.
    pub bias: Address,
    /// Applied to the sums.
    pub activation: Activation,
    /// Entries that a list is likely to have.
    pub likely: usize,
}

impl CudaSums {
    /// Plain sums, set or added.
    pub fn new(to: Tensor, accumulate: bool, from: Tensor, segments: CudaSegments) -> Self {
        Self {
            to,
            accumulate,
            from,
            segments,
            which: Address::NONE,
            through: Address::NONE,
            bias: Address::NONE,
            activation: Activation::Identity,
            likely: from.rows / to.rows.max(1),
        }
    }

    /// Puts them on the stream.
    pub fn launch(&self, stream: &Stream) -> Result<()> {
        self.launch_pieces(stream, 1)
    }

    fn launch_pieces(&self, stream: &Stream, pieces: usize) -> Result<()> {
        let Self { to, from, segments, .. } = *self;
        let sharing = sharing(self.likely / pieces);
        let kernel = if to.storage == from.storage { SUMS } else { WIDE_SUMS };
        let lists = to.rows / pieces;
        let arguments = [
            to.at.into(),
            from.at.into(),
            segments.start.into(),
            segments.order.into(),
            self.which.into(),
            self.through.into(),
            self.bias.into(),
            self.activation.number().into(),
            self.accumulate.into(),
            lists.into(),
            pieces.into(),
            sharing.into(),
            to.columns.into(),
            to.stride().into(),
        ];
        let grid = [to.rows.div_ceil(LINES / sharing), to.stride().div_ceil(32 * EIGHT)];
        stream.launch(kernel, from.storage, grid, [32, LINES], &arguments)
    }
}

/// Warps that share a list of so many entries: a power of two.
fn sharing(entries: usize) -> usize {
    1 << (entries / GROUP).clamp(1, LINES).ilog2()
}

/// Pieces of each of so many lists of `rows` entries in all, where there are too few to fill a device.
fn pieces(lists: usize, rows: usize) -> usize {
    if lists == 0 || lists >= FEW_LISTS {
        return 1;
    }
    (2 * FEW_LISTS / lists).min(rows / lists / (LINES * GROUP)).max(1)
}

/// Bytes that [`cuda_sum_segments`] needs beside.
pub(super) fn workspace(columns: usize) -> usize {
    2 * FEW_LISTS * stride(columns) * Storage::F32.bytes()
}

/// [`sum_segments`] on a CUDA device; each row of `from` but for padding stands in one list.
pub(super) fn cuda_sum_segments(
    stream: &Stream,
    to: Tensor,
    accumulate: bool,
    segments: CudaSegments,
    from: Tensor,
    workspace: Address,
) -> Result<()> {
    let sums = CudaSums::new(to, accumulate, from, segments);
    let pieces = pieces(to.rows, from.rows);
    if pieces == 1 {
        return sums.launch(stream);
    }
    let parts = Tensor { at: workspace, rows: to.rows * pieces, storage: Storage::F32, ..to };
    CudaSums { to: parts, accumulate: false, ..sums }.launch_pieces(stream, pieces)?;
    let arguments = [
        to.at.into(),
        workspace.into(),
        accumulate.into(),
        to.rows.into(),
        pieces.into(),
        to.stride().into(),
    ];
    stream.launch_over(JOIN_PIECES, to.storage, to.length() / EIGHT, &arguments)
}
