use super::segment::sum_segments;
use super::{Backward, CpuKernel, Forward, Keeps, MapEnds, MapId, Op, Shape};
use crate::device::{Element, sweep_rows};

/// `y[p] = x[m(p)]`: rows of an entity laid out a pair at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Gather {
    /// From the output's space to the input's.
    pub map: MapId,
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn shape(&self, inputs: &[Shape], maps: &[MapEnds]) -> Result<Shape, String> {
        let ends = maps[self.map.0];
        match inputs {
            [x] if x.space == ends.to => Ok(Shape { space: ends.from, columns: x.columns }),
            _ => Err("gather takes one input, of the space its map goes to".into()),
        }
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: false, output: false }
    }
}

impl<T: Element> CpuKernel<T> for Gather {
    fn forward(&self, pass: Forward<'_, T>) {
        let columns = pass.columns;
        let index = &pass.rows.map(self.map).index;
        sweep_rows(
            pass.output,
            columns,
            #[inline(always)]
            |first, block| {
                for (row, &from) in block.chunks_exact_mut(columns).zip(&index[first..]) {
                    row.copy_from_slice(&pass.inputs[0][from as usize * columns..][..columns]);
                }
            },
        );
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        if let Some(input) = &mut pass.input_gradients[0] {
            let segments = &pass.rows.map(self.map).segments;
            sum_segments(input.data, input.accumulate, segments, pass.output_gradient, pass.columns);
        }
    }
}

impl super::CudaKernel for Gather {
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
        check_derivative(Check::new(Gather { map: MapId(0) }).mapped(3, 4));
    }
}
