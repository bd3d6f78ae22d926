use super::loss::{loss_backward, loss_shape};
use super::{Backward, CpuKernel, Forward, Keeps, MapEnds, Op, Shape};
use crate::device::Element;

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

impl super::CudaKernel for Huber {
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
        check_derivative(Check::new(Huber { delta: 0.7 }).input(1).input(1));
    }
}
