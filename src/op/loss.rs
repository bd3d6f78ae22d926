//! What losses of (prediction, truth) have in common.

use super::{Backward, InputGradient, Shape, one_space, same_columns};
use crate::device::Element;

/// The shape of the loss: that of prediction and truth.
pub(super) fn loss_shape(op: &str, inputs: &[Shape]) -> Result<Shape, String> {
    if inputs.len() != 2 {
        return Err(format!("{op} takes prediction and truth, not {} inputs", inputs.len()));
    }
    Ok(Shape { space: one_space(op, inputs)?, columns: same_columns(op, inputs)? })
}

/// The way back, given the derivative of the loss by the error.
pub(super) fn loss_backward<T: Element>(pass: Backward<'_, '_, T>, slope: impl Fn(T) -> T) {
    let (prediction, truth) = (pass.inputs[0], pass.inputs[1]);
    let signs = [T::one(), -T::one()];
    for (input, sign) in pass.input_gradients.iter_mut().zip(signs) {
        let Some(InputGradient { data, accumulate }) = input else { continue };
        for (((d, &g), &p), &t) in data.iter_mut().zip(&*pass.output_gradient).zip(prediction).zip(truth) {
            let value = sign * g * slope(p - t);
            *d = if *accumulate { *d + value } else { value };
        }
    }
}
