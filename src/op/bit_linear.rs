use super::column_sums::{self as device_sums, slopes_and_sums};
use super::linear::weight_and_bias;
use super::segment::{CudaSums, sum_segments};
use super::{
    Activation, Backward, BitsEnds, BitsId, CpuKernel, CudaBackward, CudaForward, CudaKernel, Forward, Keeps,
    MapEnds, Op, ParameterSpec, Shape, Tensor,
};
use crate::Result;
use crate::device::cuda::{Address, Storage};
use crate::device::{Element, column_sums, sweep_rows};

/// `y = activation(x W + b)` of rows x of zeros and ones: a row's sum of the
/// rows of W, `[in, out]`, at its ones. It takes no tensor; the ones come with
/// the batch. The weight lies as that of an embedding bag does, the transpose of a
/// linear layer's. Where one bit in fifty is set, this is a fiftieth of the
/// product's additions, forward and in the weight's gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct BitLinear {
    /// The input.
    pub bits: BitsId,
    /// What the input holds.
    pub ends: BitsEnds,
    /// Columns of the output.
    pub columns: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Applied to the sum.
    pub activation: Activation,
    /// Variance of the starting weights.
    pub variance: f64,
}

impl Op for BitLinear {
    fn name(&self) -> &'static str {
        "bit linear"
    }

    fn shape(&self, inputs: &[Shape], _maps: &[MapEnds]) -> Result<Shape, String> {
        match inputs {
            [] if self.ends.columns > 0 && self.columns > 0 => {
                Ok(Shape { space: self.ends.space, columns: self.columns })
            }
            [] => Err(format!("bit linear: {} columns to {}", self.ends.columns, self.columns)),
            _ => Err(format!("bit linear takes no tensor, not {}", inputs.len())),
        }
    }

    fn parameters(&self, _inputs: &[Shape]) -> Vec<ParameterSpec> {
        let shape = [self.ends.columns, self.columns];
        weight_and_bias(shape, self.variance, self.bias.then_some(self.columns))
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: false, output: self.activation != Activation::Identity }
    }
}

impl<T: Element> CpuKernel<T> for BitLinear {
    fn forward(&self, pass: Forward<'_, T>) {
        let columns = pass.columns;
        let bias = pass.parameters.get(1);
        let ones = &pass.rows.bits(self.bits).ones;
        sum_segments(pass.output, false, ones, pass.parameters[0], columns);
        if bias.is_none() && self.activation == Activation::Identity {
            return;
        }
        sweep_rows(
            pass.output,
            columns,
            #[inline(always)]
            |_, block| {
                if let Some(bias) = bias {
                    for row in block.chunks_exact_mut(columns) {
                        row.iter_mut().zip(*bias).for_each(|(y, &b)| *y += b);
                    }
                }
                self.activation.apply(block);
            },
        );
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let columns = pass.columns;
        self.activation.backward_rows(pass.output_gradient, pass.output, columns);
        let by_column = &pass.rows.bits(self.bits).by_column;
        sum_segments(pass.parameter_gradients[0], false, by_column, pass.output_gradient, columns);
        if let Some(bias) = pass.parameter_gradients.get_mut(1) {
            column_sums(bias, pass.output_gradient);
        }
    }
}

/// Ones that a row of a table of bits is taken to have, and a column: the device is not told.
const LIKELY_ONES: [usize; 2] = [64, 1024];

