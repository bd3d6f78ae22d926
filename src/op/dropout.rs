use super::cuda::row_grid;
use super::{
    Backward, CpuKernel, CudaBackward, CudaForward, CudaKernel, CudaRows, Forward, Keeps, MapEnds, Op, Rows,
    Shape, SpaceId, Step, Tensor,
};
use crate::Result;
use crate::device::cuda::Stream as CudaStream;
use crate::device::cuda::{Address, Kernel};
use crate::device::philox::{AT_ONCE, Stream, key, philox4x32_10_x16};
use crate::device::{Element, sweep_rows};
use pulp::{Arch, Simd, WithSimd};

/// Sets each value to zero with probability `rate` and scales the rest by
/// `1 / (1 - rate)` (Srivastava et al. 2014); scoring plans leave it out.
///
/// Whether a unit drops depends on the seed, the step, this op's number and
/// the row's number, that of a pair in its dataset or of an entity in the
/// store; neither on the batch's order nor on rank or thread. Sixteen random
/// bits a value round the rate to 1/65536.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Probability of zero; see [`Self::accepts`].
    pub rate: f64,
    /// The rows' space, whose numbers key the random bits.
    pub space: SpaceId,
}

/// Values that sixteen draws at once serve: half `i % 2` of word `i / 32` of draw
/// `i / 2 % 16` is for value `i`.
const GROUP: usize = 8 * AT_ONCE;

/// Sixteen random bits below this drop a value.
fn threshold(rate: f64) -> u32 {
    (rate * 65536.0).round() as u32
}

/// What the other values are multiplied by.
fn scale(threshold: u32) -> f64 {
    65536.0 / (65536.0 - f64::from(threshold))
}

impl Dropout {
    /// Whether `rate` can be used: from 0 to what leaves some units standing.
    pub fn accepts(rate: f64) -> bool {
        rate >= 0.0 && threshold(rate) < 65536
    }

    /// `values *= mask / (1 - rate)`, row by row.
    fn mask<T: Element>(&self, values: &mut [T], columns: usize, rows: &Rows, step: Step, node: usize) {
        let numbers = &rows.number[self.space.0];
        let threshold = threshold(self.rate);
        let scale = T::of(scale(threshold));
        sweep_rows(values, columns, |first, values| {
            let numbers = &numbers[first..];
            Arch::new().dispatch(Mask { values, columns, numbers, threshold, scale, step, node });
        });
    }
}

/// Values to be masked, with all that their mask depends on.
struct Mask<'a, T> {
    values: &'a mut [T],
    columns: usize,
    /// Number of each row.
    numbers: &'a [u32],
    threshold: u32,
    scale: T,
    step: Step,
    node: usize,
}

impl<T: Element> WithSimd for Mask<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Mask { values, columns, numbers, threshold, scale, step, node } = self;
        let key = key(step.seed);
        for (row, &number) in values.chunks_exact_mut(columns).zip(numbers) {
            for (group, values) in row.chunks_mut(GROUP).enumerate() {
                let [_, b, c, d] = Stream::Dropout.counter(0, number, step.number as u32, node as u32);
                let draw = std::array::from_fn(|i| (group * AT_ONCE + i) as u32);
                let mut words = philox4x32_10_x16(simd, [draw, [b; _], [c; _], [d; _]], key);
                if cfg!(target_endian = "big") {
                    // On any machine, the first of two values has the low half of a word.
                    words.as_flattened_mut().iter_mut().for_each(|w| *w = w.rotate_left(16));
                }
                let bits: &[u16] = bytemuck::cast_slice(words.as_flattened());
                for (value, &bits) in values.iter_mut().zip(bits) {
                    *value *= if u32::from(bits) < threshold { T::zero() } else { scale };
                }
            }
        }
    }
}

impl Op for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn shape(&self, inputs: &[Shape], _maps: &[MapEnds]) -> Result<Shape, String> {
        match inputs {
            [x] if x.space == self.space && Self::accepts(self.rate) => Ok(*x),
            [_] => Err(format!("dropout of rate {} on another space's rows", self.rate)),
            _ => Err(format!("dropout takes one input, not {}", inputs.len())),
        }
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: false, output: false }
    }

    fn passes_through_when_scoring(&self) -> bool {
        true
    }
}

impl<T: Element> CpuKernel<T> for Dropout {
    fn forward(&self, pass: Forward<'_, T>) {
        pass.output.copy_from_slice(pass.inputs[0]);
        self.mask(pass.output, pass.columns, pass.rows, pass.step, pass.node);
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        self.mask(pass.output_gradient, pass.columns, pass.rows, pass.step, pass.node);
        if let Some(input) = &mut pass.input_gradients[0] {
            let gradient = &*pass.output_gradient;
            input.put_rows(pass.columns, |row| &gradient[row * pass.columns..][..pass.columns]);
        }
    }
}

const MASKED: Kernel = Kernel::new("dropout", "masked");

