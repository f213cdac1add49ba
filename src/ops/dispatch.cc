// dispatch, combine and combine's gradient: rows to their seats and back. Bound by memory.
#include "../../native/bf16.h"

namespace openmoe::OPENMOE_ISA {
namespace dispatch_detail {

constexpr i64 kRows = 32;

template <class To> void clear(To* y, i64 n) { __builtin_memset(y, 0, n * sizeof(To)); }

template <class X> void seat_rows(const Call& c) {
  const i64 D = c.dim(0, 1), S = c.dim(1, 0), tokens = c.dim(2, 0), K = c.dim(2, 1);
  c.parallel(ceil_div(S, kRows), [&](i64 task, i32) {
    for (i64 s = task * kRows; s < smaller(S, (task + 1) * kRows); ++s) {
      const i64 at = c.in<i32>(1)[s];
      X* y = c.out<X>(0) + s * D;
      if (at < 0 || at >= tokens * K) {
        clear(y, D);
        continue;
      }
      __builtin_memcpy(y, c.in<X>(0) + at / K * D, D * sizeof(X));
    }
  });
}

template <class X> void add_answers(const Call& c) {
  const i64 S = c.dim(0, 0), D = c.dim(0, 1), T = c.dim(1, 0), K = c.dim(1, 1);
  c.parallel(ceil_div(T, kRows), [&](i64 task, i32) {
    for (i64 t = task * kRows; t < smaller(T, (task + 1) * kRows); ++t) {
      f32* y = c.out<f32>(0) + t * D;
      clear(y, D);
      for (i64 k = 0; k < K; ++k) {
        const i64 s = c.in<i32>(2)[t * K + k];
        if (s < 0 || s >= S) continue;
        const f32 weight = c.in<f32>(1)[t * K + k];
        const X* x = c.in<X>(0) + s * D;
        for (i64 d = 0; d < D; d += kLanes) store_part(y + d, load_part(y + d, D - d) + weight * load_part(x + d, D - d), D - d);
      }
    }
  });
}

template <class X> void to_answers(const Call& c) {
  const i64 S = c.dim(0, 0), D = c.dim(0, 1), T = c.dim(1, 0), K = c.dim(1, 1);
  const X* x = c.in<X>(0);
  const f32 *weights = c.in<f32>(1), *dy = c.in<f32>(4);
  const i32 *where = c.in<i32>(2), *assignments = c.in<i32>(3);
  X* dx = c.out<X>(0);
  f32* dweights = c.out<f32>(1);
  if (dx)
    c.parallel(ceil_div(S, kRows), [&](i64 task, i32) {
      for (i64 s = task * kRows; s < smaller(S, (task + 1) * kRows); ++s) {
        const i64 at = assignments[s];
        if (at < 0 || at >= T * K) {
          clear(dx + s * D, D);
          continue;
        }
        const f32* from = dy + at / K * D;
        for (i64 d = 0; d < D; d += kLanes) store_part(dx + s * D + d, weights[at] * load_part(from + d, D - d), D - d);
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

}  // namespace dispatch_detail

KERNEL(dispatch) { (c.ins[0].dtype == DType::bf16 ? dispatch_detail::seat_rows<bf16> : dispatch_detail::seat_rows<f32>)(c); }

KERNEL(combine) { (c.ins[0].dtype == DType::bf16 ? dispatch_detail::add_answers<bf16> : dispatch_detail::add_answers<f32>)(c); }

KERNEL(combine_grad) { (c.ins[0].dtype == DType::bf16 ? dispatch_detail::to_answers<bf16> : dispatch_detail::to_answers<f32>)(c); }

}  // namespace openmoe::OPENMOE_ISA
