use super::column_sums::{self, slopes_and_sums};
use super::linear::{affine, cuda_affine, weight_and_bias};
use super::{
    Activation, Backward, CpuKernel, CudaBackward, CudaForward, CudaKernel, Forward, Keeps, Op,
    ParameterSpec, Shape, Slopes, one_space,
};
use crate::Result;
use crate::device::cuda::CudaProduct;
use crate::device::{Element, MatRef, column_sums, matmul};

/// `y = activation(x W + b)`: input `[rows, in]`, weight `[in, out]`, bias `[out]`. A layer whose weight is
/// laid out as that of a [`super::Linear`] from `out` to `in`, so that a decoder shares its encoder's
/// (`Graph::add_tied`) and none is transposed. Both sides have two columns or more.
#[derive(Debug, Clone, PartialEq)]
pub struct TiedLinear {
    /// Columns of the output.
    pub columns: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Applied to the sum.
    pub activation: Activation,
}

impl TiedLinear {
    /// With bias.
    pub fn new(columns: usize, activation: Activation) -> Self {
        Self { columns, bias: true, activation }
    }
}

impl Op for TiedLinear {
    fn name(&self) -> &'static str {
        "tied linear"
    }

    fn shape(&self, inputs: &[Shape], _maps: &[super::MapEnds]) -> Result<Shape, String> {
        match inputs {
            [x] if x.columns > 1 && self.columns > 1 => {
                Ok(Shape { space: one_space("tied linear", inputs)?, columns: self.columns })
            }
            [x] => Err(format!("tied linear: {} columns to {}, of at least 2", x.columns, self.columns)),
            _ => Err(format!("tied linear takes one input, not {}", inputs.len())),
        }
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let fan_in = inputs[0].columns;
        let variance = self.activation.weight_variance(fan_in);
        weight_and_bias([fan_in, self.columns], variance, self.bias.then_some(self.columns))
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, output: self.activation != Activation::Identity }
    }

    fn shares_weight(&self) -> bool {
        true
    }

    fn multiply_adds(&self, inputs: &[Shape]) -> usize {
        inputs[0].columns * self.columns
    }
}

impl<T: Element> CpuKernel<T> for TiedLinear {
    fn forward(&self, pass: Forward<'_, T>) {
        let (x, weight) = (pass.inputs[0], pass.parameters[0]);
        let (columns, rows) = (pass.columns, pass.output.len() / pass.columns);
        let width = weight.len() / columns;
        let (x, weight) = (MatRef::new(x, rows, width), MatRef::new(weight, width, columns));
        affine(pass.output, x, weight, pass.parameters.get(1).copied(), self.activation);
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let (x, weight) = (pass.inputs[0], pass.parameters[0]);
        let (columns, rows) = (pass.columns, pass.output_gradient.len() / pass.columns);
        let width = weight.len() / columns;
        self.activation.backward_rows(pass.output_gradient, pass.output, columns);
        let gradient = MatRef::new(&*pass.output_gradient, rows, columns);
        let x = MatRef::new(x, rows, width);
        matmul(pass.parameter_gradients[0], x.t(), gradient, pass.add_weight);
        if let Some(bias) = pass.parameter_gradients.get_mut(1) {
            column_sums(bias, pass.output_gradient);
        }
        if let Some(input) = &mut pass.input_gradients[0] {
            matmul(input.data, gradient, MatRef::new(weight, width, columns).t(), input.accumulate);
        }
    }
}

impl CudaKernel for TiedLinear {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        let (x, weight) = (pass.inputs[0], pass.parameters[0]);
        cuda_affine(&pass, x.matrix(), weight.matrix(x.storage), self.activation)
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        let CudaBackward { stream, precision, output, output_gradient: gradient, workspace, .. } = pass;
        let (x, weight) = (pass.inputs[0], pass.parameters[0]);
        if !pass.slopes_done {
            let bias = pass.parameter_gradients.get(1).map(|bias| bias.at);
            slopes_and_sums(stream, gradient, output, self.activation, bias, None, workspace)?;
        }
        let product =
            |a, b, d, accumulate| CudaProduct { a, b, d, accumulate, bias: None, relu: false, precision };
        let weight_gradient = pass.parameter_gradients[0].matrix();
        stream.product(&product(x.matrix().t(), gradient.matrix(), weight_gradient, pass.add_weight))?;
        let Some((to, accumulate)) = pass.input_gradients[0] else { return Ok(()) };
        stream.product(&product(gradient.matrix(), weight.matrix(x.storage).t(), to.matrix(), accumulate))
    }

    fn workspace(&self, rows: usize, columns: usize) -> usize {
        2 * column_sums::workspace(rows, columns)
    }

    fn slopes(&self, _columns: usize) -> Option<Slopes> {
        Some(Slopes { activation: self.activation, bias: self.bias.then_some(1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative, check_kernels};

    #[test]
    fn derivative() {
        for activation in [Activation::Identity, Activation::Elu, Activation::Tanh] {
            check_derivative(Check::new(TiedLinear::new(3, activation)).input(5));
            check_derivative(
                Check::new(TiedLinear { bias: false, ..TiedLinear::new(7, activation) }).input(4),
            );
        }
    }

    #[test]
    fn kernels_at_shapes_that_cross_their_tiles() {
        check_kernels(Check::new(TiedLinear::new(261, Activation::Relu)).input(70), 300);
        // Rows that are a line apart.
        check_kernels(Check::new(TiedLinear::new(530, Activation::Sigmoid)).input(70), 300);
    }

    #[test]
    fn fewer_than_two_columns_are_refused() {
        let input = |columns| [Shape { space: super::super::SpaceId(0), columns }];
        let shape = |from, to| TiedLinear::new(to, Activation::Relu).shape(&input(from), &[]);
        assert_eq!(shape(3, 2).unwrap().columns, 2);
        assert!(shape(3, 1).is_err() && shape(1, 2).is_err());
        assert!(TiedLinear::new(2, Activation::Relu).shape(&[], &[]).is_err());
    }
}
