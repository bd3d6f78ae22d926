use super::loss::sum_over_columns;
use super::{
    Backward, CpuKernel, CudaBackward, CudaForward, CudaKernel, EIGHT, Forward, Init, Keeps, MapEnds, MapId,
    Op, ParameterSpec, Rows, Rule, Shape, SpaceId, Tensor,
};
use crate::Result;
use crate::device::cuda::{Argument, Kernel};
use crate::device::{Element, sweep_costly_rows, sweep_rows};

/// Center loss (Wen et al. 2016) with center distance: for a row `z` of class `y`, input `[rows, d]` and output
/// `[rows, 1]`,
///
/// `weight * |z - c_y|² / 2 + distance_weight * D`,
///
/// where `D` is the mean over all pairs of classes of `max(0, margin - |c_j - c_k|)² / 2`. The first term alone
/// is least where all centers meet, and all rows with them; `D` pushes centers apart that are nearer than
/// the margin, and nothing beyond it. It is the same for every row, so that the mean over a batch has it once.
///
/// The class of a row is the number of its row of `classes`; a row whose class is not below the number of
/// classes is of none, and has the second term alone.
///
/// The parameter `centers`, `[classes, d]`, holds `c_j / s_j` for the scales `s_j` of [`CenterLoss::scales`],
/// and moves by [`Rule::Descent`] at `rate`. Without center distance a step so moves `c_j` by `rate` times the
/// sum over the batch's rows of class j of `z - c_j`, over `1 + B p_j`: the update of Wen et al., whose
/// divisor is one more than the class's rows in the batch, with their expectation in place of their number, which
/// is the share `p_j` of the class times the batch's rows `B`. And it follows the gradient of the loss, all of it.
/// With center distance the divisor has the curvature of that beside, and centers move more slowly: else those
/// of rare classes would be flung beyond the margin, where nothing but their few rows brings them back.
#[derive(Debug, Clone, PartialEq)]
pub struct CenterLoss {
    /// From rows to their classes.
    pub map: MapId,
    /// The classes of a batch, each with its number.
    pub classes: SpaceId,
    /// Of the distance to the center.
    pub weight: f64,
    /// Of the distance between centers.
    pub distance_weight: f64,
    /// From which on two centers are far enough apart.
    pub margin: f64,
    /// At which centers move.
    pub rate: f64,
    /// `s_j`, one a class.
    pub scales: Vec<f64>,
}

/// Most classes: those whose places a block of threads holds at once, `MOST_CLASSES` of `kernels/center_loss.cu`.
const MOST_CLASSES: usize = CenterLoss::MOST_CLASSES;

/// Parts that `D` is summed in, whatever the number of threads.
const STRIPS: usize = 64;

impl CenterLoss {
    /// Most classes that it holds centers of.
    pub const MOST_CLASSES: usize = 1024;

    /// `s_j = 1 / sqrt(weight (p_j + 1 / B) + 2 distance_weight / classes)` of each class, by the share `p_j` of
    /// all rows that it has: below the root is how much the loss of a batch, with a row more, can curve as `c_j`
    /// moves. One where both weights are zero.
    pub fn scales(weight: f64, distance_weight: f64, shares: &[f64], batch: usize) -> Vec<f64> {
        let (one_row, classes) = (1.0 / batch.max(1) as f64, shares.len() as f64);
        let curvature = |share: &f64| weight * (share + one_row) + 2.0 * distance_weight / classes;
        shares.iter().map(curvature).map(|c| if c > 0.0 { 1.0 / c.sqrt() } else { 1.0 }).collect()
    }

    /// What each pair of classes has in the loss of a row.
    fn pair_weight(&self) -> f64 {
        let classes = self.scales.len() as f64;
        if classes < 2.0 { 0.0 } else { self.distance_weight * 2.0 / (classes * (classes - 1.0)) }
    }

    /// `distance_weight * D`.
    fn spread<T: Element>(&self, centers: &Centers<'_, T>) -> T {
        let (classes, margin, half) = (self.scales.len(), T::of(self.margin), T::of(0.5));
        if self.pair_weight() == 0.0 {
            return T::zero();
        }
        let mut parts = [T::zero(); STRIPS];
        sweep_costly_rows(
            &mut parts,
            1,
            classes * classes / STRIPS * centers.columns,
            #[inline(always)]
            |first, block| {
                for (strip, part) in (first..).zip(block) {
                    for j in (strip..classes).step_by(STRIPS) {
                        for k in j + 1..classes {
                            let lack = lack(margin, centers.distance(j, k));
                            *part += half * lack * lack;
                        }
                    }
                }
            },
        );
        T::of(self.pair_weight()) * parts.iter().fold(T::zero(), |sum, &part| sum + part)
    }

    /// Class of each row, as [`CenterLoss`] has it.
    fn class<'r>(&self, rows: &'r Rows) -> impl Fn(usize) -> usize + Sync + 'r {
        let (index, numbers) = (&rows.map(self.map).index, &rows.number[self.classes.0]);
        move |row| numbers[index[row] as usize] as usize
    }
}

