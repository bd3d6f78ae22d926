use super::loss::{cuda_loss, cuda_loss_backward, loss_backward, loss_shape};
use super::{Backward, CpuKernel, CudaBackward, CudaForward, CudaKernel, Forward, Keeps, MapEnds, Op, Shape};
use crate::Result;
use crate::device::Element;
use crate::device::cuda::Kernel;

/// Huber's loss of each row (1964): `e² / 2` up to an error of `delta`, and
/// `delta (|e| - delta / 2)` beyond; inputs prediction and truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Huber {
    /// Where the square turns into a line.
    pub delta: f64,
}

impl Op for Huber {
    fn name(&self) -> &'static str {
        "huber"
    }

    fn shape(&self, inputs: &[Shape], _maps: &[MapEnds]) -> Result<Shape, String> {
        loss_shape("huber", inputs)
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, output: false }
    }
}

impl<T: Element> CpuKernel<T> for Huber {
    fn forward(&self, pass: Forward<'_, T>) {
        let (delta, half) = (T::of(self.delta), T::of(0.5));
        let rows = pass.inputs[0].iter().zip(pass.inputs[1]);
        for (loss, (&p, &t)) in pass.output.iter_mut().zip(rows) {
            let error = (p - t).abs();
            *loss = if error <= delta { half * error * error } else { delta * (error - half * delta) };
        }
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let delta = T::of(self.delta);
        loss_backward(pass, |error| {
            if error > delta {
                delta
            } else if error < -delta {
                -delta
            } else {
                error
            }
        });
    }
}

const FORWARD: Kernel = Kernel::new("huber", "forward");
const BACKWARD: Kernel = Kernel::new("huber", "backward");

impl CudaKernel for Huber {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        cuda_loss(pass, FORWARD, &[(self.delta as f32).into()])
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        cuda_loss_backward(pass, BACKWARD, &[(self.delta as f32).into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative, check_kernels};

    #[test]
    fn derivative() {
        check_derivative(Check::new(Huber { delta: 0.7 }).input(1).input(1));
    }

    #[test]
    fn kernels_at_more_rows_than_a_block_takes() {
        check_kernels(Check::new(Huber { delta: 0.7 }).input(1).input(1), 300);
    }
}
