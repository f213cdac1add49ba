// gated_product: a ⊙ silu(b) ⊙ u, and its gradient. Bound by memory: on operands larger than the caches 78–87 % of update bandwidth
// on two Zen 5 cores (66–75 % on one), the gradient 76–80 %: results go to memory that was not read before.
#include "../../native/lanes.h"

namespace openmoe::OPENMOE_ISA {
namespace gated_detail {

constexpr i64 kTask = 16384;  // results of a task

// f(place in u, place in a, place in b, lanes)
template <class F> void each(const Call& c, bool around, F f) {
  const i64 N = c.dim(1, 0), width = c.dim(1, 1), per_task = larger<i64>(1, kTask / larger<i64>(1, width));
  c.parallel(ceil_div(N, per_task), [=](i64 task, i32) {
    for (i64 n = task * per_task; n < smaller(N, (task + 1) * per_task); ++n) {
      const i64 at = n * width;
      each_lanes(width, around, [&](i64 d, auto lanes) { f(at + d, 2 * at + d, 2 * at + width + d, lanes); });
    }
    settle(around);
  });
}

template <class X, class Y> void product(const Call& c) {
  const X *g = c.in<X>(0), *u = c.in<X>(1);
  Y* y = c.out<Y>(0);
  each(c, goes_around(c, 0, c.dim(1, 1)), [=](i64 at, i64 a, i64 b, auto n) {
    const vf gate = fetch(g + b, n);
    put(y + at, fetch(g + a, n) * (gate * vsigmoid(gate)) * fetch(u + at, n), n);
  });
}

template <class X, class Y> void gradient(const Call& c) {
  const X *g = c.in<X>(0), *u = c.in<X>(1);
  const Y* dy = c.in<Y>(2);
  X *dg = c.out<X>(0), *du = c.out<X>(1);
  each(c, goes_around(c, dg ? 0 : 1, c.dim(1, 1)), [=](i64 at, i64 a, i64 b, auto n) {
    const vf left = fetch(g + a, n), gate = fetch(g + b, n), up = fetch(u + at, n), out = fetch(dy + at, n);
    const vf s = vsigmoid(gate), silu = gate * s, both = out * up;
    if (dg) {
      put(dg + a, both * silu, n);
      put(dg + b, both * left * s * (1.0f + gate * (1.0f - s)), n);
    }
    if (du) put(du + at, out * left * silu, n);
  });
}

}  // namespace gated_detail

KERNEL(gated_product) {
  using namespace gated_detail;
  const bool from = c.ins[0].dtype == DType::bf16, to = c.outs[0].dtype == DType::bf16;
  (from ? (to ? product<bf16, bf16> : product<bf16, f32>) : to ? product<f32, bf16> : product<f32, f32>)(c);
}

KERNEL(gated_product_grad) {
  using namespace gated_detail;
  const bool from = c.ins[0].dtype == DType::bf16, to = c.ins[2].dtype == DType::bf16;
  (from ? (to ? gradient<bf16, bf16> : gradient<bf16, f32>) : to ? gradient<f32, bf16> : gradient<f32, f32>)(c);
}

}  // namespace openmoe::OPENMOE_ISA
