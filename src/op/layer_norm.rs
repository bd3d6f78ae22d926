use super::column_sums::{self as device_sums, normalised_sums};
use super::{
    Backward, CpuKernel, CudaBackward, CudaForward, CudaKernel, Forward, Init, Keeps, MapEnds, Op,
    ParameterSpec, Rule, Shape,
};
use crate::Result;
use crate::device::cuda::{Address, Kernel, Storage};
use crate::device::{Element, column_sums, sweep_rows};

/// Each row scaled to mean zero and variance one, then `gain * x + bias`
/// (Ba, Kiros and Hinton 2016). Rows do not mix, so the result for an entity
/// does not depend on the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNorm;

const EPSILON: f64 = 1e-5;

#[inline(always)]
fn mean_and_inverse_deviation<T: Element>(row: &[T]) -> (T, T) {
    let n = T::of(row.len() as f64);
    let mean = row.iter().fold(T::zero(), |sum, &x| sum + x) / n;
    let variance = row.iter().fold(T::zero(), |sum, &x| sum + (x - mean) * (x - mean)) / n;
    (mean, T::one() / (variance + T::of(EPSILON)).sqrt())
}

impl Op for LayerNorm {
    fn name(&self) -> &'static str {
        "layer norm"
    }

    fn shape(&self, inputs: &[Shape], _maps: &[MapEnds]) -> Result<Shape, String> {
        match inputs {
            [x] => Ok(*x),
            _ => Err(format!("layer norm takes one input, not {}", inputs.len())),
        }
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let row = |name, start| ParameterSpec {
            name,
            shape: [1, inputs[0].columns],
            init: Init::Constant(start),
            decay: false,
            rule: Rule::Optimizer,
        };
        vec![row("weight", 1.0), row("bias", 0.0)]
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, output: false }
    }
}

impl<T: Element> CpuKernel<T> for LayerNorm {
    fn forward(&self, pass: Forward<'_, T>) {
        let columns = pass.columns;
        let (gain, bias) = (pass.parameters[0], pass.parameters[1]);
        sweep_rows(
            pass.output,
            columns,
            #[inline(always)]
            |first, block| {
                for (r, row) in block.chunks_exact_mut(columns).enumerate() {
                    let input = &pass.inputs[0][(first + r) * columns..][..columns];
                    let (mean, inverse) = mean_and_inverse_deviation(input);
                    for (((y, &x), &g), &b) in row.iter_mut().zip(input).zip(gain).zip(bias) {
                        *y = (x - mean) * inverse * g + b;
                    }
                }
            },
        );
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let columns = pass.columns;
        let (input, gain) = (pass.inputs[0], pass.parameters[0]);
        column_sums(pass.parameter_gradients[1], pass.output_gradient);
        let n = T::of(columns as f64);
        if let Some(target) = &mut pass.input_gradients[0] {
            let accumulate = target.accumulate;
            let gradient = &*pass.output_gradient;
            sweep_rows(
                target.data,
                columns,
                #[inline(always)]
                |first, block| {
                    for (r, row) in block.chunks_exact_mut(columns).enumerate() {
                        let at = (first + r) * columns;
                        let (x, dy) = (&input[at..at + columns], &gradient[at..at + columns]);
                        let (mean, inverse) = mean_and_inverse_deviation(x);
                        let (mut sum, mut along) = (T::zero(), T::zero());
                        for ((&x, &dy), &g) in x.iter().zip(dy).zip(gain) {
                            sum += dy * g;
                            along += dy * g * (x - mean) * inverse;
                        }
                        for (((dx, &x), &dy), &g) in row.iter_mut().zip(x).zip(dy).zip(gain) {
                            let d = inverse * (dy * g - (sum + (x - mean) * inverse * along) / n);
                            *dx = if accumulate { *dx + d } else { d };
                        }
                    }
                },
            );
        }
        // The gain's gradient sums dy times the scaled input, which takes dy's place.
        sweep_rows(
            pass.output_gradient,
            columns,
            #[inline(always)]
            |first, block| {
                for (r, row) in block.chunks_exact_mut(columns).enumerate() {
                    let x = &input[(first + r) * columns..][..columns];
                    let (mean, inverse) = mean_and_inverse_deviation(x);
                    row.iter_mut().zip(x).for_each(|(dy, &x)| *dy *= (x - mean) * inverse);
                }
            },
        );
        column_sums(pass.parameter_gradients[0], pass.output_gradient);
    }
}

const FORWARD: Kernel = Kernel::new("layer_norm", "forward");
const BACKWARD: Kernel = Kernel::new("layer_norm", "backward");

/// Bytes of mean and inverse deviation of so many rows.
fn scale_bytes(rows: usize) -> usize {
    (2 * rows * Storage::F32.bytes()).next_multiple_of(256)
}

impl CudaKernel for LayerNorm {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        let (x, output) = (pass.inputs[0], pass.output);
        let arguments = [
            output.at.into(),
            x.at.into(),
            pass.parameters[0].master.into(),
            pass.parameters[1].master.into(),
            x.rows.into(),
            x.columns.into(),
            x.stride().into(),
        ];
        pass.stream.launch_over(FORWARD, x.storage, 32 * x.rows, &arguments)
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        let CudaBackward { stream, output_gradient: gradient, workspace, .. } = pass;
        let x = pass.inputs[0];
        let target = pass.input_gradients[0];
        let arguments = [
            target.map_or(Address::NONE, |(to, _)| to.at).into(),
            target.is_some_and(|(_, accumulate)| accumulate).into(),
            gradient.at.into(),
            x.at.into(),
            pass.parameters[0].master.into(),
            workspace.into(),
            x.rows.into(),
            x.columns.into(),
            x.stride().into(),
        ];
        stream.launch_over(BACKWARD, x.storage, 32 * x.rows, &arguments)?;
        let [gain, bias] = [0, 1].map(|p| pass.parameter_gradients[p].at);
        let parts = workspace.offset(scale_bytes(x.rows));
        normalised_sums(stream, gradient, x, workspace, [bias, gain], parts)
    }

    fn workspace(&self, rows: usize, columns: usize) -> usize {
        scale_bytes(rows) + 2 * device_sums::workspace(rows, columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative, check_kernels};

    #[test]
    fn derivative() {
        check_derivative(Check::new(LayerNorm).input(6));
    }

    #[test]
    fn kernels_at_shapes_that_cross_their_tiles() {
        for (columns, rows) in [(261, 300), (70, 129), (8, 1), (515, 3)] {
            check_kernels(Check::new(LayerNorm).input(columns), rows);
        }
    }
}
