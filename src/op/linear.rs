use super::column_sums::{self, OuterSlopes, Weights, slopes_and_sums, weighted_sums};
use super::cuda::row_grid;
use super::{
    Activation, Backward, CpuKernel, CudaBackward, CudaForward, CudaKernel, EIGHT, Forward, Init, Keeps, Op,
    ParameterSpec, Rule, Shape, Slopes, Tensor, one_space,
};
use crate::device::cuda::{Address, CudaMatrix, CudaProduct, Kernel};
use crate::device::{Element, MatRef, column_sums, matmul, matmul_then};
use crate::{Error, Result};

/// `y = activation(x Wᵀ + b)`: input `[rows, in]`, weight `[out, in]`, bias `[out]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Columns of the output.
    pub columns: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Applied to the sum.
    pub activation: Activation,
    /// Variance of the starting weights.
    pub variance: f64,
}

impl Linear {
    /// With bias, and weights started for this activation and fan-in.
    pub fn new(fan_in: usize, columns: usize, activation: Activation) -> Self {
        Self { columns, bias: true, activation, variance: activation.weight_variance(fan_in) }
    }
}

/// A weight of this shape and variance, and a bias of so many columns if there is one.
pub(super) fn weight_and_bias(shape: [usize; 2], variance: f64, bias: Option<usize>) -> Vec<ParameterSpec> {
    let weight = ParameterSpec {
        name: "weight",
        shape,
        init: Init::Normal(variance.sqrt()),
        decay: true,
        rule: Rule::Optimizer,
    };
    let bias = bias.map(|columns| ParameterSpec {
        name: "bias",
        shape: [1, columns],
        init: Init::Constant(0.0),
        decay: false,
        rule: Rule::Optimizer,
    });
    [weight].into_iter().chain(bias).collect()
}

/// `output = activation(x weight + bias)`.
pub(super) fn affine<T: Element>(
    output: &mut [T],
    x: MatRef<'_, T>,
    weight: MatRef<'_, T>,
    bias: Option<&[T]>,
    activation: Activation,
) {
    if bias.is_none() && activation == Activation::Identity {
        matmul(output, x, weight, false);
        return;
    }
    matmul_then(
        output,
        x,
        weight,
        #[inline(always)]
        |first, part| {
            if let Some(bias) = bias {
                part.iter_mut().zip(&bias[first..]).for_each(|(y, &b)| *y += b);
            }
            activation.apply(part);
        },
    );
}

/// [`affine`] on a device, with the pass's second parameter as bias, if there is one.
pub(super) fn cuda_affine(
    pass: &CudaForward<'_>,
    x: CudaMatrix,
    weight: CudaMatrix,
    activation: Activation,
) -> Result<()> {
    let CudaForward { stream, precision, output, .. } = *pass;
    let bias = pass.parameters.get(1);
    let in_product = matches!(activation, Activation::Identity | Activation::Relu);
    stream.product(&CudaProduct {
        a: x,
        b: weight,
        d: output.matrix(),
        accumulate: false,
        bias: bias.filter(|_| in_product).map(|bias| bias.copy),
        relu: activation == Activation::Relu,
        precision,
    })?;
    if in_product {
        return Ok(());
    }
    let arguments = [
        output.at.into(),
        bias.map_or(Address::NONE, |bias| bias.master).into(),
        activation.number().into(),
        output.rows.into(),
        output.stride().into(),
        output.columns.into(),
    ];
    let [grid, block] = row_grid(output.rows, output.columns);
    stream.launch(FINISH, output.storage, grid, block, &arguments)
}

