// y[row] = x[index[row]]: op/gather.rs.
#include "crossrx.cuh"

KERNEL forward(T* y, const T* x, const u32* index, u32 rows, u32 stride) {
    const u32 first = first_row(), column = first_column();
    if (column >= stride) return;
    u32 from[STEPS];
    Eight raw[STEPS];
#pragma unroll
    for (int s = 0; s < STEPS; s++) from[s] = first + 8 * s < rows ? index[first + 8 * s] : 0;
#pragma unroll
    for (int s = 0; s < STEPS; s++) raw[s] = fetch8(x + (u64)from[s] * stride + column);
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const u32 row = first + 8 * s;
        if (row < rows) store8(y + (u64)row * stride + column, raw[s]);
    }
}
