//! Ops, one a file: the rule for its shape, its derivative, its CPU kernel.
//!
//! Every tensor is the rows of one *space* (pairs, drugs, samples) by its
//! columns, row-major. Spaces are joined by *maps*: each row of one space
//! names a row of another. An op reads tensors and its own parameters and
//! writes one tensor; going backward it receives the gradient of that tensor,
//! which it may overwrite, and writes those of its inputs and parameters.
//! Kernels are generic over `Element`, so every derivative is checked in f64.

mod activation;
mod add;
mod bit_linear;
mod center_loss;
#[cfg(test)]
mod center_loss_tests;
mod column_sums;
mod concat;
mod cuda;
mod dropout;
mod fuse;
mod gather;
mod huber;
mod layer_norm;
mod linear;
mod loss;
mod mean;
mod prove;
mod reconstruction_error;
mod rows;
mod segment;
mod squared_error;
mod tied_linear;

pub use activation::Activation;
pub use add::Add;
pub use bit_linear::BitLinear;
pub use center_loss::CenterLoss;
pub use concat::Concat;
pub use cuda::{
    CudaBackward, CudaBits, CudaForward, CudaKernel, CudaMap, CudaParameter, CudaParameterGradient, CudaPass,
    CudaRows, CudaSegments, EIGHT, Slopes, SlopesBefore, Tensor, stride,
};
pub use dropout::Dropout;
pub use fuse::Fuse;
pub use gather::Gather;
pub use huber::Huber;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mean::Mean;
pub use prove::prove;
pub use reconstruction_error::{ReconstructionError, ReconstructionLoss};
pub use rows::{BitRows, RowMap, Rows, Segments};
pub use squared_error::SquaredError;
pub use tied_linear::TiedLinear;

use crate::device::{Element, sweep_rows};

/// A set of rows whose number is known only when a batch is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpaceId(pub usize);

/// A map from the rows of one space to the rows of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MapId(pub usize);

/// The two spaces that a map joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapEnds {
    /// Where every row names one row of `to`.
    pub from: SpaceId,
    /// Where a row may be named by many rows, or none.
    pub to: SpaceId,
}

/// A table of zeros and ones that is fed by the places of its ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BitsId(pub usize);

/// What a table of bits holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitsEnds {
    /// Whose rows it has.
    pub space: SpaceId,
    /// Bits a row.
    pub columns: usize,
}

/// The rows of `space` by `columns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Which rows.
    pub space: SpaceId,
    /// Values a row.
    pub columns: usize,
}

/// How a parameter starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All the same value.
    Constant(f64),
    /// Normal with mean zero and this standard deviation.
    Normal(f64),
}

/// How training changes a parameter by its gradient.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Rule {
    /// As the deck's optimiser does, at its learning rate.
    #[default]
    Optimizer,
    /// By plain gradient descent, whatever the optimiser: `w -= rate g`, without weight decay, momentum or
    /// schedule. For what has a rate of its own, such as the class centers of Wen et al. 2016.
    Descent {
        /// Constant; finite and not negative.
        rate: f64,
    },
}

/// A matrix that training changes.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterSpec {
    /// Last part of its name, such as `weight`.
    pub name: &'static str,
    /// `[rows, columns]`.
    pub shape: [usize; 2],
    /// Starting values.
    pub init: Init,
    /// Whether weight decay applies: to matrices, not to biases and gains.
    pub decay: bool,
    /// What moves it.
    pub rule: Rule,
}

/// Which tensors the derivative of an op reads again, and so must be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeps {
    /// Its inputs.
    pub inputs: bool,
    /// Its output.
    pub output: bool,
}

/// What identifies one pass through a network: random bits depend on this and
/// on the row's number in the dataset, never on rank or thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The training's seed.
    pub seed: u64,
    /// Steps taken before this one.
    pub number: u64,
}

/// What a forward kernel reads and writes.
pub struct Forward<'a, T> {
    /// One slice an input, the rows of its space by its columns.
    pub inputs: &'a [&'a [T]],
    /// One slice a parameter, as [`Op::parameters`] lists them.
    pub parameters: &'a [&'a [T]],
    /// `[rows, columns]`, to be written whole.
    pub output: &'a mut [T],
    /// Columns of the output.
    pub columns: usize,
    /// Row counts, maps and row numbers of this batch.
    pub rows: &'a Rows,
    /// This pass.
    pub step: Step,
    /// Number of this op in its network.
    pub node: usize,
}

/// Where a backward kernel puts the gradient of one input.
pub struct InputGradient<'a, T> {
    /// The rows of the input's space by its columns.
    pub data: &'a mut [T],
    /// Whether another op has already written here, so that this one adds.
    pub accumulate: bool,
}

