use super::{
    Backward, CpuKernel, CudaBackward, CudaForward, CudaKernel, EIGHT, Forward, Keeps, MapEnds, Op, Shape,
    Tensor, one_space, same_columns,
};
use crate::Result;
use crate::device::cuda::{Kernel, Stream};
use crate::device::{Element, sweep_rows};

/// `y = (x_1 + x_2 + ... + x_n) / n`: what the members of an ensemble say together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean;

impl Op for Mean {
    fn name(&self) -> &'static str {
        "mean"
    }

    fn shape(&self, inputs: &[Shape], _maps: &[MapEnds]) -> Result<Shape, String> {
        Ok(Shape { space: one_space("mean", inputs)?, columns: same_columns("mean", inputs)? })
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: false, output: false }
    }
}

fn share<T: Element>(inputs: usize) -> T {
    T::of(1.0 / inputs as f64)
}

impl<T: Element> CpuKernel<T> for Mean {
    fn forward(&self, pass: Forward<'_, T>) {
        let share = share::<T>(pass.inputs.len());
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
                block.iter_mut().for_each(|y| *y *= share);
            },
        );
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let share = share::<T>(pass.input_gradients.len());
        let gradient = pass.output_gradient;
        gradient.iter_mut().for_each(|g| *g *= share);
        for input in pass.input_gradients.iter_mut().flatten() {
            input.put_rows(pass.columns, |row| &gradient[row * pass.columns..][..pass.columns]);
        }
    }
}

const PART: Kernel = Kernel::new("mean", "part");

fn part(stream: &Stream, to: Tensor, from: Tensor, share: f32, accumulate: bool) -> Result<()> {
    let eights = to.length() / EIGHT;
    let arguments = [to.at.into(), from.at.into(), share.into(), eights.into(), accumulate.into()];
    stream.launch_over(PART, to.storage, eights, &arguments)
}

impl CudaKernel for Mean {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        let share = share(pass.inputs.len());
        let mut inputs = pass.inputs.iter().enumerate();
        inputs.try_for_each(|(i, input)| part(pass.stream, pass.output, *input, share, i > 0))
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        let share = share(pass.input_gradients.len());
        let mut inputs = pass.input_gradients.iter().flatten();
        inputs
            .try_for_each(|&(to, accumulate)| part(pass.stream, to, pass.output_gradient, share, accumulate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative, check_kernels};

    #[test]
    fn derivative() {
        check_derivative(Check::new(Mean).input(4).input(4).input(4));
    }

    #[test]
    fn kernels_at_shapes_that_cross_their_tiles() {
        check_kernels(Check::new(Mean).input(261).input(261), 300);
        check_kernels(Check::new(Mean).input(1).input(1).input(1), 300);
    }
}
