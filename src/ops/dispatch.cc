// dispatch, combine and combine's gradient: rows to their seats and back. Bound by memory.
#include "../../native/vector-math.h"

namespace openmoe::OPENMOE_ISA {
namespace dispatch_detail {

constexpr i64 kRows = 32;

inline void clear(f32* y, i64 n) {
  for (i64 d = 0; d < n; ++d) y[d] = 0;
}

}  // namespace dispatch_detail

KERNEL(dispatch) {
  using namespace dispatch_detail;
  const i64 D = c.dim(0, 1), S = c.dim(1, 0), T = c.dim(2, 0), K = c.dim(2, 1);
  c.parallel(ceil_div(S, kRows), [&](i64 task, i32) {
    for (i64 s = task * kRows; s < smaller(S, (task + 1) * kRows); ++s) {
      const i64 at = c.in<i32>(1)[s];
      f32* y = c.out<f32>(0) + s * D;
      if (at < 0 || at >= T * K) {
        clear(y, D);
        continue;
      }
      const f32* x = c.in<f32>(0) + at / K * D;
      for (i64 d = 0; d < D; ++d) y[d] = x[d];
    }
  });
}

KERNEL(combine) {
  using namespace dispatch_detail;
  const i64 S = c.dim(0, 0), D = c.dim(0, 1), T = c.dim(1, 0), K = c.dim(1, 1);
  c.parallel(ceil_div(T, kRows), [&](i64 task, i32) {
    for (i64 t = task * kRows; t < smaller(T, (task + 1) * kRows); ++t) {
      f32* y = c.out<f32>(0) + t * D;
      clear(y, D);
      for (i64 k = 0; k < K; ++k) {
        const i64 s = c.in<i32>(2)[t * K + k];
        if (s < 0 || s >= S) continue;
        const f32 weight = c.in<f32>(1)[t * K + k];
        const f32* x = c.in<f32>(0) + s * D;
        for (i64 d = 0; d < D; ++d) y[d] += weight * x[d];
      }
    }
  });
}

KERNEL(combine_grad) {
  using namespace dispatch_detail;
  const i64 S = c.dim(0, 0), D = c.dim(0, 1), T = c.dim(1, 0), K = c.dim(1, 1);
  const f32 *x = c.in<f32>(0), *weights = c.in<f32>(1), *dy = c.in<f32>(4);
  const i32 *where = c.in<i32>(2), *assignments = c.in<i32>(3);
  f32 *dx = c.out<f32>(0), *dweights = c.out<f32>(1);
  if (dx)
    c.parallel(ceil_div(S, kRows), [&](i64 task, i32) {
      for (i64 s = task * kRows; s < smaller(S, (task + 1) * kRows); ++s) {
        const i64 at = assignments[s];
        if (at < 0 || at >= T * K) {
          clear(dx + s * D, D);
          continue;
        }
        for (i64 d = 0; d < D; ++d) dx[s * D + d] = weights[at] * dy[at / K * D + d];
      }
    });
  if (dweights)
    c.parallel(ceil_div(T, kRows), [&](i64 task, i32) {
      for (i64 at = task * kRows * K; at < smaller(T, (task + 1) * kRows) * K; ++at) {
        const i64 s = where[at];
        vf sum{};
        if (s >= 0 && s < S)
          for (i64 d = 0; d < D; d += kLanes) sum += load_part(x + s * D + d, D - d) * load_part(dy + at / K * D + d, D - d);
        dweights[at] = hsum(sum);
      }
    });
}

}  // namespace openmoe::OPENMOE_ISA
