use super::cuda::put;
use super::{
    Backward, CpuKernel, CudaBackward, CudaForward, CudaKernel, Forward, Keeps, MapEnds, Op, Shape,
    one_space, same_columns,
};
use crate::Result;
use crate::device::{Element, sweep_rows};

/// `y = x_1 + x_2 + ...`: a residual connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Add;

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn shape(&self, inputs: &[Shape], _maps: &[MapEnds]) -> Result<Shape, String> {
        Ok(Shape { space: one_space("add", inputs)?, columns: same_columns("add", inputs)? })
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: false, output: false }
    }
}

impl<T: Element> CpuKernel<T> for Add {
    fn forward(&self, pass: Forward<'_, T>) {
        sweep_rows(
            pass.output,
            pass.columns,
            #[inline(always)]
            |first, block| {
                let from = first * pass.columns;
                block.copy_from_slice(&pass.inputs[0][from..from + block.len()]);
                for input in &pass.inputs[1..] {
                    block.iter_mut().zip(&input[from..]).for_each(|(y, &x)| *y += x);
                }
            },
        );
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let gradient = &*pass.output_gradient;
        for input in pass.input_gradients.iter_mut().flatten() {
            input.put_rows(pass.columns, |row| &gradient[row * pass.columns..][..pass.columns]);
        }
    }
}

impl CudaKernel for Add {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        let inputs = pass.inputs.iter().enumerate();
        inputs.into_iter().try_for_each(|(i, input)| put(pass.stream, pass.output, *input, i > 0))
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        let inputs = pass.input_gradients.iter().flatten();
        inputs
            .into_iter()
            .try_for_each(|&(to, accumulate)| put(pass.stream, to, pass.output_gradient, accumulate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative, check_kernels};

    #[test]
    fn derivative() {
        check_derivative(Check::new(Add).input(4).input(4).input(4));
    }

    #[test]
    fn kernels_at_shapes_that_cross_their_tiles() {
        check_kernels(Check::new(Add).input(261).input(261), 300);
    }
}
