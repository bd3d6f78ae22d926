// Rows scaled to mean zero and variance one: op/layer_norm.rs. A warp a row, which it reads once from memory
// and then from the cache.
#include "crossrx.cuh"

constexpr float EPSILON = 1e-5f;

struct Scale {
    float mean, inverse;
};

__device__ inline Scale scale_of(const T* x, u32 lane, u32 columns) {
    float sum = 0.0f;
    for (u32 column = lane * EIGHT; column < columns; column += 32 * EIGHT) {
        float v[EIGHT];
        load8(v, x + column);
#pragma unroll
        for (int e = 0; e < EIGHT; e++)
            if (column + e < columns) sum += v[e];
    }
    const float mean = warp_sum(sum) / (float)columns;
    float squares = 0.0f;
    for (u32 column = lane * EIGHT; column < columns; column += 32 * EIGHT) {
        float v[EIGHT];
        load8(v, x + column);
#pragma unroll
        for (int e = 0; e < EIGHT; e++)
            if (column + e < columns) squares += (v[e] - mean) * (v[e] - mean);
    }
    const float variance = warp_sum(squares) / (float)columns;
    return Scale{mean, 1.0f / sqrtf(variance + EPSILON)};
}

KERNEL forward(T* y, const T* x, const float* gain, const float* bias, u32 rows, u32 columns, u32 stride) {
    const u32 row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    x += (u64)row * stride;
    const Scale scale = scale_of(x, lane, columns);
    for (u32 column = lane * EIGHT; column < columns; column += 32 * EIGHT) {
        float v[EIGHT], g[EIGHT], b[EIGHT];
        load8(v, x + column);
        load8(g, gain + column);
        load8(b, bias + column);
#pragma unroll
        for (int e = 0; e < EIGHT; e++) v[e] = (v[e] - scale.mean) * scale.inverse * g[e] + b[e];
        store8(y + (u64)row * stride + column, v);
    }
}

// Mean and inverse deviation of each row, for the sums of column_sums.cu, and, if `to` is given, the gradient
// of the input.
KERNEL backward(T* to, u32 accumulate, const T* gradient, const T* x, const float* gain, float* scales, u32 rows,
                u32 columns, u32 stride) {
    const u32 row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    x += (u64)row * stride;
    gradient += (u64)row * stride;
    const Scale scale = scale_of(x, lane, columns);
    if (lane == 0) {
        scales[2 * (u64)row] = scale.mean;
        scales[2 * (u64)row + 1] = scale.inverse;
    }
    if (!to) return;
    float sum = 0.0f, along = 0.0f;
    for (u32 column = lane * EIGHT; column < columns; column += 32 * EIGHT) {
        float v[EIGHT], d[EIGHT], g[EIGHT];
        load8(v, x + column);
        load8(d, gradient + column);
        load8(g, gain + column);
#pragma unroll
        for (int e = 0; e < EIGHT; e++) {
            if (column + e >= columns) continue;
            sum += d[e] * g[e];
            along += d[e] * g[e] * (v[e] - scale.mean) * scale.inverse;
        }
    }
    sum = warp_sum(sum) / (float)columns;
    along = warp_sum(along) / (float)columns;
    to += (u64)row * stride;
    for (u32 column = lane * EIGHT; column < columns; column += 32 * EIGHT) {
        float v[EIGHT], d[EIGHT], g[EIGHT], old[EIGHT] = {0.0f};
        load8(v, x + column);
        load8(d, gradient + column);
        load8(g, gain + column);
        if (accumulate) load8(old, to + column);
#pragma unroll
        for (int e = 0; e < EIGHT; e++) {
            const float normal = (v[e] - scale.mean) * scale.inverse;
            v[e] = old[e] + scale.inverse * (d[e] * g[e] - (sum + normal * along));
        }
        store8(to + column, v);
    }
}
