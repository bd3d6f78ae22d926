use super::loss::{loss_backward, loss_shape};
use super::{Backward, CpuKernel, Forward, Keeps, MapEnds, Op, Shape};
use crate::device::Element;

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

impl super::CudaKernel for SquaredError {
    fn cuda_forward(&self, _pass: super::CudaForward<'_>) -> crate::Result<()> {
        Err(crate::Error::Device("not there yet".into()))
    }

    fn cuda_backward(&self, _pass: super::CudaBackward<'_>) -> crate::Result<()> {
        Err(crate::Error::Device("not there yet".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative};

    #[test]
    fn derivative() {
        check_derivative(Check::new(SquaredError).input(1).input(1));
    }
}
