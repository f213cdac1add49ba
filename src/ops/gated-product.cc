// gated_product: a ⊙ silu(b) ⊙ u, and its gradient. Bound by memory.
#include "../../native/lanes.h"

namespace openmoe::OPENMOE_ISA {
namespace gated_detail {

constexpr i64 kTask = 16384;  // results of a task

template <class F> void rows(const Call& c, i64 results, F f) {
  const i64 N = c.dim(1, 0), width = c.dim(1, 1), per_task = larger<i64>(1, kTask / larger<i64>(1, width));
  const bool around = goes_around(results * N * width * static_cast<i64>(sizeof(f32)), width);
  c.parallel(ceil_div(N, per_task), [&](i64 task, i32) {
    for (i64 n = task * per_task; n < smaller(N, (task + 1) * per_task); ++n) {
      const i64 at = n * width;
      each_lanes(width, around, [&](i64 d, auto lanes) { f(at + d, 2 * at + d, 2 * at + width + d, lanes); });
    }
    settle(around);
  });
}

}  // namespace gated_detail

KERNEL(gated_product) {
  const f32 *g = c.in<f32>(0), *u = c.in<f32>(1);
  f32* y = c.out<f32>(0);
  gated_detail::rows(c, 1, [&](i64 at, i64 a, i64 b, auto n) {
    const vf gate = fetch(g + b, n);
    put(y + at, fetch(g + a, n) * (gate * vsigmoid(gate)) * fetch(u + at, n), n);
  });
}

KERNEL(gated_product_grad) {
  const f32 *g = c.in<f32>(0), *u = c.in<f32>(1), *dy = c.in<f32>(2);
  f32 *dg = c.out<f32>(0), *du = c.out<f32>(1);
  gated_detail::rows(c, (dg ? 2 : 0) + (du ? 1 : 0), [&](i64 at, i64 a, i64 b, auto n) {
    const vf left = fetch(g + a, n), gate = fetch(g + b, n), up = fetch(u + at, n), out = fetch(dy + at, n);
    const vf s = vsigmoid(gate), silu = gate * s, both = out * up;
    if (dg) {
      put(dg + a, both * silu, n);
      put(dg + b, both * left * s * (1.0f + gate * (1.0f - s)), n);
    }
    if (du) put(du + at, out * left * silu, n);
  });
}

}  // namespace openmoe::OPENMOE_ISA
