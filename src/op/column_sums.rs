//! Sums over rows on a CUDA device: `kernels/column_sums.cu`.

use super::{Activation, CudaParameterGradient, EIGHT, Tensor, stride};
use crate::Result;
use crate::device::cuda::{Address, Kernel, Storage, Stream};

const SLOPES: Kernel = Kernel::new("column_sums", "slopes");
const WEIGHTED: Kernel = Kernel::new("column_sums", "weighted");
const FINISH: Kernel = Kernel::new("column_sums", "finish");

/// Rows that one block sums.
const ROWS: usize = 128;
/// Threads of a block, `[x, y]`.
const BLOCK: [usize; 2] = [32, 8];

/// Bytes of the parts of a sum over `rows` rows of `columns` columns.
pub(super) fn workspace(rows: usize, columns: usize) -> usize {
    rows.div_ceil(ROWS) * stride(columns) * Storage::F32.bytes()
}

fn grid(tensor: Tensor) -> [usize; 2] {
    [tensor.stride().div_ceil(BLOCK[0] * EIGHT), tensor.rows.div_ceil(ROWS)]
}

/// Turns `gradient`, that of `value`, into that of the argument of `activation`, in place, and sums its
/// rows into `sum`, if there is one.
pub(super) fn slopes_and_sums(
    stream: &Stream,
    gradient: Tensor,
    value: Tensor,
    activation: Activation,
    sum: Option<CudaParameterGradient>,
    workspace: Address,
) -> Result<()> {
    if sum.is_none() && activation == Activation::Identity {
        return Ok(());
    }
    let parts = if sum.is_some() { workspace } else { Address::NONE };
    let arguments = [
        gradient.at.into(),
        value.at.into(),
        activation.number().into(),
        parts.into(),
        gradient.rows.into(),
        gradient.stride().into(),
    ];
    stream.launch(SLOPES, gradient.storage, grid(gradient), BLOCK, &arguments)?;
    sum.map_or(Ok(()), |sum| finish(stream, gradient, sum.at, workspace))
}

/// Sums the rows of `from`, each times its weight, single-precision numbers `weight_stride` apart, into `to`.
pub(super) fn weighted_sums(
    stream: &Stream,
    from: Tensor,
    weight: Address,
    weight_stride: usize,
    to: Address,
    workspace: Address,
) -> Result<()> {
    let arguments = [
        from.at.into(),
        weight.into(),
        weight_stride.into(),
        workspace.into(),
        from.rows.into(),
        from.stride().into(),
    ];
    stream.launch(WEIGHTED, from.storage, grid(from), BLOCK, &arguments)?;
    finish(stream, from, to, workspace)
}

/// Adds the parts of all blocks of a sum over the rows of `from` into `to`.
fn finish(stream: &Stream, from: Tensor, to: Address, workspace: Address) -> Result<()> {
    let arguments = [
        to.into(),
        workspace.into(),
        from.rows.div_ceil(ROWS).into(),
        from.columns.into(),
        from.stride().into(),
    ];
    stream.launch(FINISH, Storage::F32, [from.columns.div_ceil(BLOCK[0]), 1], BLOCK, &arguments)
}