impl Dropout {
    /// `to = from * mask / (1 - rate)`, or has that added.
    fn cuda_mask(
        &self,
        stream: &CudaStream,
        (to, accumulate): (Tensor, bool),
        from: Tensor,
        batch: &CudaRows,
        pass: Address,
        node: usize,
    ) -> Result<()> {
        let threshold = threshold(self.rate);
        let arguments = [
            to.at.into(),
            from.at.into(),
            accumulate.into(),
            threshold.into(),
            (scale(threshold) as f32).into(),
            batch.numbers(self.space)?.into(),
            pass.into(),
            node.into(),
            to.rows.into(),
            to.stride().into(),
        ];
        let [grid, block] = row_grid(to.rows, to.columns);
        stream.launch(MASKED, to.storage, grid, block, &arguments)
    }
}

impl CudaKernel for Dropout {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        let CudaForward { stream, output, batch, node, .. } = pass;
        self.cuda_mask(stream, (output, false), pass.inputs[0], batch, pass.pass, node)
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        let CudaBackward { stream, output_gradient, batch, node, .. } = pass;
        let Some((to, accumulate)) = pass.input_gradients[0] else { return Ok(()) };
        self.cuda_mask(stream, (to, accumulate), output_gradient, batch, pass.pass, node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cuda::{HostDriver, Storage};
    use crate::graph::check::{Check, check_derivative, check_kernels};
    use crate::graph::check_cuda::{download, feed};
    use crate::op::{CudaPass, stride};

    const PAIRS: SpaceId = SpaceId(0);

    fn masked(rate: f64, columns: usize, numbers: &[u32], step: u64) -> Vec<f32> {
        let rows = Rows { count: vec![numbers.len()], number: vec![numbers.to_vec()], ..Rows::default() };
        let mut values = vec![1.0f32; numbers.len() * columns];
        let step = Step { seed: 5, number: step };
        Dropout { rate, space: PAIRS }.mask(&mut values, columns, &rows, step, 3);
        values
    }

    #[test]
    fn derivative() {
        check_derivative(Check::new(Dropout { rate: 0.4, space: PAIRS }).input(11));
    }

    #[test]
    fn a_row_drops_the_same_units_wherever_it_stands() {
        let together = masked(0.5, 21, &[7, 9], 4);
        assert_eq!(together[21..], masked(0.5, 21, &[9], 4));
        assert_ne!(together[..21], together[21..]);
        assert_ne!(masked(0.5, 21, &[9], 5), masked(0.5, 21, &[9], 4));
    }

    #[test]
    fn the_rate_and_the_mean_are_kept() {
        let numbers: Vec<u32> = (0..2000).collect();
        let values = masked(0.25, 50, &numbers, 0);
        let n = values.len() as f64;
        let dropped = values.iter().filter(|&&v| v == 0.0).count() as f64 / n;
        let error = 5.0 * (0.25f64 * 0.75 / n).sqrt();
        assert!((dropped - 0.25).abs() < error, "{dropped}");
        assert!((values.iter().map(|&v| f64::from(v)).sum::<f64>() / n - 1.0).abs() < 2.0 * error);
    }

    #[test]
    fn kernels_at_shapes_that_cross_their_tiles() {
        for (columns, rows) in [(261, 300), (70, 33), (1, 9)] {
            check_kernels(Check::new(Dropout { rate: 0.4, space: PAIRS }).input(columns), rows);
        }
    }

    #[test]
    fn a_device_drops_the_units_that_the_cpu_drops() {
        let stream = HostDriver::stream();
        let numbers = [0, 1, 77, u32::MAX, 1 << 31, 5, 6, 7, 8, 123_456_789];
        let (columns, node) = (300, 0xff_1234);
        let numbers_there = stream.holding(&numbers).unwrap();
        let batch = CudaRows {
            count: vec![numbers.len()],
            number: vec![Some(numbers_there.at())],
            ..CudaRows::default()
        };
        let rows = Rows { count: vec![numbers.len()], number: vec![numbers.to_vec()], ..Rows::default() };
        let steps = [(5, 0), (0xfeed_0000_0000_0007, 9), (1 << 40, (1 << 32) + 3)];
        for ((seed, number), rate) in steps.into_iter().flat_map(|s| [0.0, 0.1, 0.5, 0.93].map(|r| (s, r))) {
            let dropout = Dropout { rate, space: PAIRS };
            let mut expected = vec![1.0f32; numbers.len() * columns];
            dropout.mask(&mut expected, columns, &rows, Step { seed, number }, node);
            let pass = stream.holding(&[CudaPass { seed, step: number, ..CudaPass::default() }]).unwrap();
            for storage in [Storage::F32, Storage::Bf16] {
                let held = stream.zeros(numbers.len() * stride(columns) * 4).unwrap();
                let values = Tensor { at: held.at(), rows: numbers.len(), columns, storage };
                feed(&stream, values, &vec![1.0; expected.len()]);
                dropout.cuda_mask(&stream, (values, false), values, &batch, pass.at(), node).unwrap();
                let got = download(&stream, values, numbers.len());
                for (i, (&got, &expected)) in got.iter().zip(&expected).enumerate() {
                    let close = if storage == Storage::F32 { 0.0 } else { expected / 256.0 };
                    assert!((got - expected).abs() <= close, "{i} at rate {rate}: {got}, not {expected}");
                }
            }
        }
    }
}
