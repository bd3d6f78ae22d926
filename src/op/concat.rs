use super::{Backward, CpuKernel, Forward, Keeps, MapEnds, Op, Shape, one_space};
use crate::device::{Element, sweep_rows};

/// `y = [x_1, x_2, ...]`, side by side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Concat;

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn shape(&self, inputs: &[Shape], _maps: &[MapEnds]) -> Result<Shape, String> {
        let space = one_space("concat", inputs)?;
        Ok(Shape { space, columns: inputs.iter().map(|i| i.columns).sum() })
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, output: false }
    }
}

impl<T: Element> CpuKernel<T> for Concat {
    fn forward(&self, pass: Forward<'_, T>) {
        let rows = pass.output.len() / pass.columns;
        sweep_rows(pass.output, pass.columns, |first, block| {
            for (r, mut row) in block.chunks_exact_mut(pass.columns).enumerate() {
                for input in pass.inputs {
                    let width = input.len() / rows;
                    let (part, rest) = row.split_at_mut(width);
                    part.copy_from_slice(&input[(first + r) * width..][..width]);
                    row = rest;
                }
            }
        });
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let columns = pass.columns;
        let rows = pass.output_gradient.len() / columns;
        let gradient = &*pass.output_gradient;
        let mut offset = 0;
        for (input, target) in pass.inputs.iter().zip(pass.input_gradients.iter_mut()) {
            let width = input.len() / rows.max(1);
            if let Some(target) = target {
                target.put_rows(width, |row| &gradient[row * columns + offset..][..width]);
            }
            offset += width;
        }
    }
}

impl super::CudaKernel for Concat {
    fn cuda_forward(&self, _pass: super::CudaForward<'_>) -> crate::Result<()> {
        Err(crate::Error::Device("not there yet".into()))
    }

    fn cuda_backward(&self, _pass: super::CudaBackward<'_>) -> crate::Result<()> {
        Err(crate::Error::Device("not there yet".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative};

    #[test]
    fn derivative() {
        check_derivative(Check::new(Concat).input(4).input(1).input(3));
    }
}
