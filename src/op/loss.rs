//! What losses of (prediction, truth) have in common.

use super::{Backward, CudaBackward, CudaForward, InputGradient, Shape, Tensor, one_space, same_columns};
use crate::device::Element;
use crate::device::cuda::{Argument, Kernel, Storage};
use crate::{Error, Result};

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

/// Runs `kernel` on a CUDA device: loss, prediction, truth, `constants`, rows.
pub(super) fn cuda_loss(pass: CudaForward<'_>, kernel: Kernel, constants: &[Argument]) -> Result<()> {
    let output = pass.output;
    one_column(output)?;
    let mut arguments = vec![output.at.into(), pass.inputs[0].at.into(), pass.inputs[1].at.into()];
    arguments.extend_from_slice(constants);
    arguments.push(output.rows.into());
    pass.stream.launch_over(kernel, output.storage, output.rows, &arguments)
}

/// Runs `kernel` on a CUDA device for each input that learns: its gradient, that of the loss, prediction,
/// truth, `constants`, sign, whether to add, rows.
pub(super) fn cuda_loss_backward(
    pass: CudaBackward<'_>,
    kernel: Kernel,
    constants: &[Argument],
) -> Result<()> {
    let gradient = pass.output_gradient;
    one_column(gradient)?;
    for (target, sign) in pass.input_gradients.iter().zip([1.0f32, -1.0]) {
        let Some((to, accumulate)) = *target else { continue };
        let mut arguments =
            vec![to.at.into(), gradient.at.into(), pass.inputs[0].at.into(), pass.inputs[1].at.into()];
        arguments.extend_from_slice(constants);
        arguments.extend([sign.into(), accumulate.into(), Argument::from(to.rows)]);
        pass.stream.launch_over(kernel, to.storage, to.rows, &arguments)?;
    }
    Ok(())
}

fn one_column(loss: Tensor) -> Result<()> {
    if loss.columns == 1 && loss.storage == Storage::F32 {
        return Ok(());
    }
    Err(Error::Network(format!("a loss of {} columns; a device takes one", loss.columns)))
}

/// The sum of `of` over two rows of as many columns, in an order that depends on their number alone: columns that
/// are `LANES` apart are added first, so that the loop runs in vectors.
#[inline(always)]
pub(super) fn sum_over_columns<T: Element>(a: &[T], b: &[T], of: impl Fn(T, T) -> T) -> T {
    const LANES: usize = 16;
    let mut sums = [T::zero(); LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            sums[i] += of(a[i], b[i]);
        }
    }
    for ((sum, &a), &b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += of(a, b);
    }
    sums.iter().fold(T::zero(), |total, &sum| total + sum)
}
