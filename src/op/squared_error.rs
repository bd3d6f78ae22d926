use super::loss::{cuda_loss, cuda_loss_backward, loss_backward, loss_shape};
use super::{Backward, CpuKernel, CudaBackward, CudaForward, CudaKernel, Forward, Keeps, MapEnds, Op, Shape};
use crate::Result;
use crate::device::Element;
use crate::device::cuda::Kernel;

/// `(prediction - truth)²` of each row; inputs prediction and truth. The mean
/// over a batch is taken by the one who seeds the gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SquaredError;

impl Op for SquaredError {
    fn name(&self) -> &'static str {
        "squared error"
    }

    fn shape(&self, inputs: &[Shape], _maps: &[MapEnds]) -> Result<Shape, String> {
        loss_shape("squared error", inputs)
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, output: false }
    }
}

impl<T: Element> CpuKernel<T> for SquaredError {
    fn forward(&self, pass: Forward<'_, T>) {
        let rows = pass.inputs[0].iter().zip(pass.inputs[1]);
        pass.output.iter_mut().zip(rows).for_each(|(loss, (&p, &t))| *loss = (p - t) * (p - t));
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let two = T::of(2.0);
        loss_backward(pass, |error| two * error);
    }
}

const FORWARD: Kernel = Kernel::new("squared_error", "forward");
const BACKWARD: Kernel = Kernel::new("squared_error", "backward");

impl CudaKernel for SquaredError {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        cuda_loss(pass, FORWARD, &[])
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        cuda_loss_backward(pass, BACKWARD, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative, check_kernels};

    #[test]
    fn derivative() {
        check_derivative(Check::new(SquaredError).input(1).input(1));
    }

    #[test]
    fn kernels_at_more_rows_than_a_block_takes() {
        check_kernels(Check::new(SquaredError).input(1).input(1), 300);
    }
}
