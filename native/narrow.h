// Products with few rows and few columns, such as a router's when one token is read: packing would cost more than the product.
// The same bits as multiply() in gemm.h gives: one chain over each block of the depth, blocks added in ascending order.
#pragma once
#include "gemm.h"

namespace openmoe::OPENMOE_ISA {

constexpr i64 kNarrowRows = 32;

inline bool is_narrow(i64 rows, i64 cols) { return rows <= kNarrowRows && cols <= kTileCols; }

// c = a·b for row-major a (rows × depth) and b (depth × cols <= kTileCols), on the calling thread.
inline void multiply_narrow(i64 rows, i64 cols, i64 depth, const f32* a, const f32* b, f32* c) {
  const i64 deep = block_depth(depth);
  for (i64 i = 0; i < rows; ++i) {
    vf total[kTileVectors] = {};
    for (i64 k = 0; k < depth; k += deep) {
      vf sum[kTileVectors] = {};
      for (i64 l = k; l < smaller(depth, k + deep); ++l) {
        const vf x = splat(a[i * depth + l]);
        for (i64 j = 0; j < kTileVectors; ++j)
          if (j * kLanes < cols) sum[j] += x * load_part(b + l * cols + j * kLanes, cols - j * kLanes);
      }
      for (i64 j = 0; j < kTileVectors; ++j) total[j] = k == 0 ? sum[j] : total[j] + sum[j];
    }
    for (i64 j = 0; j * kLanes < cols; ++j) store_part(c + i * cols + j * kLanes, total[j], cols - j * kLanes);
  }
}

// Few rows by many columns of a b that lies turned, as weights of a released checkpoint do: bound by reading b.
constexpr i64 kFewRows = 8;

// c[rows, high] = a[rows, depth] · bᵀ for `high` rows of b, which are read once: squares of b are turned in registers.
inline void multiply_few_turned(i64 rows, i64 high, i64 depth, const f32* a, const f32* b, f32* c, i64 c_step) {
  const i64 deep = block_depth(depth);
  for (i64 j = 0; j < high; j += kLanes) {
    const f32* w = b + j * depth;
    const i64 tall = smaller<i64>(kLanes, high - j);
    const f32* next = j + kLanes < high ? w + kLanes * depth : w;
    vf total[kFewRows] = {};
    for (i64 k = 0; k < depth; k += deep) {
      const i64 end = smaller(depth, k + deep);
      vf sum[kFewRows] = {};
      for (i64 l = k; l < end; l += kLanes) {
        const i64 part = smaller<i64>(kLanes, end - l);
        vf square[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) {
          square[i] = i < tall ? load_part(w + i * depth + l, part) : vf{};
#if !defined(__wasm__)
          __builtin_prefetch(next + i * depth + l, 0, 2);
#endif
        }
        pack::transpose<1>(square);
        for (i64 r = 0; r < rows; ++r) {
          const f32* x = a + r * depth + l;
          vf chain = sum[r];
          if (part == kLanes) {
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; ++i) chain = F32::multiply_add(F32::broadcast(x + i), square[i], chain);
          } else {
            for (i64 i = 0; i < part; ++i) chain = F32::multiply_add(F32::broadcast(x + i), square[i], chain);
          }
          sum[r] = chain;
        }
      }
      for (i64 r = 0; r < rows; ++r) total[r] = k == 0 ? sum[r] : total[r] + sum[r];
    }
    for (i64 r = 0; r < rows; ++r) store_part(c + r * c_step + j, total[r], tall);
  }
}

}  // namespace openmoe::OPENMOE_ISA
