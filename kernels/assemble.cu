// The rows of a batch: which pairs, their drugs and samples once each, and what belongs to a pair:
// batch/cuda_assembler.rs and batch/cuda_feeder.rs.
#include "crossrx.cuh"

enum { THREADS = 256, EACH = 4, TILE = THREADS * EACH };

KERNEL fill(u32* to, u32 value, u32 n) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) to[i] = value;
}

// Whether the pair at `at` is the first of its entity, in pairs that are sorted by it.
__device__ inline bool is_head(const u32* key, u32 at, u32 pairs) {
    return at < pairs && (at == 0 || key[at] != key[at - 1]);
}

// How many entities begin in each tile of sorted pairs.
KERNEL heads(u32* counts, const u32* key, u32 n, const Pass* pass) {
    const u32 pairs = min(pass->pairs, n);
    u32 count = 0;
#pragma unroll
    for (u32 i = 0; i < EACH; i++) count += is_head(key, blockIdx.x * TILE + i * THREADS + threadIdx.x, pairs);
    u32 total;
    sum_before(count, &total);
    if (threadIdx.x == 0) counts[blockIdx.x] = total;
}

// Lists the entities of sorted pairs, by their rows in the tables, `key`, and by their numbers in the store;
// where the pairs of each begin; and for each pair which entity is its own. `order` names the pairs in
// sorted order where that is not the batch's. `entities` are as many as have room; those beyond the ones there
// are have no pairs, and name row 0 and number 0, as do padding pairs.
KERNEL lists(u32* index, u32* start, u32* listed, u32* number, u32* row, u32* count, const u32* key,
             const u32* order, const u32* heads, const u32* number_of, u32 n, u32 entities, const Pass* pass) {
    const u32 pairs = min(pass->pairs, n);
    u32 earlier = 0, all = 0, before, total;
    for (u32 tile = threadIdx.x; tile < gridDim.x; tile += THREADS) {
        const u32 heads_of_tile = heads[tile];
        all += heads_of_tile;
        earlier += tile < blockIdx.x ? heads_of_tile : 0u;
    }
    sum_before(earlier, &before);
    sum_before(all, &total);
    const u32 first = blockIdx.x * TILE + threadIdx.x * EACH;
    bool head[EACH];
    u32 own = 0, unused;
#pragma unroll
    for (u32 i = 0; i < EACH; i++) own += head[i] = is_head(key, first + i, pairs);
    u32 begun = before + sum_before(own, &unused);
#pragma unroll
    for (u32 i = 0; i < EACH; i++) {
        const u32 at = first + i;
        if (at >= n) break;
        const u32 pair = order ? order[at] : at;
        if (head[i] && begun < entities) {
            start[begun] = at;
            listed[begun] = key[at];
            number[begun] = number_of[key[at]];
            if (row) row[key[at]] = begun;
        }
        begun += head[i];
        index[pair] = at < pairs ? begun - 1 : 0u;
        if (at >= total && at < entities) listed[at] = number[at] = 0;
        if (at + 1 >= total && at < entities) start[at + 1] = pairs;
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        *count = total;
        if (total == 0) start[0] = 0;
    }
}

// One number a row, in a tensor's storage.
__device__ inline void put_column(float* to, u32 row, float x) {
    const float v[EIGHT] = {x};
    store8(to + (u64)row * EIGHT, v);
}

// What belongs to the pairs of a batch, `from` being their places among all pairs; and the keys to sort them
// by their samples. Dose and truth are absent where nothing reads them.
KERNEL pairs(u32* to_key, u32* to_value, u32* number, float* dose, float* truth, const u32* from,
             const u32* sample, const u32* all_number, const float* all_dose, const float* all_truth, u32 n,
             const Pass* pass) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const bool used = i < pass->pairs;
    const u32 pair = used ? from[i] : 0u;
    to_key[i] = used ? sample[pair] : 0xffffffffu;
    to_value[i] = i;
    number[i] = used ? all_number[pair] : 0u;
    if (dose) put_column(dose, i, used ? all_dose[pair] : 0.0f);
    if (truth) put_column(truth, i, used ? all_truth[pair] : 0.0f);
}

// For each pair of a run, the place of its entity in a list; the first for padding.
KERNEL located(u32* index, const u32* entity, const u32* place, u32 pairs, u32 padded) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= padded) return;
    const u32 at = i < pairs ? place[entity[i]] : 0u;
    index[i] = at == 0xffffffffu ? 0u : at;
}

// Lays one number a pair out as a tensor; zeros for padding.
KERNEL column(float* to, const float* from, u32 pairs, u32 padded) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < padded) put_column(to, i, i < pairs ? from[i] : 0.0f);
}

// The reverse.
KERNEL packed(float* to, const float* from, u32 rows) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < rows) to[i] = from[(u64)i * EIGHT];
}
