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

}  // namespace openmoe::OPENMOE_ISA