/// How much less than the margin a distance is. What is not a number stays none.
#[inline(always)]
fn lack<T: Element>(margin: T, distance: T) -> T {
    let lack = margin - distance;
    if lack < T::zero() { T::zero() } else { lack }
}

/// Centers as the parameter has them.
struct Centers<'a, T> {
    values: &'a [T],
    columns: usize,
    scales: &'a [f64],
}

impl<T: Element> Centers<'_, T> {
    /// Of class `j`: its values, each to be multiplied by the scale.
    #[inline(always)]
    fn of(&self, j: usize) -> (&[T], T) {
        (&self.values[j * self.columns..(j + 1) * self.columns], T::of(self.scales[j]))
    }

    #[inline(always)]
    fn distance(&self, j: usize, k: usize) -> T {
        let ((a, of_a), (b, of_b)) = (self.of(j), self.of(k));
        let sum = sum_over_columns(
            a,
            b,
            #[inline(always)]
            |a, b| (of_a * a - of_b * b) * (of_a * a - of_b * b),
        );
        sum.sqrt()
    }
}

impl Op for CenterLoss {
    fn name(&self) -> &'static str {
        "center loss"
    }

    fn shape(&self, inputs: &[Shape], maps: &[MapEnds]) -> Result<Shape, String> {
        let ends = maps[self.map.0];
        let fine = |weight: f64| weight >= 0.0 && weight.is_finite();
        if ends.to != self.classes || !(1..=MOST_CLASSES).contains(&self.scales.len()) {
            return Err(format!("center loss takes a map to 1 to {MOST_CLASSES} classes"));
        }
        if ![self.weight, self.distance_weight, self.margin, self.rate].into_iter().all(fine)
            || !self.scales.iter().all(|scale| *scale > 0.0 && scale.is_finite())
        {
            return Err("center loss: weights, margin and rate are finite and not negative".into());
        }
        match inputs {
            [z] if z.space == ends.from && z.columns > 0 => Ok(Shape { space: z.space, columns: 1 }),
            _ => Err("center loss takes one input, of the space its map comes from".into()),
        }
    }

    /// Centers start at random, about one from zero: together, beside a margin of some size, but at no place
    /// where nothing says which way is apart.
    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let widest = self.scales.iter().fold(0.0, |most: f64, &scale| most.max(scale));
        let columns = inputs[0].columns;
        vec![ParameterSpec {
            name: "centers",
            shape: [self.scales.len(), columns],
            init: Init::Normal(1.0 / (widest * (columns as f64).sqrt())),
            decay: false,
            rule: Rule::Descent { rate: self.rate },
        }]
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, output: false }
    }
}

impl<T: Element> CpuKernel<T> for CenterLoss {
    fn forward(&self, pass: Forward<'_, T>) {
        let columns = pass.parameters[0].len() / self.scales.len();
        let centers = Centers { values: pass.parameters[0], columns, scales: &self.scales };
        let spread = self.spread(&centers);
        let (class, half) = (self.class(pass.rows), T::of(0.5 * self.weight));
        sweep_costly_rows(
            pass.output,
            1,
            2 * columns,
            #[inline(always)]
            |first, block| {
                for (row, loss) in (first..).zip(block) {
                    *loss = spread;
                    let class = class(row);
                    if class < self.scales.len() {
                        let (center, scale) = centers.of(class);
                        let square = sum_over_columns(
                            &pass.inputs[0][row * columns..][..columns],
                            center,
                            #[inline(always)]
                            |z, c| (z - scale * c) * (z - scale * c),
                        );
                        *loss += half * square;
                    }
                }
            },
        );
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let columns = pass.parameters[0].len() / self.scales.len();
        let centers = Centers { values: pass.parameters[0], columns, scales: &self.scales };
        let (z, gradient, weight) = (pass.inputs[0], &*pass.output_gradient, T::of(self.weight));
        if let Some(target) = &mut pass.input_gradients[0] {
            let (class, accumulate) = (self.class(pass.rows), target.accumulate);
            sweep_rows(
                target.data,
                columns,
                #[inline(always)]
                |first, block| {
                    for (row, into) in (first..).zip(block.chunks_exact_mut(columns)) {
                        if !accumulate {
                            into.fill(T::zero());
                        }
                        let class = class(row);
                        if class < self.scales.len() {
                            let (center, scale) = centers.of(class);
                            let slope = weight * gradient[row];
                            for ((d, &z), &c) in into.iter_mut().zip(&z[row * columns..]).zip(center) {
                                *d += slope * (z - scale * c);
                            }
                        }
                    }
                },
            );
        }
        let (classes, margin) = (self.scales.len(), T::of(self.margin));
        let total = gradient.iter().fold(T::zero(), |sum, &g| sum + g);
        let push = total * T::of(self.pair_weight());
        let (numbers, segments) = (&pass.rows.number[self.classes.0], &pass.rows.map(self.map).segments);
        sweep_costly_rows(
            &mut *pass.parameter_gradients[0],
            columns,
            2 * columns * (classes + gradient.len() / classes),
            #[inline(always)]
            |first, block| {
                for (j, into) in (first..).zip(block.chunks_exact_mut(columns)) {
                    let (center, scale) = centers.of(j);
                    into.fill(T::zero());
                    for k in (0..classes).filter(|&k| k != j && push != T::zero()) {
                        let distance = centers.distance(j, k);
                        let lack = lack(margin, distance);
                        // Where two centers meet, no way leads apart.
                        if lack == T::zero() || distance == T::zero() {
                            continue;
                        }
                        let (pull, (other, of_other)) = (push * (lack / distance), centers.of(k));
                        for ((d, &c), &other) in into.iter_mut().zip(center).zip(other) {
                            *d -= pull * (scale * c - of_other * other);
                        }
                    }
                    let own = numbers.iter().enumerate().filter(|(_, number)| **number as usize == j);
                    for &row in own.flat_map(|(class, _)| segments.of(class)) {
                        let slope = weight * gradient[row as usize];
                        let z = &z[row as usize * columns..];
                        for ((d, &c), &z) in into.iter_mut().zip(center).zip(z) {
                            *d += slope * (scale * c - z);
                        }
                    }
                    into.iter_mut().for_each(|d| *d *= scale);
                }
            },
        );
    }
}

