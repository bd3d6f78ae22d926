// Rows held near the center of their class, and centers held apart: op/center_loss.rs. A center is `scale` times
// the parameter, in whose rows what lies between columns and stride is zero.
#include "crossrx.cuh"

enum { MOST_CLASSES = 1024, WARPS = 8 };

// A warp takes |c_j - c_k|.
__device__ inline float distance(const float* centers, const float* scale, u32 j, u32 k, u32 lane, u32 stride) {
    const float of_j = scale[j], of_k = scale[k];
    float sum = 0.0f;
    for (u32 column = lane * EIGHT; column < stride; column += 32 * EIGHT) {
        float a[EIGHT], b[EIGHT];
        load8(a, centers + (u64)j * stride + column);
        load8(b, centers + (u64)k * stride + column);
#pragma unroll
        for (int e = 0; e < EIGHT; e++) {
            const float apart = of_j * a[e] - of_k * b[e];
            sum += apart * apart;
        }
    }
    return sqrtf(warp_sum(sum));
}

// How much less than the margin a distance is. What is not a number stays none.
__device__ inline float lack_of(float margin, float distance) {
    const float lack = margin - distance;
    return lack < 0.0f ? 0.0f : lack;
}

// What centers nearer than the margin add to the loss of each row, in as many parts as there are blocks: each
// takes every so-manieth class with all after it, and writes its part beside the loss of a row.
KERNEL distances(float* loss, const float* centers, const float* scale, float factor, float margin, u32 classes,
                 u32 stride) {
    __shared__ float parts[WARPS];
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float sum = 0.0f;
    for (u32 j = blockIdx.x; j < classes; j += gridDim.x) {
        for (u32 k = j + 1 + warp; k < classes; k += WARPS) {
            const float lack = lack_of(margin, distance(centers, scale, j, k, lane, stride));
            sum += 0.5f * lack * lack;
        }
    }
    if (lane == 0) parts[warp] = sum;
    __syncthreads();
    if (threadIdx.x != 0) return;
    float total = 0.0f;
    for (int w = 0; w < WARPS; w++) total += parts[w];
    loss[(u64)blockIdx.x * EIGHT + 1] = factor * total;
}

// A warp a row. The class of a row is the number of the one that it names; there are rows without.
KERNEL forward(float* loss, const T* z, const float* centers, const float* scale, const u32* index,
               const u32* number, float weight, u32 classes, u32 parts, u32 rows, u32 columns, u32 stride) {
    const u32 row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    const u32 own = number[index[row]];
    float sum = 0.0f, spread = 0.0f;
    if (own < classes) {
        const float of_own = scale[own];
        for (u32 column = lane * EIGHT; column < columns; column += 32 * EIGHT) {
            float v[EIGHT], c[EIGHT];
            load8(v, z + (u64)row * stride + column);
            load8(c, centers + (u64)own * stride + column);
#pragma unroll
            for (int e = 0; e < EIGHT; e++) {
                if (column + e >= columns) continue;
                const float apart = v[e] - of_own * c[e];
                sum += apart * apart;
            }
        }
    }
    for (u32 part = lane; part < parts; part += 32) spread += loss[(u64)part * EIGHT + 1];
    sum = warp_sum(sum);
    spread = warp_sum(spread);
    if (lane == 0) loss[(u64)row * EIGHT] = 0.5f * weight * sum + spread;
}

// The gradient of rows: a warp a row.
KERNEL of_rows(T* to, const float* gradient, const T* z, const float* centers, const float* scale, const u32* index,
               const u32* number, float weight, u32 accumulate, u32 classes, u32 rows, u32 stride) {
    const u32 row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    const u32 own = number[index[row]];
    const bool has = own < classes;
    const float slope = has ? weight * gradient[(u64)row * EIGHT] : 0.0f, of_own = has ? scale[own] : 0.0f;
    centers += has ? (u64)own * stride : 0;
    for (u32 column = lane * EIGHT; column < stride; column += 32 * EIGHT) {
        const u64 at = (u64)row * stride + column;
        float v[EIGHT], c[EIGHT], d[EIGHT] = {0.0f};
        load8(v, z + at);
        load8(c, centers + column);
        if (accumulate) load8(d, to + at);
#pragma unroll
        for (int e = 0; e < EIGHT; e++) d[e] += slope * (v[e] - of_own * c[e]);
        store8(to + at, d);
    }
}

// The gradient of centers: a block a class. Its warps share the other centers and the class's rows, each
// every WARPS-th, so that every sum has an order of its own.
KERNEL of_centers(float* to, const float* gradient, const T* z, const float* centers, const float* scale,
                  const u32* start, const u32* order, const u32* number, float weight, float factor, float margin,
                  u32 classes, u32 class_rows, u32 rows, u32 columns, u32 stride) {
    __shared__ float pushes[MOST_CLASSES];
    __shared__ float parts[WARPS][32];
    const u32 j = blockIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float total = 0.0f;
    for (u32 row = threadIdx.x; row < rows; row += blockDim.x) total += gradient[(u64)row * EIGHT];
    total = warp_sum(total);
    if (lane == 0) parts[warp][0] = total;
    __syncthreads();
    total = 0.0f;
    for (int w = 0; w < WARPS; w++) total += parts[w][0];
    for (u32 k = warp; k < classes; k += WARPS) {
        float push = 0.0f;
        if (k != j && factor != 0.0f) {
            const float apart = distance(centers, scale, j, k, lane, stride);
            const float lack = lack_of(margin, apart);
            // Where two centers meet, no way leads apart.
            push = lack == 0.0f || apart == 0.0f ? 0.0f : total * factor * (lack / apart);
        }
        if (lane == 0) pushes[k] = push;
    }
    const float of_j = scale[j];
    for (u32 first = 0; first < columns; first += 32) {
        const u32 column = first + lane;
        float sum = 0.0f;
        // The places of an earlier round are read, and those of the pushes written.
        __syncthreads();
        if (column < columns) {
            const float center = of_j * centers[(u64)j * stride + column];
            for (u32 k = warp; k < classes; k += WARPS) {
                const float push = pushes[k];
                if (push != 0.0f) sum -= push * (center - scale[k] * centers[(u64)k * stride + column]);
            }
            for (u32 r = 0; r < class_rows; r++) {
                if (number[r] != j) continue;
                for (u32 at = start[r] + warp; at < start[r + 1]; at += WARPS) {
                    const u64 row = order[at];
                    sum += weight * gradient[row * EIGHT] * (center - wide(z[row * stride + column]));
                }
            }
        }
        parts[warp][lane] = sum;
        __syncthreads();
        if (warp == 0 && column < columns) {
            float all = 0.0f;
            for (int w = 0; w < WARPS; w++) all += parts[w][lane];
            to[(u64)j * stride + column] = of_j * all;
        }
    }
}
