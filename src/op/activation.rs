use crate::device::{Element, sweep_rows};
use serde::{Deserialize, Serialize};

/// A pointwise function whose derivative follows from its value, so that
/// nothing but the output is kept for the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// x
    Identity,
    /// max(x, 0)
    #[default]
    Relu,
    /// x, or exp(x) - 1 below zero
    Elu,
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
}

impl Activation {
    /// Applies the function to every value.
    #[inline(always)]
    pub fn apply<T: Element>(self, values: &mut [T]) {
        let one = T::one();
        match self {
            Activation::Identity => {}
            Activation::Relu => {
                values.iter_mut().for_each(|v| *v = if *v < T::zero() { T::zero() } else { *v })
            }
            Activation::Elu => values.iter_mut().filter(|v| **v < T::zero()).for_each(|v| *v = v.exp_m1()),
            Activation::Tanh => values.iter_mut().for_each(|v| *v = v.tanh()),
            Activation::Sigmoid => values.iter_mut().for_each(|v| *v = one / (one + (-*v).exp())),
        }
    }

    /// Turns the gradient of the output into that of the argument, given the output.
    #[inline(always)]
    pub fn backward<T: Element>(self, gradient: &mut [T], output: &[T]) {
        let (zero, one) = (T::zero(), T::one());
        let pairs = gradient.iter_mut().zip(output);
        match self {
            Activation::Identity => {}
            Activation::Relu => pairs.for_each(|(g, &y)| *g = if y <= zero { zero } else { *g }),
            Activation::Elu => pairs.for_each(|(g, &y)| *g *= if y < zero { y + one } else { one }),
            Activation::Tanh => pairs.for_each(|(g, &y)| *g *= one - y * y),
            Activation::Sigmoid => pairs.for_each(|(g, &y)| *g *= y * (one - y)),
        }
    }

    /// [`Self::backward`] over all rows, `[rows, columns]`, in parallel. The
    /// identity reads no output.
    pub fn backward_rows<T: Element>(self, gradient: &mut [T], output: &[T], columns: usize) {
        if self == Activation::Identity {
            return;
        }
        sweep_rows(
            gradient,
            columns,
            #[inline(always)]
            |first, block| {
                let from = first * columns;
                self.backward(block, &output[from..from + block.len()]);
            },
        );
    }

    /// Its number in `kernels/crossrx.cuh`.
    pub(super) fn number(self) -> u32 {
        self as u32
    }

    /// Variance of the weights that keeps the variance of what passes through:
    /// 2 / fan-in for rectifiers (He et al. 2015), 1 / fan-in otherwise (LeCun et al. 1998).
    pub fn weight_variance(self, fan_in: usize) -> f64 {
        let gain = if matches!(self, Activation::Relu | Activation::Elu) { 2.0 } else { 1.0 };
        gain / fan_in.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides_a_value_that_is_not_a_number() {
        use Activation::*;
        for activation in [Identity, Relu, Elu, Tanh, Sigmoid] {
            let mut v = [f32::NAN];
            activation.apply(&mut v);
            let mut gradient = [1.0];
            activation.backward(&mut gradient, &v);
            assert!(v[0].is_nan() && (gradient[0].is_nan() || gradient[0] == 1.0), "{activation:?}");
        }
    }

    #[test]
    fn derivatives_from_the_output_match_central_differences() {
        use Activation::*;
        for activation in [Identity, Relu, Elu, Tanh, Sigmoid] {
            for x in [-2.3, -0.4, 0.3, 1.7] {
                let at = |x: f64| {
                    let mut v = [x];
                    activation.apply(&mut v);
                    v[0]
                };
                let mut gradient = [1.0];
                activation.backward(&mut gradient, &[at(x)]);
                let h = 1e-6;
                let difference = (at(x + h) - at(x - h)) / (2.0 * h);
                assert!((gradient[0] - difference).abs() < 1e-8, "{activation:?} at {x}");
            }
        }
    }
}
