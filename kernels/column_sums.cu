// Sums over the rows of a tensor, column by column, in two passes: op/column_sums.rs. Each block sums ROWS
// rows of 256 columns; what blocks come to is added in their order, so sums depend on shapes alone.
#include "crossrx.cuh"

enum { ROWS = 128, LINES = 8, FINISH_LINES = 32, GROUP = 8 };

// Adds what the LINES threads of a column have, and writes it as the block's part of the sum.
__device__ inline void write_part(float* parts, const float sum[EIGHT], u32 eight, u32 stride) {
    __shared__ float shared[LINES][32 * EIGHT + 1];
#pragma unroll
    for (int e = 0; e < EIGHT; e++) shared[threadIdx.y][threadIdx.x * EIGHT + e] = sum[e];
    __syncthreads();
    // Each thread adds one column.
    const u32 inside = threadIdx.y * 32 + threadIdx.x;
    const u32 column = blockIdx.x * 32 * EIGHT + inside;
    float total = 0.0f;
#pragma unroll
    for (int line = 0; line < LINES; line++) total += shared[line][inside];
    if (column < stride) parts[(u64)blockIdx.y * stride + column] = total;
}

// Turns the gradient of values into that of their arguments, in place, and sums it if `parts` is given, and
// each row times a weight of its own if `weight` is. A thread reads STEPS rows before it writes one, which the
// compiler may not do by itself: for all it knows, the two tensors are one.
KERNEL slopes(T* gradient, const T* value, u32 activation, float* parts, const float* weight, u32 weight_stride,
              float* weighted_parts, u32 rows, u32 stride) {
    const u32 eight = blockIdx.x * 32 + threadIdx.x;
    const u32 end = min(rows, (blockIdx.y + 1) * ROWS);
    float sum[EIGHT] = {0.0f}, weighted[EIGHT] = {0.0f};
    if (eight * EIGHT < stride) {
        for (u32 first = blockIdx.y * ROWS + threadIdx.y; first < end; first += LINES * STEPS) {
            Eight raw[STEPS], values[STEPS];
            float weights[STEPS];
#pragma unroll
            for (int s = 0; s < STEPS; s++) {
                const u32 row = first + LINES * s;
                const u64 at = (u64)row * stride + eight * EIGHT;
                raw[s] = row < end ? fetch8(gradient + at) : zeros8();
                values[s] = row < end && activation != IDENTITY ? fetch8(value + at) : zeros8();
                weights[s] = row < end && weight ? weight[(u64)row * weight_stride] : 0.0f;
            }
#pragma unroll
            for (int s = 0; s < STEPS; s++) {
                const u32 row = first + LINES * s;
                if (row >= end) break;
                float g[EIGHT];
                widen8(g, raw[s]);
                if (activation != IDENTITY) {
                    float y[EIGHT];
                    widen8(y, values[s]);
                    activation_slope8(activation, g, y);
                    store8(gradient + (u64)row * stride + eight * EIGHT, g);
                }
#pragma unroll
                for (int e = 0; e < EIGHT; e++) {
                    sum[e] += g[e];
                    weighted[e] += weights[s] * g[e];
                }
            }
        }
    }
    if (parts) write_part(parts, sum, eight, stride);
    if (!weight) return;
    __syncthreads();
    write_part(weighted_parts, weighted, eight, stride);
}

