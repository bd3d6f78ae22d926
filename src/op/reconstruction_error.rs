use super::cuda::row_grid;
use super::loss::sum_over_columns;
use super::{
    Backward, CpuKernel, CudaBackward, CudaForward, CudaKernel, Forward, Keeps, MapEnds, Op, Shape,
    one_space, same_columns,
};
use crate::Result;
use crate::device::cuda::Kernel;
use crate::device::{Element, sweep_costly_rows, sweep_rows};
use serde::{Deserialize, Serialize};

/// How far a value is from what it is to reconstruct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReconstructionLoss {
    /// `(r - x)²`.
    #[default]
    Mse,
    /// Binary cross-entropy of `x`, from 0 to 1, under the probability whose logit is `r`:
    /// `max(r, 0) - r x + ln(1 + exp(-|r|))`, which overflows nowhere.
    Bce,
}

/// The mean over columns of the loss of each value of a row, times `weight`: inputs reconstruction and
/// what it reconstructs, `[rows, n]` both; output `[rows, 1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReconstructionError {
    /// Of each value.
    pub loss: ReconstructionLoss,
    /// What the mean is multiplied by.
    pub weight: f64,
}

impl Op for ReconstructionError {
    fn name(&self) -> &'static str {
        "reconstruction error"
    }

    fn shape(&self, inputs: &[Shape], _maps: &[MapEnds]) -> Result<Shape, String> {
        let op = "reconstruction error";
        if inputs.len() != 2 || inputs[0].columns == 0 {
            return Err(format!("{op} takes a reconstruction and what it reconstructs, of a column or more"));
        }
        same_columns(op, inputs)?;
        Ok(Shape { space: one_space(op, inputs)?, columns: 1 })
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, output: false }
    }
}

impl ReconstructionLoss {
    #[inline(always)]
    fn of<T: Element>(self, r: T, x: T) -> T {
        match self {
            ReconstructionLoss::Mse => (r - x) * (r - x),
            ReconstructionLoss::Bce => r.max(T::zero()) - r * x + (-r.abs()).exp().ln_1p(),
        }
    }

    /// Derivative by the reconstruction.
    #[inline(always)]
    fn slope<T: Element>(self, r: T, x: T) -> T {
        match self {
            ReconstructionLoss::Mse => T::of(2.0) * (r - x),
            ReconstructionLoss::Bce => T::one() / (T::one() + (-r).exp()) - x,
        }
    }

    /// Derivative by what is reconstructed.
    #[inline(always)]
    fn slope_of_truth<T: Element>(self, r: T, x: T) -> T {
        match self {
            ReconstructionLoss::Mse => T::of(2.0) * (x - r),
            ReconstructionLoss::Bce => -r,
        }
    }
}

impl<T: Element> CpuKernel<T> for ReconstructionError {
    fn forward(&self, pass: Forward<'_, T>) {
        let columns = pass.inputs[0].len() / pass.output.len().max(1);
        let scale = T::of(self.weight / columns.max(1) as f64);
        let (loss, r, x) = (self.loss, pass.inputs[0], pass.inputs[1]);
        sweep_costly_rows(
            pass.output,
            1,
            2 * columns,
            #[inline(always)]
            |first, block| {
                for (row, error) in (first..).zip(block) {
                    let own = row * columns..(row + 1) * columns;
                    let sum = sum_over_columns(
                        &r[own.clone()],
                        &x[own],
                        #[inline(always)]
                        |r, x| loss.of(r, x),
                    );
                    *error = scale * sum;
                }
            },
        );
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let columns = pass.inputs[0].len() / pass.output_gradient.len().max(1);
        let scale = T::of(self.weight / columns.max(1) as f64);
        let (loss, r, x) = (self.loss, pass.inputs[0], pass.inputs[1]);
        let gradient = &*pass.output_gradient;
        for (number, target) in pass.input_gradients.iter_mut().enumerate() {
            let Some(target) = target else { continue };
            let accumulate = target.accumulate;
            sweep_rows(
                target.data,
                columns,
                #[inline(always)]
                |first, block| {
                    for (row, into) in (first..).zip(block.chunks_exact_mut(columns)) {
                        let scale = scale * gradient[row];
                        let from = row * columns;
                        let both = r[from..from + columns].iter().zip(&x[from..]);
                        for (d, (&r, &x)) in into.iter_mut().zip(both) {
                            let slope =
                                if number == 0 { loss.slope(r, x) } else { loss.slope_of_truth(r, x) };
                            *d = if accumulate { *d + scale * slope } else { scale * slope };
                        }
                    }
                },
            );
        }
    }
}