impl<T: Element> InputGradient<'_, T> {
    /// Sets or adds to each row, `[columns]`, what `of` gives for it.
    fn put_rows<'g>(&mut self, columns: usize, of: impl Fn(usize) -> &'g [T] + Sync)
    where
        T: 'g,
    {
        let accumulate = self.accumulate;
        sweep_rows(
            self.data,
            columns,
            #[inline(always)]
            |first, block| {
                for (row, into) in (first..).zip(block.chunks_exact_mut(columns)) {
                    if accumulate {
                        into.iter_mut().zip(of(row)).for_each(|(x, &g)| *x += g);
                    } else {
                        into.copy_from_slice(of(row));
                    }
                }
            },
        );
    }
}

/// What a backward kernel reads and writes.
pub struct Backward<'a, 'd, T> {
    /// As in [`Forward`]; empty slices where [`Op::keeps`] says they are not read.
    pub inputs: &'a [&'a [T]],
    /// As in [`Forward`].
    pub parameters: &'a [&'a [T]],
    /// The tensor that forward wrote; empty where [`Op::keeps`] says it is not read.
    pub output: &'a [T],
    /// Gradient of the output; nothing reads it after this kernel.
    pub output_gradient: &'a mut [T],
    /// One an input, `None` where nothing before it learns.
    pub input_gradients: &'a mut [Option<InputGradient<'d, T>>],
    /// One a parameter, to be written whole.
    pub parameter_gradients: &'a mut [&'d mut [T]],
    /// Whether another op that has the first parameter too has written its gradient, so that this one
    /// adds. Only where [`Op::shares_weight`] says that it can.
    pub add_weight: bool,
    /// Columns of the output.
    pub columns: usize,
    /// As in [`Forward`].
    pub rows: &'a Rows,
    /// As in [`Forward`].
    pub step: Step,
    /// As in [`Forward`].
    pub node: usize,
}

/// The kernels of an op on the CPU.
pub trait CpuKernel<T: Element> {
    /// Computes the output.
    fn forward(&self, pass: Forward<'_, T>);
    /// Computes the gradients of inputs and parameters.
    fn backward(&self, pass: Backward<'_, '_, T>);
}

/// One operation of a network.
pub trait Op: CpuKernel<f32> + CpuKernel<f64> + CudaKernel + std::fmt::Debug + Send + Sync {
    /// Its name in messages and timings.
    fn name(&self) -> &'static str;
    /// The shape of the output, or in words why these inputs do not fit.
    fn shape(&self, inputs: &[Shape], maps: &[MapEnds]) -> Result<Shape, String>;
    /// The parameters it owns, given its inputs.
    fn parameters(&self, _inputs: &[Shape]) -> Vec<ParameterSpec> {
        Vec::new()
    }
    /// What its derivative reads again.
    fn keeps(&self) -> Keeps;
    /// Whether its first parameter may be another op's too: its kernels heed [`Backward::add_weight`].
    fn shares_weight(&self) -> bool {
        false
    }
    /// Whether the output is the first input when nothing learns, so that a
    /// scoring plan leaves the op out.
    fn passes_through_when_scoring(&self) -> bool {
        false
    }
    /// Multiply-adds of the forward pass for each row of the output.
    fn multiply_adds(&self, _inputs: &[Shape]) -> usize {
        0
    }
}

/// A number in which every op has kernels.
pub trait Number: Element {
    /// The kernels of `op` in this number.
    fn kernel(op: &dyn Op) -> &dyn CpuKernel<Self>;
}

impl Number for f32 {
    fn kernel(op: &dyn Op) -> &dyn CpuKernel<f32> {
        op
    }
}

impl Number for f64 {
    fn kernel(op: &dyn Op) -> &dyn CpuKernel<f64> {
        op
    }
}

/// The most inputs, or parameters, that one op may have.
pub const MAX_OPERANDS: usize = 8;

fn one_space(op: &str, inputs: &[Shape]) -> Result<SpaceId, String> {
    let first = inputs.first().ok_or_else(|| format!("{op} has no input"))?;
    match inputs.iter().find(|i| i.space != first.space) {
        Some(_) => Err(format!("{op}: its inputs are rows of different spaces")),
        None => Ok(first.space),
    }
}

fn same_columns(op: &str, inputs: &[Shape]) -> Result<usize, String> {
    let columns = inputs.first().map_or(0, |i| i.columns);
    match inputs.iter().find(|i| i.columns != columns) {
        Some(other) => Err(format!("{op}: {columns} columns against {}", other.columns)),
        None => Ok(columns),
    }
}
