// What a dense layer does beside its products: op/linear.rs.
#include "crossrx.cuh"

// y = activation(y + bias), where the product's own epilogue has no such function.
KERNEL finish(T* y, const float* bias, u32 activation, u32 rows, u32 stride, u32 columns) {
    const u32 eights = stride / EIGHT;
    const u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (u64)rows * eights) return;
    const u32 column = (u32)(i % eights) * EIGHT;
    float v[EIGHT];
    load8(v, y + i * EIGHT);
#pragma unroll
    for (int e = 0; e < EIGHT; e++)
        if (bias && column + e < columns) v[e] += bias[column + e];
    activate8(activation, v);
    store8(y + i * EIGHT, v);
}

// One output: y[row] = activation(x[row] . weight + bias), a warp a row.
KERNEL one_output(float* y, const T* x, const float* weight, const float* bias, u32 activation, u32 rows,
                  u32 columns, u32 stride) {
    const u32 row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    float sum = 0.0f;
    for (u32 column = lane * EIGHT; column < columns; column += 32 * EIGHT) {
        float v[EIGHT];
        load8(v, x + (u64)row * stride + column);
#pragma unroll
        for (int e = 0; e < EIGHT; e++)
            if (column + e < columns) sum += v[e] * weight[column + e];
    }
    sum = warp_sum(sum);
    if (lane == 0) y[(u64)row * EIGHT] = activate(activation, sum + (bias ? *bias : 0.0f));
}

// One output: the gradient of x, an outer product.
KERNEL one_output_input(T* to, const float* gradient, const float* weight, u32 accumulate, u32 rows, u32 columns,
                        u32 stride) {
    const u32 eights = stride / EIGHT;
    const u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (u64)rows * eights) return;
    const u32 column = (u32)(i % eights) * EIGHT;
    const float g = gradient[i / eights * EIGHT];
    float v[EIGHT] = {0.0f};
    if (accumulate) load8(v, to + i * EIGHT);
#pragma unroll
    for (int e = 0; e < EIGHT; e++)
        if (column + e < columns) v[e] += g * weight[column + e];
    store8(to + i * EIGHT, v);
}
