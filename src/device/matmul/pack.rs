use super::MatRef;
use std::ops::Range;

/// Steps whose runs are filled together, so that they stay in the nearest cache.
const STEPS: usize = 16;

/// Lays `W` lines of `m`, `[lines, steps]`, side by side: `into` receives, for each of `steps`, a run
/// of `W` values, one a line; zeros where `lines` are fewer.
pub fn pack<const W: usize>(into: &mut [f32], m: MatRef<'_, f32>, lines: Range<usize>, steps: Range<usize>) {
    let whole = lines.len() == W;
    let runs = into.chunks_exact_mut(W);
    if m.row_stride == 1 && whole {
        for (run, step) in runs.zip(steps) {
            let from = step * m.column_stride + lines.start;
            run.copy_from_slice(&m.data[from..from + W]);
        }
    } else if m.column_stride == 1 && whole {
        for (first, runs) in steps.clone().step_by(STEPS).zip(into.chunks_mut(STEPS * W)) {
            for (i, line) in lines.clone().enumerate() {
                let from = &m.data[line * m.row_stride + first..][..runs.len() / W];
                for (run, &value) in runs.chunks_exact_mut(W).zip(from) {
                    run[i] = value;
                }
            }
        }
    } else {
        for (run, step) in runs.zip(steps) {
            run.fill(0.0);
            for (to, line) in run.iter_mut().zip(lines.clone()) {
                *to = m.data[line * m.row_stride + step * m.column_stride];
            }
        }
    }
}
