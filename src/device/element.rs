use num_traits::{Float, NumAssign};

/// A number that networks compute in: `f32` in use, `f64` where derivatives
/// are checked against differences.
pub trait Element: Float + NumAssign + bytemuck::Pod + Send + Sync + std::fmt::Debug + 'static {
    /// Rounds a constant to this type.
    fn of(value: f64) -> Self;
    /// Widens to f64, exactly.
    fn wide(self) -> f64;
}

impl Element for f32 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self.into()
    }
}

impl Element for f64 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
}
