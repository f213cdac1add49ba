// adamw: one pass over parameter, gradient and both moments. Bound by memory: 28 bytes a weight.
#include "../../native/kernel.h"

namespace openmoe::OPENMOE_ISA {
namespace adamw_detail {

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

KERNEL(adamw) {
  const f32 *w = c.in<f32>(0), *g = c.in<f32>(1), *m = c.in<f32>(2), *v = c.in<f32>(3);
  f32 *to = c.out<f32>(0), *to_m = c.out<f32>(1), *to_v = c.out<f32>(2);
  const f32 lr = c.in<f32>(4)[0], beta1 = c.attr(0), beta2 = c.attr(1), eps = c.attr(2), decay = c.attr(3);
  const double count = c.in<f32>(5)[0];
  const f32 first = static_cast<f32>(1 / (1 - adamw_detail::power(c.attrs[0], count)));
  const f32 second = static_cast<f32>(1 / (1 - adamw_detail::power(c.attrs[1], count)));
  const i64 n = c.ins[0].size();
  constexpr i64 kTask = 16384;
  c.parallel(ceil_div(n, kTask), [&](i64 task, i32) {
    for (i64 i = task * kTask; i < smaller(n, (task + 1) * kTask); ++i) {
      const f32 a = beta1 * m[i] + (1 - beta1) * g[i], b = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
      to_m[i] = a;
      to_v[i] = b;
      to[i] = w[i] - lr * (a * first / (__builtin_sqrtf(b * second) + eps) + decay * w[i]);
    }
  });
}

}  // namespace openmoe::OPENMOE_ISA
