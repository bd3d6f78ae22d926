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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cuda::HostDriver;
    use crate::graph::check_cuda::{download, feed};

    /// Lists of these lengths of rows below `rows`, in no order.
    fn lists(lengths: &[usize], rows: usize) -> Segments {
        let mut segments = Segments::default();
        segments.clear();
        for (list, &length) in lengths.iter().enumerate() {
            let of = |i: usize| ((i * i * 7 + list * 13 + i) % rows) as u32;
            segments.push(&(0..length).map(of).collect::<Vec<_>>());
        }
        segments
    }

    /// Sums on both, with every number of warps to a list; `through` as [`CudaSums`] has it.
    fn compare(lengths: &[usize], columns: usize, storage: Storage, through: Option<&[u32]>) {
        const ROWS: usize = 97;
        // Whole numbers and halves of them, which bfloat16 holds.
        let value = |i: usize| ((i * 31 + 7) % 64) as f32 - 32.0;
        let values: Vec<f32> = (0..ROWS * columns).map(value).collect();
        let segments = lists(lengths, ROWS);
        let mut expected: Vec<f32> = (0..lengths.len() * columns).map(|i| (i % 5) as f32).collect();
        let start = expected.clone();
        let mut seen = Segments::default();
        seen.clear();
        for list in 0..lengths.len() {
            let row = |&entry: &u32| through.map_or(entry, |through| through[entry as usize]);
            let list = segments.of(list).iter().map(row).filter(|&row| row != u32::MAX);
            seen.push(&list.collect::<Vec<_>>());
        }
        sum_segments(&mut expected, true, &seen, &values, columns);

        let stream = HostDriver::stream();
        let (starts, order) =
            (stream.holding(&segments.start).unwrap(), stream.holding(&segments.order).unwrap());
        let segments = CudaSegments { start: starts.at(), order: order.at() };
        let through = through.map(|through| stream.holding(through).unwrap());
        let held = stream.zeros(ROWS * stride(columns) * 4).unwrap();
        let from = Tensor { at: held.at(), rows: ROWS, columns, storage };
        feed(&stream, from, &values);
        for (pieces, likely) in [0, 9, 17, 33, 200].into_iter().flat_map(|n| [(1, n), (3, n)]) {
            let held = stream.zeros(lengths.len() * pieces * stride(columns) * 4).unwrap();
            let to = Tensor { at: held.at(), rows: lengths.len(), columns, storage: Storage::F32 };
            let accumulate = pieces == 1;
            if accumulate {
                feed(&stream, to, &start);
            }
            let sums = CudaSums {
                through: through.as_ref().map_or(Address::NONE, |held| held.at()),
                likely: likely * pieces,
                ..CudaSums::new(Tensor { rows: to.rows * pieces, ..to }, accumulate, from, segments)
            };
            sums.launch_pieces(&stream, pieces).unwrap();
            let parts = download(&stream, sums.to, to.rows * pieces);
            for (i, &expected) in expected.iter().enumerate() {
                let (list, column) = (i / columns, i % columns);
                let parts = (0..pieces).map(|piece| parts[(list * pieces + piece) * columns + column]);
                let got = parts.sum::<f32>() + if accumulate { 0.0 } else { start[i] };
                // Sums of whole numbers are exact in any order.
                assert_eq!(got, expected, "list {list}, column {column}, {pieces} pieces, {likely} likely");
            }
        }
    }

    #[test]
    fn a_device_sums_lists_of_any_length_with_any_number_of_warps() {
        let lengths: Vec<usize> = (0..37).map(|i| [0, 1, 2, 5, 63, 64, 65, 300][i % 8]).collect();
        for storage in [Storage::F32, Storage::Bf16] {
            compare(&lengths, 261, storage, None);
            compare(&[4], 8, storage, None);
            compare(&[0, 0, 700], 70, storage, None);
        }
    }

    #[test]
    fn entries_without_a_row_are_left_out() {
        let through: Vec<u32> =
            (0..97).map(|entry| if entry % 3 == 0 { u32::MAX } else { 96 - entry }).collect();
        for storage in [Storage::F32, Storage::Bf16] {
            compare(&[0, 1, 17, 130, 3], 70, storage, Some(&through));
        }
    }

    #[test]
    fn few_lists_are_cut_into_pieces_that_fit_the_workspace() {
        for (lists, rows) in [(1, 1 << 16), (59, 1 << 16), (127, 1 << 20), (5, 300), (0, 0), (400, 1 << 16)] {
            let pieces = pieces(lists, rows);
            assert!(pieces >= 1 && (pieces == 1 || pieces * lists <= 2 * FEW_LISTS), "{lists} lists");
        }
        assert_eq!([pieces(1, 1 << 16), pieces(59, 1 << 16), pieces(479, 1 << 16)], [256, 4, 1]);
        assert_eq!([0, 4, 8, 50, 64, 1 << 20].map(sharing), [1, 1, 2, 8, 16, 16]);
    }
}
