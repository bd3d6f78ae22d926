use super::cuda::row_grid;
use super::{
    Backward, CpuKernel, CudaBackward, CudaForward, CudaKernel, Forward, Keeps, MapEnds, Op, Shape, Tensor,
    one_space,
};
use crate::Result;
use crate::device::cuda::{Argument, Kernel, Storage, Stream};
use crate::device::{Element, sweep_rows};

/// `y = [x_1, x_2, ...]`, side by side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Concat;

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn shape(&self, inputs: &[Shape], _maps: &[MapEnds]) -> Result<Shape, String> {
        let space = one_space("concat", inputs)?;
        Ok(Shape { space, columns: inputs.iter().map(|i| i.columns).sum() })
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, output: false }
    }
}

impl<T: Element> CpuKernel<T> for Concat {
    fn forward(&self, pass: Forward<'_, T>) {
        let rows = pass.output.len() / pass.columns;
        sweep_rows(pass.output, pass.columns, |first, block| {
            for (r, mut row) in block.chunks_exact_mut(pass.columns).enumerate() {
                for input in pass.inputs {
                    let width = input.len() / rows;
                    let (part, rest) = row.split_at_mut(width);
                    part.copy_from_slice(&input[(first + r) * width..][..width]);
                    row = rest;
                }
            }
        });
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let columns = pass.columns;
        let rows = pass.output_gradient.len() / columns;
        let gradient = &*pass.output_gradient;
        let mut offset = 0;
        for (input, target) in pass.inputs.iter().zip(pass.input_gradients.iter_mut()) {
            let width = input.len() / rows.max(1);
            if let Some(target) = target {
                target.put_rows(width, |row| &gradient[row * columns + offset..][..width]);
            }
            offset += width;
        }
    }
}

const COPIED: Kernel = Kernel::new("concat", "copied");

/// Columns of a tensor, from the first on.
type Part = (Tensor, usize);

fn copy(stream: &Stream, to: Part, from: Part, accumulate: bool, columns: usize) -> Result<()> {
    let mut arguments = Vec::with_capacity(11);
    for (tensor, first) in [to, from] {
        let is_bf16 = tensor.storage == Storage::Bf16;
        arguments.extend([Argument::from(tensor.at), is_bf16.into(), tensor.stride().into(), first.into()]);
    }
    let rows = to.0.rows;
    arguments.extend([Argument::from(accumulate), rows.into(), columns.into()]);
    let [grid, block] = row_grid(rows, columns);
    stream.launch(COPIED, from.0.storage, grid, block, &arguments)
}

impl CudaKernel for Concat {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        let mut offset = 0;
        for &input in pass.inputs {
            copy(pass.stream, (pass.output, offset), (input, 0), false, input.columns)?;
            offset += input.columns;
        }
        Ok(())
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        let mut offset = 0;
        for (input, target) in pass.inputs.iter().zip(pass.input_gradients) {
            if let Some((to, accumulate)) = *target {
                copy(pass.stream, (to, 0), (pass.output_gradient, offset), accumulate, to.columns)?;
            }
            offset += input.columns;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative, check_kernels};

    #[test]
    fn derivative() {
        check_derivative(Check::new(Concat).input(4).input(1).input(3));
    }

    #[test]
    fn kernels_at_shapes_that_cross_their_tiles() {
        check_kernels(Check::new(Concat).input(70).input(1).input(261), 300);
        check_kernels(Check::new(Concat).input(1), 33);
    }
}
