// softmax, its gradient, logsumexp over rows. Bound by exponentials for short rows, by memory for long ones.
#include "../../native/vector-math.h"

namespace openmoe::OPENMOE_ISA {
namespace softmax_detail {

constexpr i64 kTask = 8192;  // entries of a task

inline f32 top_of(const f32* x, i64 n) {
  vf top = splat(-__builtin_inff());
  i64 i = 0;
  for (; i + kLanes <= n; i += kLanes) top = vmax(top, load(x + i));
  f32 best = hmax(top);
  for (; i < n; ++i) best = x[i] > best ? x[i] : best;
  return best;
}
// Writes exp(x − top) to y where y is given; returns the sum.
inline f32 exponentials(const f32* x, f32* y, i64 n, f32 top) {
  vf sum{};
  i64 i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const vf e = vexp(load(x + i) - top);
    if (y) store(y + i, e);
    sum += e;
  }
  f32 rest = 0;
  if (i < n) {
    const vf e = vexp(load_part(x + i, n - i) - top);
    if (y) store_part(y + i, e, n - i);
    for (i64 k = 0; i + k < n; ++k) rest += e[k];
  }
  return hsum(sum) + rest;
}
template <class F> void rows(const Call& c, F f) {
  const i64 N = c.dim(0, 0), E = c.dim(0, 1), per_task = larger<i64>(1, kTask / larger<i64>(1, E));
  c.parallel(ceil_div(N, per_task), [&](i64 task, i32) {
    for (i64 n = task * per_task; n < smaller(N, (task + 1) * per_task); ++n) f(n, E);
  });
}

}  // namespace softmax_detail

KERNEL(softmax) {
  softmax_detail::rows(c, [&](i64 n, i64 E) {
    const f32* x = c.in<f32>(0) + n * E;
    f32* y = c.out<f32>(0) + n * E;
    const f32 total = softmax_detail::exponentials(x, y, E, softmax_detail::top_of(x, E));
    for (i64 e = 0; e < E; ++e) y[e] /= total;
  });
}

KERNEL(softmax_grad) {
  softmax_detail::rows(c, [&](i64 n, i64 E) {
    const f32 *y = c.in<f32>(0) + n * E, *dy = c.in<f32>(1) + n * E;
    f32* dx = c.out<f32>(0) + n * E;
    vf sum{};
    for (i64 e = 0; e < E; e += kLanes) sum += load_part(y + e, E - e) * load_part(dy + e, E - e);
    const f32 along = hsum(sum);
    for (i64 e = 0; e < E; ++e) dx[e] = y[e] * (dy[e] - along);
  });
}

KERNEL(logsumexp) {
  softmax_detail::rows(c, [&](i64 n, i64 E) {
    const f32* x = c.in<f32>(0) + n * E;
    const f32 top = softmax_detail::top_of(x, E);
    c.out<f32>(0)[n] = top + vlog(splat(softmax_detail::exponentials(x, nullptr, E, top)))[0];
  });
}

}  // namespace openmoe::OPENMOE_ISA
