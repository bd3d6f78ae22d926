use super::{Activation, Backward, CpuKernel, Forward, Init, Keeps, Op, ParameterSpec, Shape, one_space};
use crate::device::{Element, MatRef, column_sums, matmul, matmul_then};

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
    let weight = ParameterSpec { name: "weight", shape, init: Init::Normal(variance.sqrt()), decay: true };
    let bias = bias.map(|columns| ParameterSpec {
        name: "bias",
        shape: [1, columns],
        init: Init::Constant(0.0),
        decay: false,
    });
    [weight].into_iter().chain(bias).collect()
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
        let bias = pass.parameters.get(1);
        if bias.is_none() && self.activation == Activation::Identity {
            matmul(pass.output, x, weight.t(), false);
            return;
        }
        matmul_then(
            pass.output,
            x,
            weight.t(),
            #[inline(always)]
            |first, part| {
                if let Some(bias) = bias {
                    part.iter_mut().zip(&bias[first..]).for_each(|(y, &b)| *y += b);
                }
                self.activation.apply(part);
            },
        );
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let (x, weight) = (pass.inputs[0], pass.parameters[0]);
        let (columns, rows) = (pass.columns, pass.output_gradient.len() / pass.columns);
        let width = weight.len() / columns;
        self.activation.backward_rows(pass.output_gradient, pass.output, columns);
        let gradient = MatRef::new(&*pass.output_gradient, rows, columns);
        matmul(pass.parameter_gradients[0], gradient.t(), MatRef::new(x, rows, width), false);
        if let Some(bias) = pass.parameter_gradients.get_mut(1) {
            column_sums(bias, pass.output_gradient);
        }
        if let Some(input) = &mut pass.input_gradients[0] {
            matmul(input.data, gradient, MatRef::new(weight, columns, width), input.accumulate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative};

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
}
