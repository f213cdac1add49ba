// rms_norm and its gradient. Bound by memory: a row is read once from memory and a second time from the first-level cache.
// dscale sums over rows in blocks of fixed size whose partial sums are added in order.
#include "../../native/vector-math.h"

namespace openmoe::OPENMOE_ISA {
namespace norm_detail {

constexpr i64 kRows = 32;

// Σ a·b over a row, in lanes of fixed order.
inline f32 inner(const f32* a, const f32* b, i64 n) {
  vf s0{}, s1{};
  i64 i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    s0 += load(a + i) * load(b + i);
    s1 += load(a + i + kLanes) * load(b + i + kLanes);
  }
  for (; i < n; i += kLanes) s0 += load_part(a + i, n - i) * load_part(b + i, n - i);
  return hsum(s0 + s1);
}
inline size_t grad_scratch(const Call& c) {
  return sizeof(f32) * c.dim(0, 1) * (ceil_div(c.dim(0, 0), kRows) + c.threads());
}

}  // namespace norm_detail

KERNEL(rms_norm) {
  using namespace norm_detail;
  const i64 N = c.dim(0, 0), D = c.dim(0, 1);
  const f32 *x = c.in<f32>(0), *scale = c.in<f32>(1), eps = c.attr(0);
  f32* y = c.out<f32>(0);
  c.parallel(ceil_div(N, kRows), [&](i64 task, i32) {
    for (i64 n = task * kRows; n < smaller(N, (task + 1) * kRows); ++n) {
      const f32* row = x + n * D;
      const vf inv = splat(1.0f / __builtin_sqrtf(inner(row, row, D) / static_cast<f32>(D) + eps));
      for (i64 d = 0; d < D; d += kLanes) store_part(y + n * D + d, load_part(row + d, D - d) * inv * load_part(scale + d, D - d), D - d);
    }
  });
}

KERNEL_WITH_SCRATCH(rms_norm_grad, norm_detail::grad_scratch) {
  using namespace norm_detail;
  const i64 N = c.dim(0, 0), D = c.dim(0, 1), blocks = ceil_div(N, kRows);
  const f32 *x = c.in<f32>(0), *scale = c.in<f32>(1), *dy = c.in<f32>(2), eps = c.attr(0);
  f32 *dx = c.out<f32>(0), *dscale = c.out<f32>(1);
  f32* partial = reinterpret_cast<f32*>(c.scratch);
  c.parallel(blocks, [&](i64 task, i32 worker) {
    f32* sums = partial + task * D;
    f32* scaled = partial + (blocks + worker) * D;
    for (i64 d = 0; d < D; ++d) sums[d] = 0;
    for (i64 n = task * kRows; n < smaller(N, (task + 1) * kRows); ++n) {
      const f32 *row = x + n * D, *grad = dy + n * D;
      const f32 inv = 1.0f / __builtin_sqrtf(inner(row, row, D) / static_cast<f32>(D) + eps);
      for (i64 d = 0; d < D; d += kLanes) {
        const vf g = load_part(grad + d, D - d);
        store_part(scaled + d, g * load_part(scale + d, D - d), D - d);
        store_part(sums + d, load_part(sums + d, D - d) + g * load_part(row + d, D - d) * inv, D - d);
      }
      if (!dx) continue;
      const f32 along = inner(scaled, row, D) * inv * inv / static_cast<f32>(D);
      for (i64 d = 0; d < D; d += kLanes)
        store_part(dx + n * D + d, (load_part(scaled + d, D - d) - load_part(row + d, D - d) * along) * inv, D - d);
    }
  });
  if (!dscale) return;
  for (i64 d = 0; d < D; ++d) dscale[d] = 0;
  for (i64 block = 0; block < blocks; ++block)
    for (i64 d = 0; d < D; ++d) dscale[d] += partial[block * D + d];
}

}  // namespace openmoe::OPENMOE_ISA