impl Op for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn shape(&self, inputs: &[Shape], _maps: &[super::MapEnds]) -> Result<Shape, String> {
        match inputs {
            [x] if x.columns > 0 && self.columns > 0 => {
                Ok(Shape { space: one_space("linear", inputs)?, columns: self.columns })
            }
            [x] => Err(format!("linear: {} columns to {}", x.columns, self.columns)),
            _ => Err(format!("linear takes one input, not {}", inputs.len())),
        }
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        weight_and_bias([self.columns, inputs[0].columns], self.variance, self.bias.then_some(self.columns))
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, output: self.activation != Activation::Identity }
    }

    /// But not where there is one output, whose kernels on a device compute the weight's gradient otherwise.
    fn shares_weight(&self) -> bool {
        self.columns > 1
    }

    fn multiply_adds(&self, inputs: &[Shape]) -> usize {
        inputs[0].columns * self.columns
    }
}

impl<T: Element> CpuKernel<T> for Linear {
    fn forward(&self, pass: Forward<'_, T>) {
        let (x, weight) = (pass.inputs[0], pass.parameters[0]);
        let (columns, rows) = (pass.columns, pass.output.len() / pass.columns);
        let width = weight.len() / columns;
        let (x, weight) = (MatRef::new(x, rows, width), MatRef::new(weight, columns, width));
        affine(pass.output, x, weight.t(), pass.parameters.get(1).copied(), self.activation);
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let (x, weight) = (pass.inputs[0], pass.parameters[0]);
        let (columns, rows) = (pass.columns, pass.output_gradient.len() / pass.columns);
        let width = weight.len() / columns;
        self.activation.backward_rows(pass.output_gradient, pass.output, columns);
        let gradient = MatRef::new(&*pass.output_gradient, rows, columns);
        let x = MatRef::new(x, rows, width);
        matmul(pass.parameter_gradients[0], gradient.t(), x, pass.add_weight);
        if let Some(bias) = pass.parameter_gradients.get_mut(1) {
            column_sums(bias, pass.output_gradient);
        }
        if let Some(input) = &mut pass.input_gradients[0] {
            matmul(input.data, gradient, MatRef::new(weight, columns, width), input.accumulate);
        }
    }
}

const FINISH: Kernel = Kernel::new("linear", "finish");
const ONE_OUTPUT: Kernel = Kernel::new("linear", "one_output");
const ONE_OUTPUT_INPUT: Kernel = Kernel::new("linear", "one_output_input");

/// Rows whose one output a warp computes: `STEPS` of `kernels/crossrx.cuh`.
const WARP_ROWS: usize = 4;