const DISTANCES: Kernel = Kernel::new("center_loss", "distances");
const FORWARD: Kernel = Kernel::new("center_loss", "forward");
const OF_ROWS: Kernel = Kernel::new("center_loss", "of_rows");
const OF_CENTERS: Kernel = Kernel::new("center_loss", "of_centers");

/// Threads of a block that has a class to itself: `WARPS` of `kernels/center_loss.cu`, times 32.
const THREADS: [usize; 2] = [256, 1];

impl CenterLoss {
    /// Parts that a device sums `D` in, as many as it has room for beside an output of so many rows: of the eight
    /// numbers that a row of one column takes, the second is free.
    fn parts(&self, output: Tensor) -> usize {
        debug_assert!(output.stride() == EIGHT);
        if self.pair_weight() == 0.0 { 0 } else { output.rows.min(self.scales.len()) }
    }
}

impl CudaKernel for CenterLoss {
    fn cuda_forward(&self, pass: CudaForward<'_>) -> Result<()> {
        let (z, output, centers) = (pass.inputs[0], pass.output, pass.parameters[0]);
        let (parts, classes) = (self.parts(output), Argument::from(self.scales.len()));
        let [at, values, scales] = [output.at, centers.master, pass.constants].map(Argument::from);
        let stride = z.stride().into();
        let (factor, margin) = (self.pair_weight() as f32, self.margin as f32);
        let arguments = [at, values, scales, factor.into(), margin.into(), classes, stride];
        pass.stream.launch(DISTANCES, z.storage, [parts, 1], THREADS, &arguments)?;
        let arguments = [
            at,
            z.at.into(),
            values,
            scales,
            pass.batch.map(self.map)?.index.into(),
            pass.batch.numbers(self.classes)?.into(),
            (self.weight as f32).into(),
            classes,
            parts.into(),
            z.rows.into(),
            z.columns.into(),
            stride,
        ];
        pass.stream.launch_over(FORWARD, z.storage, 32 * z.rows, &arguments)
    }

    fn cuda_backward(&self, pass: CudaBackward<'_>) -> Result<()> {
        let (z, gradient) = (pass.inputs[0], pass.output_gradient.at.into());
        let [values, scales] = [pass.parameters[0].master, pass.constants].map(Argument::from);
        let map = pass.batch.map(self.map)?;
        let numbers = pass.batch.numbers(self.classes)?.into();
        let (weight, classes) = (Argument::from(self.weight as f32), Argument::from(self.scales.len()));
        let [rows, columns, stride] = [z.rows, z.columns, z.stride()].map(Argument::from);
        if let Some((to, accumulate)) = pass.input_gradients[0] {
            let arguments = [
                to.at.into(),
                gradient,
                z.at.into(),
                values,
                scales,
                map.index.into(),
                numbers,
                weight,
                accumulate.into(),
                classes,
                rows,
                stride,
            ];
            pass.stream.launch_over(OF_ROWS, z.storage, 32 * z.rows, &arguments)?;
        }
        let arguments = [
            pass.parameter_gradients[0].at.into(),
            gradient,
            z.at.into(),
            values,
            scales,
            map.segments.start.into(),
            map.segments.order.into(),
            numbers,
            weight,
            (self.pair_weight() as f32).into(),
            (self.margin as f32).into(),
            classes,
            pass.batch.of(self.classes).into(),
            rows,
            columns,
            stride,
        ];
        pass.stream.launch(OF_CENTERS, z.storage, [self.scales.len(), 1], THREADS, &arguments)
    }

    fn constants(&self) -> Vec<f32> {
        self.scales.iter().map(|&scale| scale as f32).collect()
    }
}
