use super::cuda::row_grid;
use super::segment::{self, cuda_sum_segments, sum_segments};
use super::{
    Backward, CpuKernel, CudaBackward, CudaForward, CudaKernel, Forward, Keeps, MapEnds, MapId, Op, Shape,
};
use crate::Result;
use crate::device::cuda::Kernel;
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

const FORWARD: Kernel = Kernel::new("gather", "forward");

impl CudaKernel for Gather {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        let output = pass.output;
        let index = pass.batch.map(self.map)?.index;
        let arguments = [
            output.at.into(),
            pass.inputs[0].at.into(),
            index.into(),
            output.rows.into(),
            output.stride().into(),
        ];
        let [grid, block] = row_grid(output.rows, output.columns);
        pass.stream.launch(FORWARD, output.storage, grid, block, &arguments)
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        let Some((to, accumulate)) = pass.input_gradients[0] else { return Ok(()) };
        let segments = pass.batch.map(self.map)?.segments;
        cuda_sum_segments(pass.stream, to, accumulate, segments, pass.output_gradient, pass.workspace)
    }

    fn workspace(&self, _rows: usize, columns: usize) -> usize {
        segment::workspace(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{Check, check_derivative, check_kernels};

    #[test]
    fn derivative() {
        check_derivative(Check::new(Gather { map: MapId(0) }).mapped(3, 4));
    }

    #[test]
    fn kernels_at_shapes_that_cross_their_tiles() {
        for (columns, entities, pairs) in [(261, 40, 300), (70, 1, 700), (1, 3, 300), (8, 2, 1)] {
            check_kernels(Check::new(Gather { map: MapId(0) }).mapped(columns, entities), pairs);
        }
    }
}
