//! Points in classes, for tests.

/// Classes of [`classes`].
pub const CLASSES: u32 = 3;

/// 210 overlapping points, `[210, 4]`.
pub fn points() -> Vec<f32> {
    let value = |row: usize, column: usize| {
        let noise = ((row * row * 7919 + (row + 3) * (column + 1) * 104_729) % 1009) as f32 / 1009.0 - 0.5;
        noise * 6.0 + (row % CLASSES as usize * (column + 1) % 4) as f32
    };
    (0..210).flat_map(|row| (0..4).map(move |column| value(row, column))).collect()
}

/// The class of each.
pub fn classes() -> Vec<Option<u32>> {
    (0..210).map(|row| Some(row % CLASSES)).collect()
}