const FORWARD: Kernel = Kernel::new("reconstruction_error", "forward");
const BACKWARD: Kernel = Kernel::new("reconstruction_error", "backward");

impl CudaKernel for ReconstructionError {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        let (r, x) = (pass.inputs[0], pass.inputs[1]);
        let arguments = [
            pass.output.at.into(),
            r.at.into(),
            x.at.into(),
            (self.loss == ReconstructionLoss::Bce).into(),
            ((self.weight / r.columns as f64) as f32).into(),
            r.rows.into(),
            r.columns.into(),
            r.stride().into(),
        ];
        pass.stream.launch_over(FORWARD, r.storage, 32 * r.rows, &arguments)
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        let (r, x) = (pass.inputs[0], pass.inputs[1]);
        for (number, target) in pass.input_gradients.iter().enumerate() {
            let Some((to, accumulate)) = *target else { continue };
            let arguments = [
                to.at.into(),
                pass.output_gradient.at.into(),
                r.at.into(),
                x.at.into(),
                (self.loss == ReconstructionLoss::Bce).into(),
                (number == 1).into(),
                ((self.weight / r.columns as f64) as f32).into(),
                accumulate.into(),
                to.rows.into(),
                to.stride().into(),
            ];
            let [grid, block] = row_grid(to.rows, to.columns);
            pass.stream.launch(BACKWARD, to.storage, grid, block, &arguments)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative, check_kernels};

    const MSE: ReconstructionError = ReconstructionError { loss: ReconstructionLoss::Mse, weight: 1.0 };
    const BCE: ReconstructionError = ReconstructionError { loss: ReconstructionLoss::Bce, weight: 1.7 };

    #[test]
    fn derivative() {
        for op in [MSE, BCE] {
            check_derivative(Check::new(op).input(5).input(5));
            check_derivative(Check::new(op).input(1).input(1));
        }
    }

    #[test]
    fn kernels_at_shapes_that_cross_their_tiles() {
        for (op, columns, rows) in [(MSE, 261, 300), (BCE, 261, 300), (MSE, 530, 3), (BCE, 70, 1)] {
            check_kernels(Check::new(op).input(columns).input(columns), rows);
        }
    }

    #[test]
    fn cross_entropy_is_that_of_the_probability_and_overflows_nowhere() {
        let of = |r: f64, x: f64| ReconstructionLoss::Bce.of(r, x);
        for (r, x) in [(0.3, 0.2), (-1.7, 1.0), (2.5, 0.0)] {
            let p = 1.0 / (1.0 + f64::exp(-r));
            let expected = -(x * p.ln() + (1.0 - x) * (1.0 - p).ln());
            assert!((of(r, x) - expected).abs() < 1e-12, "{r} {x}");
        }
        let single = |r: f32, x: f32| ReconstructionLoss::Bce.of(r, x);
        assert_eq!([single(1e30, 1.0), single(-1e30, 0.0), single(200.0, 0.0)], [0.0, 0.0, 200.0]);
        assert_eq!(ReconstructionLoss::Bce.slope(-1e30f32, 0.0), 0.0);
    }

    #[test]
    fn other_columns_are_refused() {
        let shape = |columns| Shape { space: crate::op::SpaceId(0), columns };
        assert_eq!(MSE.shape(&[shape(4), shape(4)], &[]).unwrap().columns, 1);
        assert!(MSE.shape(&[shape(4), shape(3)], &[]).is_err() && MSE.shape(&[shape(4)], &[]).is_err());
        assert!(MSE.shape(&[shape(0), shape(0)], &[]).is_err());
    }
}
