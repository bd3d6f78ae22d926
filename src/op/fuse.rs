use super::column_sums::{WeightedSums, Weights, slopes_and_sums, weighted_sums};
use super::cuda::row_grid;
use super::segment::{self, cuda_sum_segments, sum_segments};
use super::{
    Activation, Backward, CpuKernel, CudaBackward, CudaForward, CudaKernel, Forward, Init, Keeps, MapEnds,
    MapId, Op, ParameterSpec, Rule, Shape, Tensor,
};
use crate::device::cuda::{Address, Argument, CudaProduct, Kernel, Storage};
use crate::device::{Element, MatRef, column_sums, matmul, sweep_rows};
use crate::{Error, Result};

/// Joins entities in a pair: `y[p] = activation(Σ_m x_m[m(p)] + dense[p] V + b)`.
///
/// Inputs: one tensor a map, `[rows of the map's target, columns]`, then, if
/// `dense`, one of the pairs' own, `[pairs, e]`, with parameter V `[e, columns]`.
/// This is the first layer of a head over concatenated features, W [d; s; dose],
/// with the products Wd d and Ws s taken once an entity instead of once a pair:
/// the same function. Backward, a pair's gradient is summed into its entities.
#[derive(Debug, Clone, PartialEq)]
pub struct Fuse {
    /// From pairs to entities, one an input.
    pub maps: Vec<MapId>,
    /// Whether the last input is a tensor of the pairs.
    pub dense: bool,
    /// Applied to the sum.
    pub activation: Activation,
    /// Variance of the starting values of V.
    pub variance: f64,
}

impl Op for Fuse {
    fn name(&self) -> &'static str {
        "fuse"
    }

    fn shape(&self, inputs: &[Shape], maps: &[MapEnds]) -> Result<Shape, String> {
        let refuse = |what: String| Err(format!("fuse: {what}"));
        let mapped = self.maps.len();
        if mapped == 0 || inputs.len() != mapped + usize::from(self.dense) {
            return refuse(format!("{} inputs for {mapped} maps", inputs.len()));
        }
        let columns = super::same_columns("fuse", &inputs[..mapped])?;
        let space = maps[self.maps[0].0].from;
        for (map, input) in self.maps.iter().zip(inputs) {
            let ends = maps[map.0];
            if ends.from != space || ends.to != input.space {
                return refuse("a map does not join the pairs to its input".into());
            }
        }
        if self.dense && inputs[mapped].space != space {
            return refuse("the dense input is not of the pairs".into());
        }
        Ok(Shape { space, columns })
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let columns = inputs[0].columns;
        let mut parameters = vec![ParameterSpec {
            name: "bias",
            shape: [1, columns],
            init: Init::Constant(0.0),
            decay: false,
            rule: Rule::Optimizer,
        }];
        if self.dense {
            parameters.push(ParameterSpec {
                name: "dense",
                shape: [inputs[self.maps.len()].columns, columns],
                init: Init::Normal(self.variance.sqrt()),
                decay: true,
                rule: Rule::Optimizer,
            });
        }
        parameters
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: self.dense, output: self.activation != Activation::Identity }
    }

    fn multiply_adds(&self, inputs: &[Shape]) -> usize {
        if self.dense { inputs[self.maps.len()].columns * inputs[0].columns } else { 0 }
    }
}