impl CudaKernel for Linear {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        let CudaForward { stream, output, .. } = pass;
        let (x, weight) = (pass.inputs[0], pass.parameters[0]);
        if output.columns == 1 {
            let bias_master = pass.parameters.get(1).map_or(Address::NONE, |bias| bias.master);
            let arguments = [
                output.at.into(),
                x.at.into(),
                weight.master.into(),
                bias_master.into(),
                self.activation.number().into(),
                x.rows.into(),
                x.columns.into(),
                x.stride().into(),
            ];
            return stream.launch_over(ONE_OUTPUT, x.storage, 32 * x.rows.div_ceil(WARP_ROWS), &arguments);
        }
        same_storage(x, output)?;
        let inner = inner(x, pass.fed);
        let (x, weight) = (
            CudaMatrix { columns: inner, ..x.matrix() },
            CudaMatrix { columns: inner, ..weight.matrix(x.storage) }.t(),
        );
        cuda_affine(&pass, x, weight, self.activation)
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        let CudaBackward { stream, precision, output, output_gradient: gradient, workspace, .. } = pass;
        let (x, weight) = (pass.inputs[0], pass.parameters[0]);
        let bias = pass.parameter_gradients.get(1).map(|bias| bias.at);
        if output.columns == 1 {
            slopes_and_sums(stream, gradient, output, self.activation, bias, None, workspace)?;
            if let (Some(before), Some((to, false))) = (pass.slopes_before, pass.input_gradients[0]) {
                let outer = OuterSlopes {
                    to,
                    value: x,
                    gradient,
                    weight: weight.master,
                    activation: before.activation,
                    sum: before.sum,
                    weighted: pass.parameter_gradients[0].at,
                };
                return outer.launch(stream, workspace);
            }
            let weights = Weights { at: gradient.at, stride: gradient.stride(), storage: gradient.storage };
            weighted_sums(stream, x, weights, pass.parameter_gradients[0].at, workspace)?;
            let Some((to, accumulate)) = pass.input_gradients[0] else { return Ok(()) };
            let arguments = [
                to.at.into(),
                gradient.at.into(),
                weight.master.into(),
                accumulate.into(),
                to.rows.into(),
                to.columns.into(),
                to.stride().into(),
            ];
            let [grid, block] = row_grid(to.rows, to.columns);
            return stream.launch(ONE_OUTPUT_INPUT, to.storage, grid, block, &arguments);
        }
        same_storage(x, output)?;
        if !pass.slopes_done {
            slopes_and_sums(stream, gradient, output, self.activation, bias, None, workspace)?;
        }
        let product =
            |a, b, d, accumulate| CudaProduct { a, b, d, accumulate, bias: None, relu: false, precision };
        let inner = inner(x, pass.fed);
        let weight_gradient = CudaMatrix { columns: inner, ..pass.parameter_gradients[0].matrix() };
        let fed = CudaMatrix { columns: inner, ..x.matrix() };
        stream.product(&product(gradient.matrix().t(), fed, weight_gradient, pass.add_weight))?;
        let Some((to, accumulate)) = pass.input_gradients[0] else { return Ok(()) };
        stream.product(&product(gradient.matrix(), weight.matrix(x.storage), to.matrix(), accumulate))
    }

    fn workspace(&self, rows: usize, columns: usize) -> usize {
        2 * column_sums::workspace(rows, columns)
    }

    fn slopes(&self, columns: usize) -> Option<Slopes> {
        let bias = self.bias.then_some(1);
        (columns > 1).then_some(Slopes { activation: self.activation, bias })
    }

    fn does_slopes_before(&self, columns: usize) -> bool {
        columns == 1
    }
}

/// Columns of the input in products: those of features are rounded up, for tensor cores take 16 bytes at a time.
/// There and in the weights are zeros, and so there are in the weights' gradient.
fn inner(x: Tensor, fed: bool) -> usize {
    if fed { x.columns.next_multiple_of(EIGHT) } else { x.columns }
}

/// Refuses a product of numbers that are stored differently: of a layer with one unit in the middle of a network.
fn same_storage(x: Tensor, y: Tensor) -> Result<()> {
    if x.storage == y.storage {
        return Ok(());
    }
    let what =
        format!("a layer of {} units on one of {} needs train.precision = \"fp32\"", y.columns, x.columns);
    Err(Error::Network(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative, check_kernels};

    #[test]
    fn derivative() {
        for activation in [Activation::Identity, Activation::Elu, Activation::Tanh] {
            check_derivative(Check::new(Linear::new(5, 3, activation)).input(5));
            check_derivative(Check::new(Linear { bias: false, ..Linear::new(4, 7, activation) }).input(4));
        }
    }

    #[test]
    fn no_columns_are_refused() {
        let input = |columns| [Shape { space: super::super::SpaceId(0), columns }];
        let shape = |from, to| Linear::new(3, to, Activation::Relu).shape(&input(from), &[]);
        assert_eq!(shape(3, 2).unwrap().columns, 2);
        assert!(shape(3, 0).is_err() && shape(0, 2).is_err());
        assert!(Linear::new(3, 2, Activation::Relu).shape(&[], &[]).is_err());
    }

    #[test]
    fn kernels_at_shapes_that_cross_their_tiles() {
        for (columns, activation) in
            [(70, Activation::Sigmoid), (261, Activation::Relu), (1, Activation::Elu)]
        {
            check_kernels(Check::new(Linear::new(70, columns, activation)).input(70), 300);
        }
        // Rows that are a line apart.
        check_kernels(Check::new(Linear::new(70, 530, Activation::Tanh)).input(70), 300);
    }
}
