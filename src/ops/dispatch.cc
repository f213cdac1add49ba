// dispatch, combine and combine's gradient: rows to their seats and back. Bound by memory: at 8192×768 75, 81 and 61 % of update
// bandwidth (Zen 5, two threads).
#include "../../native/lanes.h"

namespace openmoe::OPENMOE_ISA {
namespace dispatch_detail {

constexpr i64 kRows = 64;

// row(s, choice) for each seat; the choice is −1 where the seat is empty.
template <class F> void each_seat(const Call& c, const i32* assignments, i64 seats, i64 choices, bool around, F row) {
  c.parallel(ceil_div(seats, kRows), [&](i64 task, i32) {
    for (i64 s = task * kRows; s < smaller(seats, (task + 1) * kRows); ++s) {
      const i64 at = assignments[s];
      row(s, at >= 0 && at < choices ? at : -1);
    }
    settle(around);
  });
}

template <class X> void seat_rows(const Call& c) {
  const i64 D = c.dim(0, 1), S = c.dim(1, 0), tokens = c.dim(2, 0), K = c.dim(2, 1);
  const bool around = goes_around(c, 0, D);
  each_seat(c, c.in<i32>(1), S, tokens * K, around, [&](i64 s, i64 at) {
    const X* x = c.in<X>(0) + (at < 0 ? 0 : at / K * D);
    X* y = c.out<X>(0) + s * D;
    if (at < 0) __builtin_memset(y, 0, static_cast<size_t>(D) * sizeof(X));
    else each_lanes(D, around, [&](i64 d, auto lanes) { put(y + d, get(x + d, lanes), lanes); });
  });
}

// One row of answers: the sum over choices that have a seat, in their order; two at a time, which is how many there mostly are.
template <class X> void add_answers(const Call& c) {
  const i64 S = c.dim(0, 0), D = c.dim(0, 1), T = c.dim(1, 0), K = c.dim(1, 1);
  const bool around = K <= 2 && goes_around(c, 0, D);
  c.parallel(ceil_div(T, kRows), [&](i64 task, i32) {
    for (i64 t = task * kRows; t < smaller(T, (task + 1) * kRows); ++t) {
      f32* y = c.out<f32>(0) + t * D;
      const X* rows[2] = {};
      vf weights[2] = {};
      i64 waiting = 0;
      bool first = true;
      const auto write = [&] {
        const bool begins = first;
        const X *a = rows[0], *b = rows[1];
        each_lanes(D, around, [&](i64 d, auto lanes) {
          vf sum = begins ? vf{} : get(y + d, lanes);
          if (waiting > 0) sum += weights[0] * get(a + d, lanes);
          if (waiting > 1) sum += weights[1] * get(b + d, lanes);
          put(y + d, sum, lanes);
        });
        first = false;
        waiting = 0;
      };
      for (i64 k = 0; k < K; ++k) {
        const i64 s = c.in<i32>(2)[t * K + k];
        if (s < 0 || s >= S) continue;
        if (waiting == 2) write();
        rows[waiting] = c.in<X>(0) + s * D;
        weights[waiting++] = splat(c.in<f32>(1)[t * K + k]);
      }
      if (waiting > 0 || first) write();
    }
    settle(around);
  });
}

// dx[seat] = weight · dy[token] and dweights = dy[token] · x[seat], in one pass over the choices: dy is read once. Seats without a
// choice are cleared.
template <class X> void to_answers(const Call& c) {
  const i64 S = c.dim(0, 0), D = c.dim(0, 1), T = c.dim(1, 0), K = c.dim(1, 1);
  const X* x = c.in<X>(0);
  const f32 *weights = c.in<f32>(1), *dy = c.in<f32>(4);
  const i32 *where = c.in<i32>(2), *assignments = c.in<i32>(3);
  X* dx = c.out<X>(0);
  f32* dweights = c.out<f32>(1);
  const bool around = goes_around(c, 0, D);
  // A seat is filled by the choice that it names, and a choice reads the seat where it stands: bad values may contradict each other.
  const auto agrees = [&](i64 at) {
    const i64 s = where[at];
    return s >= 0 && s < S && assignments[s] == at;
  };
  c.parallel(ceil_div(T, kRows), [&](i64 task, i32) {
    for (i64 at = task * kRows * K; at < smaller(T, (task + 1) * kRows) * K; ++at) {
      const i64 s = where[at];
      const bool seated = s >= 0 && s < S, fills = dx && seated && agrees(at);
      vf sum{};
      const f32* from = dy + at / K * D;
      if (fills) {
        const X* row = x + s * D;
        X* to = dx + s * D;
        const vf weight = splat(weights[at]);
        each_lanes(D, around, [&](i64 d, auto lanes) {
          const vf g = get(from + d, lanes);
          sum += g * get(row + d, lanes);
          put(to + d, weight * g, lanes);
        });
      } else if (seated && dweights) {
        each_lanes(D, [&](i64 d, auto lanes) { sum += get(from + d, lanes) * get(x + s * D + d, lanes); });
      }
      if (dweights) dweights[at] = hsum(sum);
    }
    settle(around);
  });
  if (!dx) return;
  each_seat(c, assignments, S, T * K, false, [&](i64 s, i64 at) {
    if (at >= 0 && where[at] == s) return;
    X* to = dx + s * D;
    if (at < 0) __builtin_memset(to, 0, static_cast<size_t>(D) * sizeof(X));
    else each_lanes(D, [&](i64 d, auto lanes) { put(to + d, weights[at] * get(dy + at / K * D + d, lanes), lanes); });
  });
}

}  // namespace dispatch_detail

KERNEL(dispatch) { (c.ins[0].dtype == DType::bf16 ? dispatch_detail::seat_rows<bf16> : dispatch_detail::seat_rows<f32>)(c); }

KERNEL(combine) { (c.ins[0].dtype == DType::bf16 ? dispatch_detail::add_answers<bf16> : dispatch_detail::add_answers<f32>)(c); }

KERNEL(combine_grad) { (c.ins[0].dtype == DType::bf16 ? dispatch_detail::to_answers<bf16> : dispatch_detail::to_answers<f32>)(c); }

}  // namespace openmoe::OPENMOE_ISA