impl CudaKernel for BitLinear {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        let (output, weight) = (pass.output, pass.parameters[0]);
        let bits = pass.batch.bits(self.bits)?;
        // A single unit is computed in single precision whatever the rest is.
        let at = if output.storage == Storage::F32 { weight.master } else { weight.copy };
        let from = Tensor { at, rows: weight.rows, ..output };
        CudaSums {
            which: bits.entity,
            bias: pass.parameters.get(1).map_or(Address::NONE, |bias| bias.master),
            activation: self.activation,
            likely: LIKELY_ONES[0],
            ..CudaSums::new(output, false, from, bits.ones)
        }
        .launch(pass.stream)
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        let CudaBackward { stream, output, output_gradient: gradient, workspace, .. } = pass;
        let bits = pass.batch.bits(self.bits)?;
        let bias = pass.parameter_gradients.get(1).map(|bias| bias.at);
        slopes_and_sums(stream, gradient, output, self.activation, bias, None, workspace)?;
        let weight = pass.parameter_gradients[0];
        let to = Tensor { at: weight.at, rows: weight.rows, storage: Storage::F32, ..gradient };
        let sums = CudaSums::new(to, false, gradient, bits.by_column);
        CudaSums { through: bits.row, likely: LIKELY_ONES[1], ..sums }.launch(stream)
    }

    fn workspace(&self, rows: usize, columns: usize) -> usize {
        device_sums::workspace(rows, columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::check_network;
    use crate::graph::check_cuda::{Held, check_cuda};
    use crate::graph::{CpuPlan, Graph, NodeId, Parameters, Purpose};
    use crate::op::{Linear, Step};
    use std::sync::Arc;

    const WIDTH: usize = 7;
    const STEP: Step = Step { seed: 1, number: 0 };

    /// A layer on bits, or on the same zeros and ones as numbers, and a sum over its columns.
    fn network(bits: bool, columns: usize) -> (Graph, NodeId, Vec<NodeId>) {
        let mut graph = Graph::new();
        let space = graph.space("drugs");
        let activation = Activation::Tanh;
        let (layer, fed) = if bits {
            let (id, ends) = graph.bits(space, WIDTH);
            let op = BitLinear { bits: id, ends, columns, bias: true, activation, variance: 0.5 };
            (graph.add("layer", op, &[]).unwrap(), vec![])
        } else {
            let x = graph.input(space, WIDTH);
            let op = Linear { columns, bias: true, activation, variance: 0.5 };
            (graph.add("layer", op, &[x]).unwrap(), vec![x])
        };
        let out = graph.add("out", Linear::new(columns, 1, Activation::Identity), &[layer]).unwrap();
        (graph, out, fed)
    }

    #[test]
    fn derivative() {
        for columns in [3, 70] {
            let (graph, out, fed) = network(true, columns);
            check_network(graph, out, &fed, &[5]);
        }
    }

    #[test]
    fn kernels_at_shapes_that_cross_their_tiles() {
        for (columns, rows) in [(261, 300), (70, 1), (1, 65)] {
            let (graph, out, fed) = network(true, columns);
            check_cuda(&Arc::new(graph), out, &fed, &[rows + 2], &[rows], Held::Each);
        }
    }

    #[test]
    fn it_is_the_linear_layer_of_the_same_numbers() {
        const ROWS: usize = 40;
        let columns = 70;
        let one = |row: usize, column: usize| (row * 5 + column * column) % 4 == 1;
        let run = |bits: bool, parameters: &Parameters<f64>| {
            let (graph, out, fed) = network(bits, columns);
            let mut plan = CpuPlan::<f64>::new(Arc::new(graph), Purpose::Train, out, &[], &[ROWS]).unwrap();
            let rows = plan.rows_mut();
            rows.count[0] = ROWS;
            if let Some(table) = rows.bits.first_mut() {
                table.ones.clear();
                for row in 0..ROWS {
                    let ones: Vec<u32> = (0..WIDTH as u32).filter(|&c| one(row, c as usize)).collect();
                    table.ones.push(&ones);
                }
                table.invert(WIDTH);
            }
            for &input in &fed {
                let (values, _) = plan.input_mut(input).unwrap();
                for (i, v) in values.iter_mut().enumerate() {
                    *v = f64::from(u8::from(one(i / WIDTH, i % WIDTH)));
                }
            }
            let mut gradients = plan.gradients().unwrap();
            plan.forward(parameters, STEP);
            let output = plan.output().to_vec();
            plan.backward(parameters, &mut gradients, 1.0, STEP, &mut |_, _| ());
            let layer = parameters.layout().iter().position(|p| p.name == "layer.weight").unwrap();
            (output, gradients.of(layer).to_vec())
        };
        let mut dense = Parameters::<f64>::start(&network(false, columns).0, 3).unwrap();
        let bits = Parameters::<f64>::start(&network(true, columns).0, 3).unwrap();
        // The same weights: those of the dense layer are the others, transposed.
        let place =
            |p: &Parameters<f64>, name: &str| p.layout().iter().find(|l| l.name == name).unwrap().range.start;
        let (to, from) = (place(&dense, "layer.weight"), place(&bits, "layer.weight"));
        for (c, o) in (0..WIDTH).flat_map(|c| (0..columns).map(move |o| (c, o))) {
            dense.values_mut()[to + o * WIDTH + c] = bits.values()[from + c * columns + o];
        }
        let (to, from) = (place(&dense, "out.weight"), place(&bits, "out.weight"));
        for o in 0..columns {
            dense.values_mut()[to + o] = bits.values()[from + o];
        }
        let ((expected, dense_gradient), (output, gradient)) = (run(false, &dense), run(true, &bits));
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12 * (1.0 + a.abs()), "{a} {b}");
        expected.iter().zip(&output).for_each(|(&a, &b)| close(a, b));
        for (c, o) in (0..WIDTH).flat_map(|c| (0..columns).map(move |o| (c, o))) {
            close(dense_gradient[o * WIDTH + c], gradient[c * columns + o]);
        }
    }
}
