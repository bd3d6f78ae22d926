// How far rows are from what they reconstruct: op/reconstruction_error.rs. What lies between columns and stride
// is in no sum; gradients there are as arbitrary as the values.
#include "crossrx.cuh"

// The mean over columns: a warp a row. `scale` is one over the columns, times the weight.
KERNEL forward(float* loss, const T* r, const T* x, u32 bce, float scale, u32 rows, u32 columns, u32 stride) {
    const u32 row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    r += (u64)row * stride;
    x += (u64)row * stride;
    float sum = 0.0f;
    for (u32 column = lane * EIGHT; column < columns; column += 32 * EIGHT) {
        float a[EIGHT], b[EIGHT];
        load8(a, r + column);
        load8(b, x + column);
#pragma unroll
        for (int e = 0; e < EIGHT; e++) {
            if (column + e >= columns) continue;
            const float error = a[e] - b[e];
            sum += bce ? (a[e] < 0.0f ? 0.0f : a[e]) - a[e] * b[e] + log1pf(expf(-fabsf(a[e]))) : error * error;
        }
    }
    sum = warp_sum(sum);
    if (lane == 0) loss[(u64)row * EIGHT] = scale * sum;
}

// The gradient of the reconstruction, or of what it reconstructs where `of_truth`.
KERNEL backward(T* to, const float* gradient, const T* r, const T* x, u32 bce, u32 of_truth, float scale,
                u32 accumulate, u32 rows, u32 stride) {
    const u32 first = first_row(), column = first_column();
    if (column >= stride) return;
    Eight rs[STEPS], xs[STEPS];
    float slopes[STEPS];
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const u32 row = first + 8 * s;
        const u64 at = (u64)row * stride + column;
        rs[s] = row < rows ? fetch8(r + at) : zeros8();
        xs[s] = row < rows ? fetch8(x + at) : zeros8();
        slopes[s] = row < rows ? scale * gradient[(u64)row * EIGHT] : 0.0f;
    }
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const u32 row = first + 8 * s;
        if (row >= rows) return;
        T* into = to + (u64)row * stride + column;
        float a[EIGHT], b[EIGHT], d[EIGHT] = {0.0f};
        widen8(a, rs[s]);
        widen8(b, xs[s]);
        if (accumulate) load8(d, into);
#pragma unroll
        for (int e = 0; e < EIGHT; e++) {
            const float error = a[e] - b[e];
            const float slope = bce ? (of_truth ? -a[e] : activate(SIGMOID, a[e]) - b[e])
                                    : (of_truth ? -2.0f * error : 2.0f * error);
            d[e] += slopes[s] * slope;
        }
        store8(into, d);
    }
}