impl<T: Element> CpuKernel<T> for Fuse {
    fn forward(&self, pass: Forward<'_, T>) {
        let columns = pass.columns;
        let bias = pass.parameters[0];
        sweep_rows(
            pass.output,
            columns,
            #[inline(always)]
            |first, block| {
                for (r, row) in block.chunks_exact_mut(columns).enumerate() {
                    let pair = first + r;
                    row.copy_from_slice(bias);
                    for (map, input) in self.maps.iter().zip(pass.inputs) {
                        let entity = pass.rows.map(*map).index[pair] as usize;
                        let input = &input[entity * columns..][..columns];
                        row.iter_mut().zip(input).for_each(|(y, &x)| *y += x);
                    }
                    if self.dense {
                        let dense = pass.inputs[self.maps.len()];
                        let weight = pass.parameters[1];
                        let width = weight.len() / columns;
                        for (&x, weight) in dense[pair * width..].iter().zip(weight.chunks_exact(columns)) {
                            row.iter_mut().zip(weight).for_each(|(y, &w)| *y += x * w);
                        }
                    }
                }
                self.activation.apply(block);
            },
        );
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let columns = pass.columns;
        self.activation.backward_rows(pass.output_gradient, pass.output, columns);
        let gradient = &*pass.output_gradient;
        for (map, input) in self.maps.iter().zip(pass.input_gradients.iter_mut()) {
            if let Some(input) = input {
                let segments = &pass.rows.map(*map).segments;
                sum_segments(input.data, input.accumulate, segments, gradient, columns);
            }
        }
        column_sums(pass.parameter_gradients[0], gradient);
        if self.dense {
            let rows = gradient.len() / columns;
            let gradient = MatRef::new(gradient, rows, columns);
            let width = pass.parameters[1].len() / columns;
            let dense = MatRef::new(pass.inputs[self.maps.len()], rows, width);
            matmul(pass.parameter_gradients[1], dense.t(), gradient, false);
            if let Some(input) = &mut pass.input_gradients[self.maps.len()] {
                let weight = MatRef::new(pass.parameters[1], width, columns);
                matmul(input.data, gradient, weight.t(), input.accumulate);
            }
        }
    }
}

const FORWARD: Kernel = Kernel::new("fuse", "forward");
const DENSE_GRADIENT: Kernel = Kernel::new("fuse", "dense_gradient");

/// Maps that the kernel takes.
const CUDA_MAPS: usize = 4;

/// Whether the dense input's part is a matrix product; else it has one column, or is stored otherwise.
fn is_product(dense: Tensor, joined: Tensor) -> bool {
    dense.columns > 1 && dense.storage == joined.storage
}

