// Columns side by side: op/concat.rs. Where an input begins in a row of the output is no multiple of eight, and
// one of a single column is stored in floats, so numbers are copied one by one.
#include "crossrx.cuh"

// Sets `columns` columns of `to`, or adds to them, `[first of to, first of from]` the columns they begin at.
KERNEL copied(void* to, u32 to_is_bf16, u32 to_stride, u32 to_first, const void* from, u32 from_is_bf16,
              u32 from_stride, u32 from_first, u32 accumulate, u32 rows, u32 columns) {
    for (u32 s = 0; s < STEPS; s++) {
        const u32 row = first_row() + 8 * s;
        if (row >= rows) return;
        for (u32 e = 0; e < EIGHT; e++) {
            const u32 column = (blockIdx.y * EIGHT + e) * 32 + threadIdx.x;
            if (column >= columns) break;
            const u64 at = (u64)row * to_stride + to_first + column;
            float x = number_at(from, (u64)row * from_stride + from_first + column, from_is_bf16);
            if (accumulate) x += number_at(to, at, to_is_bf16);
            set_number(to, at, to_is_bf16, x);
        }
    }
}
