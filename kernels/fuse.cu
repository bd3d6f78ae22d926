// Rows of entities joined in a pair: op/fuse.rs.
#include "crossrx.cuh"

// Adds the rows of `x` that `index` names.
__device__ inline void add_gathered(float sum[STEPS][EIGHT], const T* x, const u32* index, u32 first, u32 column,
                                    u32 rows, u32 stride) {
    if (!x) return;
    u32 from[STEPS];
    Eight raw[STEPS];
#pragma unroll
    for (int s = 0; s < STEPS; s++) from[s] = first + 8 * s < rows ? index[first + 8 * s] : 0;
#pragma unroll
    for (int s = 0; s < STEPS; s++) raw[s] = fetch8(x + (u64)from[s] * stride + column);
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        float v[EIGHT];
        widen8(v, raw[s]);
#pragma unroll
        for (int e = 0; e < EIGHT; e++) sum[s][e] += v[e];
    }
}

// y[row] = activation(bias + sum over maps of x[index[row]] + dense[row] weight), of up to four maps; `dense`
// has `width` columns, rows `dense_stride` apart.
KERNEL forward(T* y, const T* x0, const u32* index0, const T* x1, const u32* index1, const T* x2,
               const u32* index2, const T* x3, const u32* index3, const float* bias, const void* dense,
               u32 dense_is_bf16, u32 dense_stride, u32 width, const float* weight, u32 activation, u32 rows,
               u32 stride) {
    const u32 first = first_row(), column = first_column();
    if (column >= stride) return;
    float start[EIGHT];
    load8(start, bias + column);
    float sum[STEPS][EIGHT];
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
#pragma unroll
        for (int e = 0; e < EIGHT; e++) sum[s][e] = start[e];
    }
    add_gathered(sum, x0, index0, first, column, rows, stride);
    add_gathered(sum, x1, index1, first, column, rows, stride);
    add_gathered(sum, x2, index2, first, column, rows, stride);
    add_gathered(sum, x3, index3, first, column, rows, stride);
    for (u32 d = 0; d < width; d++) {
        float w[EIGHT];
        load8(w, weight + (u64)d * stride + column);
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            const u32 row = first + 8 * s;
            const float x = row < rows ? number_at(dense, (u64)row * dense_stride + d, dense_is_bf16) : 0.0f;
#pragma unroll
            for (int e = 0; e < EIGHT; e++) sum[s][e] += x * w[e];
        }
    }
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const u32 row = first + 8 * s;
        if (row >= rows) return;
        activate8(activation, sum[s]);
        store8(y + (u64)row * stride + column, sum[s]);
    }
}

// The gradient of the dense input, gradient . weightᵀ: a warp a row.
KERNEL dense_gradient(void* to, u32 to_is_bf16, u32 to_stride, const T* gradient, const float* weight, u32 width,
                      u32 accumulate, u32 rows, u32 columns, u32 stride) {
    const u32 row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    for (u32 d = 0; d < width; d++) {
        float sum = 0.0f;
        for (u32 column = lane * EIGHT; column < columns; column += 32 * EIGHT) {
            float g[EIGHT], w[EIGHT];
            load8(g, gradient + (u64)row * stride + column);
            load8(w, weight + (u64)d * stride + column);
#pragma unroll
            for (int e = 0; e < EIGHT; e++)
                if (column + e < columns) sum += g[e] * w[e];
        }
        sum = warp_sum(sum);
        const u64 at = (u64)row * to_stride + d;
        if (lane == 0) set_number(to, at, to_is_bf16, accumulate ? number_at(to, at, to_is_bf16) + sum : sum);
    }
}