impl CudaKernel for Fuse {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        let CudaForward { stream, output, .. } = pass;
        if self.maps.len() > CUDA_MAPS {
            let what = format!("fuse of {} maps; a device takes {CUDA_MAPS}", self.maps.len());
            return Err(Error::Network(what));
        }
        let mut arguments = vec![Argument::from(output.at)];
        for slot in 0..CUDA_MAPS {
            let (x, index) = match self.maps.get(slot) {
                Some(&map) => (pass.inputs[slot].at, pass.batch.map(map)?.index),
                None => (Address::NONE, Address::NONE),
            };
            arguments.extend([Argument::from(x), index.into()]);
        }
        arguments.push(pass.parameters[0].master.into());
        let dense = self.dense.then(|| pass.inputs[self.maps.len()]);
        arguments.extend([
            dense.map_or(Address::NONE, |dense| dense.at).into(),
            dense.is_some_and(|dense| dense.storage == Storage::Bf16).into(),
            dense.map_or(0, |dense| dense.stride()).into(),
            dense.map_or(0, |dense| dense.columns).into(),
            pass.parameters.get(1).map_or(Address::NONE, |weight| weight.master).into(),
            Argument::from(self.activation.number()),
            output.rows.into(),
            output.stride().into(),
        ]);
        let [grid, block] = row_grid(output.rows, output.columns);
        stream.launch(FORWARD, output.storage, grid, block, &arguments)
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        let CudaBackward { stream, precision, output, output_gradient: gradient, workspace, .. } = pass;
        let mapped = self.maps.len();
        let dense = self.dense.then(|| pass.inputs[mapped]);
        let column = |dense: Tensor, d: usize| Weights {
            at: dense.at.offset(d * dense.storage.bytes()),
            stride: dense.stride(),
            storage: dense.storage,
        };
        let weight_row =
            |d: usize| pass.parameter_gradients[1].at.offset(d * gradient.stride() * Storage::F32.bytes());
        // A dose is weighed with the same reading of the gradient as the bias is summed with.
        let one = dense.filter(|dense| dense.columns == 1);
        let weighted = one.map(|dense| WeightedSums { weights: column(dense, 0), to: weight_row(0) });
        let bias = Some(pass.parameter_gradients[0].at);
        slopes_and_sums(stream, gradient, output, self.activation, bias, weighted, workspace)?;
        for (&map, target) in self.maps.iter().zip(pass.input_gradients) {
            let Some((to, accumulate)) = *target else { continue };
            let segments = pass.batch.map(map)?.segments;
            cuda_sum_segments(stream, to, accumulate, segments, gradient, workspace)?;
        }
        let Some(dense) = dense else { return Ok(()) };
        let product =
            |a, b, d, accumulate| CudaProduct { a, b, d, accumulate, bias: None, relu: false, precision };
        if is_product(dense, gradient) {
            let to = pass.parameter_gradients[1].matrix();
            stream.product(&product(dense.matrix().t(), gradient.matrix(), to, false))?;
        } else if dense.columns > 1 {
            for d in 0..dense.columns {
                weighted_sums(stream, gradient, column(dense, d), weight_row(d), workspace)?;
            }
        }
        let Some((to, accumulate)) = pass.input_gradients[mapped] else { return Ok(()) };
        let weight = pass.parameters[1];
        if is_product(dense, gradient) {
            let weight = weight.matrix(gradient.storage).t();
            return stream.product(&product(gradient.matrix(), weight, to.matrix(), accumulate));
        }
        let arguments = [
            to.at.into(),
            (to.storage == Storage::Bf16).into(),
            to.stride().into(),
            gradient.at.into(),
            weight.master.into(),
            to.columns.into(),
            accumulate.into(),
            gradient.rows.into(),
            gradient.columns.into(),
            gradient.stride().into(),
        ];
        stream.launch_over(DENSE_GRADIENT, gradient.storage, 32 * gradient.rows, &arguments)
    }

    fn workspace(&self, rows: usize, columns: usize) -> usize {
        (2 * super::column_sums::workspace(rows, columns)).max(segment::workspace(columns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative, check_kernels};

    #[test]
    fn derivative() {
        for activation in [Activation::Identity, Activation::Tanh] {
            let fuse = |dense| Fuse { maps: vec![MapId(0), MapId(1)], dense, activation, variance: 0.5 };
            check_derivative(Check::new(fuse(false)).mapped(4, 3).mapped(4, 2));
            check_derivative(Check::new(fuse(true)).mapped(4, 3).mapped(4, 6).input(2));
        }
    }

    #[test]
    fn kernels_at_shapes_that_cross_their_tiles() {
        let maps = |n| (0..n).map(MapId).collect::<Vec<_>>();
        let fuse = |n, dense, activation| Fuse { maps: maps(n), dense, activation, variance: 0.1 };
        let two = |dense, activation| Check::new(fuse(2, dense, activation));
        // A dose; lists that are empty, and longer than the warps of a block take at once.
        check_kernels(two(true, Activation::Relu).mapped(261, 90).mapped(261, 2).input(1), 300);
        // Several dense columns, and as many rows as are cut into pieces.
        check_kernels(two(true, Activation::Elu).mapped(70, 1).mapped(70, 5).input(9), 700);
        check_kernels(two(false, Activation::Sigmoid).mapped(70, 1).mapped(70, 40), 1);
        // Rows that are a line apart.
        check_kernels(two(false, Activation::Tanh).mapped(530, 90).mapped(530, 2), 300);
        // One unit is stored in single precision beside a dense input that may not be.
        check_kernels(two(true, Activation::Tanh).mapped(1, 3).mapped(1, 4).input(3), 33);
        check_kernels(
            Check::new(fuse(4, true, Activation::Relu))
                .mapped(9, 3)
                .mapped(9, 4)
                .mapped(9, 2)
                .mapped(9, 8)
                .input(1),
            64,
        );
    }
}
