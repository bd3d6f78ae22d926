// Sums of rows by lists: op/segment.rs. `sharing` warps of a block take GROUP entries of a list in turn, for
// 256 columns; `pieces` blocks may share a list. Who takes what depends on shapes alone, and what each has is
// added in a fixed tree. Blocks of one strip of columns follow each other, so that rows which many lists
// name come from the cache.
#include "crossrx.cuh"

enum { LINES = 16, GROUP = 4 };
constexpr u32 NO_ROW = 0xffffffffu;

// Adds what the `sharing` warps of a list have; the first of them gets the sum.
__device__ inline void add_lines(float sum[EIGHT], u32 member, u32 sharing) {
    __shared__ float shared[LINES][EIGHT][32];
    for (u32 half = sharing / 2; half > 0; half /= 2) {
        if (member >= half && member < 2 * half) {
#pragma unroll
            for (int e = 0; e < EIGHT; e++) shared[threadIdx.y][e][threadIdx.x] = sum[e];
        }
        __syncthreads();
        if (member < half) {
#pragma unroll
            for (int e = 0; e < EIGHT; e++) sum[e] += shared[threadIdx.y + half][e][threadIdx.x];
        }
        __syncthreads();
    }
}

// Each row of `to`, one a list, or a piece of one: activation(sum + bias). `which` says, where given, which of
// the lists is a row's; `through`, which row an entry stands for, or NO_ROW.
template <class Sum>
__device__ inline void sum_lists(Sum* to, const T* from, const u32* start, const u32* order, const u32* which,
                                 const u32* through, const float* bias, u32 activation, u32 accumulate, u32 lists,
                                 u32 pieces, u32 sharing, u32 columns, u32 stride) {
    const u32 member = threadIdx.y % sharing;
    const u32 slot = blockIdx.x * (LINES / sharing) + threadIdx.y / sharing;
    const u32 column = first_column();
    const bool mine = slot < lists * pieces && column < stride;
    float sum[EIGHT] = {0.0f};
    if (mine) {
        const u32 row = slot / pieces;
        const u32 list = which ? which[row] : row;
        const u32 end = start[list + 1];
        u32 at = start[list] + (slot % pieces * sharing + member) * GROUP;
        for (; at < end; at += pieces * sharing * GROUP) {
            u32 rows[GROUP];
            Eight raw[GROUP];
#pragma unroll
            for (int i = 0; i < GROUP; i++) rows[i] = at + i < end ? order[at + i] : NO_ROW;
            if (through) {
#pragma unroll
                for (int i = 0; i < GROUP; i++) rows[i] = rows[i] == NO_ROW ? NO_ROW : through[rows[i]];
            }
#pragma unroll
            for (int i = 0; i < GROUP; i++) {
                raw[i] = zeros8();
                if (rows[i] != NO_ROW) raw[i] = fetch8(from + (u64)rows[i] * stride + column);
            }
#pragma unroll
            for (int i = 0; i < GROUP; i++) {
                float v[EIGHT];
                widen8(v, raw[i]);
#pragma unroll
                for (int e = 0; e < EIGHT; e++) sum[e] += v[e];
            }
        }
    }
    if (sharing > 1) add_lines(sum, member, sharing);
    if (!mine || member > 0) return;
    Sum* into = to + (u64)slot * stride + column;
    float old[EIGHT] = {0.0f};
    if (accumulate) load8(old, into);
    if (bias) {
#pragma unroll
        for (int e = 0; e < EIGHT; e++) sum[e] += bias[column + e];
    }
    activate8(activation, sum);
    // Parameters have zeros beyond their columns, which their gradients must keep.
#pragma unroll
    for (int e = 0; e < EIGHT; e++) sum[e] = column + e < columns ? old[e] + sum[e] : 0.0f;
    store8(into, sum);
}

KERNEL sums(T* to, const T* from, const u32* start, const u32* order, const u32* which, const u32* through,
            const float* bias, u32 activation, u32 accumulate, u32 lists, u32 pieces, u32 sharing, u32 columns,
            u32 stride) {
    sum_lists(to, from, start, order, which, through, bias, activation, accumulate, lists, pieces, sharing, columns,
              stride);
}

KERNEL wide_sums(float* to, const T* from, const u32* start, const u32* order, const u32* which,
                 const u32* through, const float* bias, u32 activation, u32 accumulate, u32 lists, u32 pieces,
                 u32 sharing, u32 columns, u32 stride) {
    sum_lists(to, from, start, order, which, through, bias, activation, accumulate, lists, pieces, sharing, columns,
              stride);
}

// Adds the pieces of each list.
KERNEL join_pieces(T* to, const float* parts, u32 accumulate, u32 lists, u32 pieces, u32 stride) {
    const u32 eights = stride / EIGHT;
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= lists * eights) return;
    const u32 list = i / eights, column = i % eights * EIGHT;
    T* into = to + (u64)list * stride + column;
    float sum[EIGHT] = {0.0f};
    if (accumulate) load8(sum, into);
    for (u32 piece = 0; piece < pieces; piece++) {
        float v[EIGHT];
        load8(v, parts + (u64)(list * pieces + piece) * stride + column);
#pragma unroll
        for (int e = 0; e < EIGHT; e++) sum[e] += v[e];
    }
    store8(into, sum);
}
