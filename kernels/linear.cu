// What a dense layer does beside its products: op/linear.rs.
#include "crossrx.cuh"

// y = activation(y + bias), where the product's own epilogue has no such function.
KERNEL finish(T* y, const float* bias, u32 activation, u32 rows, u32 stride, u32 columns) {
    const u32 column = first_column();
    if (column >= stride) return;
    float b[EIGHT] = {0.0f};
#pragma unroll
    for (int e = 0; e < EIGHT; e++)
        if (bias && column + e < columns) b[e] = bias[column + e];
    Eight raw[STEPS];
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const u32 row = first_row() + 8 * s;
        raw[s] = row < rows ? fetch8(y + (u64)row * stride + column) : zeros8();
    }
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const u32 row = first_row() + 8 * s;
        if (row >= rows) return;
        float v[EIGHT];
        widen8(v, raw[s]);
#pragma unroll
        for (int e = 0; e < EIGHT; e++) v[e] += b[e];
        activate8(activation, v);
        store8(y + (u64)row * stride + column, v);
    }
}

// One output: y[row] = activation(x[row] . weight + bias), a warp for STEPS rows, which read the weights once.
KERNEL one_output(float* y, const T* x, const float* weight, const float* bias, u32 activation, u32 rows,
                  u32 columns, u32 stride) {
    const u32 first = (blockIdx.x * blockDim.x + threadIdx.x) / 32 * STEPS, lane = threadIdx.x % 32;
    if (first >= rows) return;
    float sum[STEPS] = {0.0f};
    for (u32 column = lane * EIGHT; column < columns; column += 32 * EIGHT) {
        Eight raw[STEPS];
#pragma unroll
        for (int s = 0; s < STEPS; s++)
            raw[s] = first + s < rows ? fetch8(x + (u64)(first + s) * stride + column) : zeros8();
        float w[EIGHT];
        load8(w, weight + column);
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            float v[EIGHT];
            widen8(v, raw[s]);
#pragma unroll
            for (int e = 0; e < EIGHT; e++)
                if (column + e < columns) sum[s] += v[e] * w[e];
        }
    }
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const float total = warp_sum(sum[s]);
        if (lane == 0 && first + s < rows)
            y[(u64)(first + s) * EIGHT] = activate(activation, total + (bias ? *bias : 0.0f));
    }
}

// One output: the gradient of x, an outer product.
KERNEL one_output_input(T* to, const float* gradient, const float* weight, u32 accumulate, u32 rows, u32 columns,
                        u32 stride) {
    const u32 column = first_column();
    if (column >= stride) return;
    float w[EIGHT] = {0.0f};
#pragma unroll
    for (int e = 0; e < EIGHT; e++)
        if (column + e < columns) w[e] = weight[column + e];
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const u32 row = first_row() + 8 * s;
        if (row >= rows) return;
        const float g = gradient[(u64)row * EIGHT];
        float v[EIGHT] = {0.0f};
        if (accumulate) load8(v, to + (u64)row * stride + column);
#pragma unroll
        for (int e = 0; e < EIGHT; e++) v[e] += g * w[e];
        store8(to + (u64)row * stride + column, v);
    }
}
