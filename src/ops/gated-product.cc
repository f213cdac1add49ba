// gated_product: a ⊙ silu(b) ⊙ u, and its gradient. Bound by memory.
#include "../../native/vector-math.h"

namespace openmoe::OPENMOE_ISA {
namespace gated_detail {

template <class F> void rows(const Call& c, F f) {
  const i64 N = c.dim(1, 0), width = c.dim(1, 1), per_task = larger<i64>(1, 8192 / larger<i64>(1, width));
  c.parallel(ceil_div(N, per_task), [&](i64 task, i32) {
    for (i64 n = task * per_task; n < smaller(N, (task + 1) * per_task); ++n)
      for (i64 d = 0; d < width; d += kLanes) f(n * width + d, n * 2 * width + d, n * 2 * width + width + d, width - d);
  });
}

}  // namespace gated_detail

KERNEL(gated_product) {
  const f32 *g = c.in<f32>(0), *u = c.in<f32>(1);
  f32* y = c.out<f32>(0);
  gated_detail::rows(c, [&](i64 at, i64 a, i64 b, i64 n) {
    const vf gate = load_part(g + b, n);
    store_part(y + at, load_part(g + a, n) * (gate * vsigmoid(gate)) * load_part(u + at, n), n);
  });
}

KERNEL(gated_product_grad) {
  const f32 *g = c.in<f32>(0), *u = c.in<f32>(1), *dy = c.in<f32>(2);
  f32 *dg = c.out<f32>(0), *du = c.out<f32>(1);
  gated_detail::rows(c, [&](i64 at, i64 a, i64 b, i64 n) {
    const vf left = load_part(g + a, n), gate = load_part(g + b, n), up = load_part(u + at, n), out = load_part(dy + at, n);
    const vf s = vsigmoid(gate), silu = gate * s, both = out * up;
    if (dg) {
      store_part(dg + a, both * silu, n);
      store_part(dg + b, both * left * s * (1.0f + gate * (1.0f - s)), n);
    }
    if (du) store_part(du + at, out * left * silu, n);
  });
}

}  // namespace openmoe::OPENMOE_ISA
