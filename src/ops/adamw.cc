// adamw: one pass over parameter, gradient and both moments. Bound by memory: 28 bytes a weight,
// 75 % of update bandwidth (Zen 5, two threads).
#include "../../native/lanes.h"

namespace openmoe::OPENMOE_ISA {
namespace adamw_detail {

constexpr i64 kTask = 16384;

struct Block {
  const f32 *w, *g, *m, *v;
  f32 *to, *to_m, *to_v;
};
inline size_t scratch(const Call& c) { return sizeof(f32) * kTask * c.threads(); }

// base^count for a whole count, by squaring.
inline double power(double base, double count) {
  double result = 1;
  for (i64 n = static_cast<i64>(count); n > 0; n >>= 1) {
    if (n & 1) result *= base;
    base *= base;
  }
  return result;
}

}  // namespace adamw_detail

KERNEL_WITH_SCRATCH(adamw, adamw_detail::scratch) {
  using adamw_detail::kTask;
  const f32 *w = c.in<f32>(0), *g = c.in<f32>(1), *m = c.in<f32>(2), *v = c.in<f32>(3);
  f32 *to = c.out<f32>(0), *to_m = c.out<f32>(1), *to_v = c.out<f32>(2);
  const f32 lr = c.in<f32>(4)[0], beta1 = c.attr(0), beta2 = c.attr(1), eps = c.attr(2), decay = c.attr(3);
  const double count = c.in<f32>(5)[0];
  const f32 first = static_cast<f32>(1 / (1 - adamw_detail::power(c.attrs[0], count)));
  const f32 second = static_cast<f32>(1 / (1 - adamw_detail::power(c.attrs[1], count)));
  const i64 n = c.ins[0].size();
  f32* unread = reinterpret_cast<f32*>(c.scratch);  // where an output that nobody reads goes
  c.parallel(ceil_div(n, kTask), [=](i64 task, i32 worker) {
    const i64 start = task * kTask, count = smaller(kTask, n - start);
    const auto at = [=](f32* out) { return out ? out + start : unread + worker * kTask; };
    const adamw_detail::Block block{w + start, g + start, m + start, v + start, at(to), at(to_m), at(to_v)};
    each_lanes(count, [&](i64 i, auto lanes) {
      const vf grad = fetch(block.g + i, lanes), old = fetch(block.w + i, lanes);
      const vf a = beta1 * fetch(block.m + i, lanes) + (1 - beta1) * grad;
      const vf b = beta2 * fetch(block.v + i, lanes) + (1 - beta2) * grad * grad;
      put(block.to_m + i, a, lanes);
      put(block.to_v + i, b, lanes);
      put(block.to + i, old - lr * (a * first / (vsqrt(b * second) + eps) + decay * old), lanes);
    });
  });
}

}  // namespace openmoe::OPENMOE_ISA
