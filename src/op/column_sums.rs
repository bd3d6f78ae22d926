//! Sums over rows on a CUDA device: `kernels/column_sums.cu`.

use super::{Activation, EIGHT, Tensor, stride};
use crate::Result;
use crate::device::cuda::{Address, Kernel, Storage, Stream};

const SLOPES: Kernel = Kernel::new("column_sums", "slopes");
const OUTER_SLOPES: Kernel = Kernel::new("column_sums", "outer_slopes");
const WEIGHTED: Kernel = Kernel::new("column_sums", "weighted");
const NORMALISED: Kernel = Kernel::new("column_sums", "normalised");
const FINISH: Kernel = Kernel::new("column_sums", "finish");

/// Rows that one block sums.
const ROWS: usize = 128;
/// Threads of a block, `[x, y]`.
const BLOCK: [usize; 2] = [32, 8];
/// Threads of a block that adds parts.
const FINISH_BLOCK: [usize; 2] = [32, 32];

/// Bytes of the parts of a sum over `rows` rows of `columns` columns.
pub(super) fn workspace(rows: usize, columns: usize) -> usize {
    rows.div_ceil(ROWS) * stride(columns) * Storage::F32.bytes()
}

fn grid(tensor: Tensor) -> [usize; 2] {
    [tensor.stride().div_ceil(BLOCK[0] * EIGHT), tensor.rows.div_ceil(ROWS)]
}

/// Numbers by which rows are weighed: the first column of a tensor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    /// The first.
    pub at: Address,
    /// Numbers from one to the next.
    pub stride: usize,
    /// How they are stored.
    pub storage: Storage,
}

/// What [`slopes_and_sums`] sums besides: rows of one column in single precision, weighed by `weights`.
#[derive(Debug, Clone, Copy)]
pub(super) struct WeightedSums {
    /// In single precision.
    pub weights: Weights,
    /// Where the sums go.
    pub to: Address,
}

/// Turns `gradient`, that of `value`, into that of the argument of `activation`, in place, and sums its
/// rows into `sum`, if there is one, and weighted into that of `weighted`. The workspace holds the
/// parts of as many sums.
pub(super) fn slopes_and_sums(
    stream: &Stream,
    gradient: Tensor,
    value: Tensor,
    activation: Activation,
    sum: Option<Address>,
    weighted: Option<WeightedSums>,
    workspace: Address,
) -> Result<()> {
    if sum.is_none() && weighted.is_none() && activation == Activation::Identity {
        return Ok(());
    }
    let parts = if sum.is_some() { workspace } else { Address::NONE };
    let weighted_parts = workspace.offset(self::workspace(gradient.rows, gradient.columns));
    let weight = weighted.map(|weighted| weighted.weights);
    let arguments = [
        gradient.at.into(),
        value.at.into(),
        activation.number().into(),
        parts.into(),
        weight.map_or(Address::NONE, |weight| weight.at).into(),
        weight.map_or(0, |weight| weight.stride).into(),
        weighted_parts.into(),
        gradient.rows.into(),
        gradient.stride().into(),
    ];
    stream.launch(SLOPES, gradient.storage, grid(gradient), BLOCK, &arguments)?;
    if let Some(sum) = sum {
        finish(stream, gradient, sum, workspace)?;
    }
    weighted.map_or(Ok(()), |weighted| finish(stream, gradient, weighted.to, weighted_parts))
}

/// The way back through a layer of one output and the activation before it, in one reading of its input.
#[derive(Debug, Clone, Copy)]
pub(super) struct OuterSlopes {
    /// Set to the outer product of `gradient` and `weight`, as the gradient of the argument of `activation`.
    pub to: Tensor,
    /// What the activation gave: the layer's input.
    pub value: Tensor,
    /// Of the layer's output, one column in single precision.
    pub gradient: Tensor,
    /// The layer's, in single precision.
    pub weight: Address,
    /// What gave `value`.
    pub activation: Activation,
    /// Where the sums of the rows of `to` go, if anywhere.
    pub sum: Option<Address>,
    /// Where the sums of the rows of `value` go, each times its gradient.
    pub weighted: Address,
}

impl OuterSlopes {
    /// Puts it on the stream. The workspace holds the parts of two sums.
    pub fn launch(&self, stream: &Stream, workspace: Address) -> Result<()> {
        let Self { to, value, gradient, .. } = *self;
        let parts = workspace.offset(self::workspace(to.rows, to.columns));
        let arguments = [
            to.at.into(),
            value.at.into(),
            gradient.at.into(),
            self.weight.into(),
            self.activation.number().into(),
            self.sum.map_or(Address::NONE, |_| parts).into(),
            workspace.into(),
            to.rows.into(),
            to.stride().into(),
        ];
        stream.launch(OUTER_SLOPES, to.storage, grid(to), BLOCK, &arguments)?;
        finish(stream, value, self.weighted, workspace)?;
        self.sum.map_or(Ok(()), |sum| finish(stream, to, sum, parts))
    }
}

/// Sums the rows of `from`, each times its weight, into `to`.
pub(super) fn weighted_sums(
    stream: &Stream,
    from: Tensor,
    weights: Weights,
    to: Address,
    workspace: Address,
) -> Result<()> {
    let arguments = [
        from.at.into(),
        weights.at.into(),
        (weights.storage == Storage::Bf16).into(),
        weights.stride.into(),
        workspace.into(),
        from.rows.into(),
        from.stride().into(),
    ];
    stream.launch(WEIGHTED, from.storage, grid(from), BLOCK, &arguments)?;
    finish(stream, from, to, workspace)
}

/// Sums the rows of `gradient` into `sum`, and into `normal` each times the row of `x`, scaled to mean zero
/// and variance one by `scales`: mean and inverse deviation of each. The workspace holds the parts of two sums.
pub(super) fn normalised_sums(
    stream: &Stream,
    gradient: Tensor,
    x: Tensor,
    scales: Address,
    [sum, normal]: [Address; 2],
    workspace: Address,
) -> Result<()> {
    let normal_parts = workspace.offset(self::workspace(gradient.rows, gradient.columns));
    let arguments = [
        gradient.at.into(),
        x.at.into(),
        scales.into(),
        workspace.into(),
        normal_parts.into(),
        gradient.rows.into(),
        gradient.stride().into(),
    ];
    stream.launch(NORMALISED, gradient.storage, grid(gradient), BLOCK, &arguments)?;
    finish(stream, gradient, sum, workspace)?;
    finish(stream, gradient, normal, normal_parts)
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
    stream.launch(FINISH, Storage::F32, [from.columns.div_ceil(FINISH_BLOCK[0]), 1], FINISH_BLOCK, &arguments)
}
