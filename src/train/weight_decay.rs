use crate::graph::Parameters;

/// Values that one thread takes at a time.
pub const BLOCK: usize = 1 << 14;

/// Values that share one weight decay.
pub const CELL: usize = Parameters::<f32>::CELL;

/// Weight decay of every cell: none for biases and gains.
pub fn decay_by_cell(parameters: &Parameters<f32>, weight_decay: f64) -> Vec<f32> {
    parameters.by_cell(|p| if p.decay { weight_decay as f32 } else { 0.0 })
}
