use crate::graph::{Parameter, Parameters};
use crate::op::Rule;

/// Values that one thread takes at a time.
pub const BLOCK: usize = 1 << 14;

/// Values that share one rule.
pub const CELL: usize = Parameters::<f32>::CELL;

/// The rule of a parameter as the number that optimisers keep for each of its cells: its weight decay
/// (none for biases and gains) or, with the sign bit set, the constant rate of a plain descent. One
/// number, so that a step reads no more memory for it.
pub fn cell_rule(parameter: &Parameter, weight_decay: f64) -> f32 {
    match parameter.rule {
        Rule::Descent { rate } => -(rate.abs() as f32),
        Rule::Optimizer if parameter.decay => weight_decay.abs() as f32,
        Rule::Optimizer => 0.0,
    }
}

/// Moves a cell whose rule has its sign bit set.
#[inline(always)]
pub fn descend(values: &mut [f32], gradient: &[f32], rule: f32) {
    values.iter_mut().zip(gradient).for_each(|(value, slope)| *value += rule * slope);
}