// What a layer with one output does to its input `value`, all in one reading of it: sums its rows, each times
// the output's gradient, for the gradient of the layer's weight; and writes the input's own gradient, an outer
// product, turned into that of the arguments of `activation`, summed if `parts` is given.
KERNEL outer_slopes(T* to, const T* value, const float* gradient, const float* weight, u32 activation,
                    float* parts, float* value_parts, u32 rows, u32 stride) {
    const u32 eight = blockIdx.x * 32 + threadIdx.x;
    const u32 end = min(rows, (blockIdx.y + 1) * ROWS);
    float sum[EIGHT] = {0.0f}, along[EIGHT] = {0.0f};
    if (eight * EIGHT < stride) {
        float w[EIGHT];
        load8(w, weight + eight * EIGHT);
        for (u32 first = blockIdx.y * ROWS + threadIdx.y; first < end; first += LINES * STEPS) {
            Eight values[STEPS];
            float gradients[STEPS];
#pragma unroll
            for (int s = 0; s < STEPS; s++) {
                const u32 row = first + LINES * s;
                values[s] = row < end ? fetch8(value + (u64)row * stride + eight * EIGHT) : zeros8();
                gradients[s] = row < end ? gradient[(u64)row * EIGHT] : 0.0f;
            }
#pragma unroll
            for (int s = 0; s < STEPS; s++) {
                const u32 row = first + LINES * s;
                if (row >= end) break;
                float y[EIGHT], g[EIGHT];
                widen8(y, values[s]);
#pragma unroll
                for (int e = 0; e < EIGHT; e++) {
                    along[e] += gradients[s] * y[e];
                    g[e] = gradients[s] * w[e];
                }
                activation_slope8(activation, g, y);
                store8(to + (u64)row * stride + eight * EIGHT, g);
#pragma unroll
                for (int e = 0; e < EIGHT; e++) sum[e] += g[e];
            }
        }
    }
    write_part(value_parts, along, eight, stride);
    if (!parts) return;
    __syncthreads();
    write_part(parts, sum, eight, stride);
}

// Sums rows, each times a weight of its own, `weight_stride` apart.
KERNEL weighted(const T* from, const void* weight, u32 weight_is_bf16, u32 weight_stride, float* parts, u32 rows,
                u32 stride) {
    const u32 eight = blockIdx.x * 32 + threadIdx.x;
    const u32 end = min(rows, (blockIdx.y + 1) * ROWS);
    float sum[EIGHT] = {0.0f};
    if (eight * EIGHT < stride) {
        for (u32 row = blockIdx.y * ROWS + threadIdx.y; row < end; row += LINES) {
            float x[EIGHT];
            load8(x, from + (u64)row * stride + eight * EIGHT);
            const float w = number_at(weight, (u64)row * weight_stride, weight_is_bf16);
#pragma unroll
            for (int e = 0; e < EIGHT; e++) sum[e] += w * x[e];
        }
    }
    write_part(parts, sum, eight, stride);
}

// Sums the gradient of a layer norm, and the gradient times the scaled input: by `scales`, mean and inverse
// deviation of each row.
KERNEL normalised(const T* gradient, const T* x, const float* scales, float* parts, float* normal_parts, u32 rows,
                  u32 stride) {
    const u32 eight = blockIdx.x * 32 + threadIdx.x;
    const u32 end = min(rows, (blockIdx.y + 1) * ROWS);
    float sum[EIGHT] = {0.0f}, along[EIGHT] = {0.0f};
    if (eight * EIGHT < stride) {
        for (u32 row = blockIdx.y * ROWS + threadIdx.y; row < end; row += LINES) {
            float g[EIGHT], v[EIGHT];
            load8(g, gradient + (u64)row * stride + eight * EIGHT);
            load8(v, x + (u64)row * stride + eight * EIGHT);
            const float mean = scales[2 * (u64)row], inverse = scales[2 * (u64)row + 1];
#pragma unroll
            for (int e = 0; e < EIGHT; e++) {
                sum[e] += g[e];
                along[e] += g[e] * ((v[e] - mean) * inverse);
            }
        }
    }
    write_part(parts, sum, eight, stride);
    __syncthreads();
    write_part(normal_parts, along, eight, stride);
}

// Adds the parts of all blocks, in blocks of [32, FINISH_LINES] threads.
KERNEL finish(float* to, const float* parts, u32 blocks, u32 columns, u32 stride) {
    __shared__ float shared[FINISH_LINES][32];
    const u32 column = blockIdx.x * 32 + threadIdx.x;
    float sum = 0.0f;
    if (column < columns) {
        // Loads of GROUP parts are under way together; an end looked for between them would part them.
        for (u32 first = threadIdx.y; first < blocks; first += FINISH_LINES * GROUP) {
            float part[GROUP];
#pragma unroll
            for (u32 i = 0; i < GROUP; i++) {
                const u32 block = first + i * FINISH_LINES;
                part[i] = block < blocks ? parts[(u64)block * stride + column] : 0.0f;
            }
#pragma unroll
            for (u32 i = 0; i < GROUP; i++) sum += part[i];
        }
    }
    shared[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && column < columns) {
        float total = 0.0f;
#pragma unroll
        for (int line = 0; line < FINISH_LINES; line++) total += shared[line][threadIdx.x];
        to[column] = total;
    }
}
