// gated_product: a ⊙ silu(b) ⊙ u, and its gradient, in f32 or bf16. Bound by memory.
#include "../../native/lanes.h"

namespace openmoe::OPENMOE_ISA {
namespace gated_detail {

constexpr i64 kTask = 16384;  // results of a task

template <class T, class F> void rows(const Call& c, i64 results, F f) {
  const i64 N = c.dim(1, 0), width = c.dim(1, 1), per_task = larger<i64>(1, kTask / larger<i64>(1, width));
  const bool around = goes_around(results * N * width * static_cast<i64>(sizeof(T)), width);
  c.parallel(ceil_div(N, per_task), [&](i64 task, i32) {
    for (i64 n = task * per_task; n < smaller(N, (task + 1) * per_task); ++n) {
      const i64 at = n * width;
      each_lanes(width, around, [&](i64 d, auto lanes) { f(at + d, 2 * at + d, 2 * at + width + d, lanes); });
    }
    settle(around);
  });
}

template <class T> void multiply(const Call& c) {
  const T *g = c.in<T>(0), *u = c.in<T>(1);
  T* y = c.out<T>(0);
  rows<T>(c, 1, [&](i64 at, i64 a, i64 b, auto n) {
    const vf gate = fetch(g + b, n);
    put(y + at, fetch(g + a, n) * (gate * vsigmoid(gate)) * fetch(u + at, n), n);
  });
}

template <class T> void differentiate(const Call& c) {
  const T *g = c.in<T>(0), *u = c.in<T>(1), *dy = c.in<T>(2);
  T *dg = c.out<T>(0), *du = c.out<T>(1);
  rows<T>(c, (dg ? 2 : 0) + (du ? 1 : 0), [&](i64 at, i64 a, i64 b, auto n) {
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

KERNEL(gated_product) { (c.ins[0].dtype == DType::bf16 ? gated_detail::multiply<bf16> : gated_detail::multiply<f32>)(c); }

KERNEL(gated_product_grad) { (c.ins[0].dtype == DType::bf16 ? gated_detail::differentiate<bf16> : gated_detail::differentiate<f32>)(c); }

}  // namespace openmoe::OPENMOE_ISA
