// The features of a batch's drugs or samples, from tables of all: batch/cuda_tables.rs. Blocks are of 32
// threads along a row by THREAD_ROWS rows, and take more rows in turn.
#include "crossrx.cuh"

enum { THREAD_ROWS = 8 };

// Copies the rows `listed`, `vectors` of sixteen bytes each; those beyond `count` become zeros.
KERNEL gather(uint4* __restrict__ to, const uint4* __restrict__ table, const u32* __restrict__ listed,
              const u32* __restrict__ count, u32 rows, u32 vectors) {
    const u32 vector = blockIdx.x * 32 + threadIdx.x;
    if (vector >= vectors) return;
    const u32 used = *count;
#pragma unroll 4
    for (u32 row = blockIdx.y * THREAD_ROWS + threadIdx.y; row < rows; row += gridDim.y * THREAD_ROWS) {
        uint4 v = make_uint4(0, 0, 0, 0);
        if (row < used) v = table[(u64)listed[row] * vectors + vector];
        to[(u64)row * vectors + vector] = v;
    }
}

// The same from a table of bits, a byte for `EIGHT` columns; `values` are what zeros, then ones, of each
// column become.
KERNEL unpack(T* __restrict__ to, const unsigned char* __restrict__ bits, const float* __restrict__ values,
              const u32* __restrict__ listed, const u32* __restrict__ count, u32 rows, u32 eights) {
    const u32 eight = blockIdx.x * 32 + threadIdx.x;
    if (eight >= eights) return;
    const u32 used = *count;
    float zero[EIGHT], one[EIGHT];
    load8(zero, values + (u64)eight * EIGHT);
    load8(one, values + (u64)(eights + eight) * EIGHT);
#pragma unroll 4
    for (u32 row = blockIdx.y * THREAD_ROWS + threadIdx.y; row < rows; row += gridDim.y * THREAD_ROWS) {
        float v[EIGHT] = {0.0f};
        if (row < used) {
            const u32 byte = bits[(u64)listed[row] * eights + eight];
#pragma unroll
            for (int e = 0; e < EIGHT; e++) v[e] = byte >> e & 1u ? one[e] : zero[e];
        }
        store8(to + ((u64)row * eights + eight) * EIGHT, v);
    }
}
