// softmax, its gradient, logsumexp over rows. Bound by exponentials for short rows, by memory for long ones. Short rows stand in the
// lanes of registers, an entry a register, so that maxima and sums need no exchange between lanes.
#include "../../native/pack.h"

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
// Rows of at most so many entries are short.
constexpr i64 kShort = 64;

// kLanes short rows, of which the first `count` exist: their entries by column, and the largest of each row.
struct Columns {
  vf entries[kShort];
  vf top;
};
inline void read_columns(const f32* x, i64 count, i64 E, Columns& c) {
  c.top = splat(-kInfinity);
  for (i64 first = 0; first < E; first += kLanes) {
    vf square[kLanes];
    const i64 width = smaller<i64>(kLanes, E - first);
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) square[r] = load_part(x + smaller<i64>(r, count - 1) * E + first, width);
    pack::transpose<1>(square);
    for (i64 e = 0; e < width; ++e) {
      c.entries[first + e] = square[e];
      c.top = vmax(c.top, square[e]);
    }
  }
}
// Entries become exp(entry − top); returns their sums.
inline vf exponentials(i64 E, Columns& c) {
  vf total{};
  for (i64 e = 0; e < E; ++e) total += c.entries[e] = vexp(c.entries[e] - c.top);
  return total;
}
inline void write_columns(f32* y, i64 count, i64 E, const Columns& c, vf factor) {
  for (i64 first = 0; first < E; first += kLanes) {
    vf square[kLanes] = {};
    const i64 width = smaller<i64>(kLanes, E - first);
    for (i64 e = 0; e < width; ++e) square[e] = c.entries[first + e] * factor;
    pack::transpose<1>(square);
    for (i64 r = 0; r < count; ++r) store_part(y + r * E + first, square[r], width);
  }
}

// f(first row, rows, E) for `step` rows at a time.
template <class F> void rows(const Call& c, i64 step, F f) {
  const i64 N = c.dim(0, 0), E = c.dim(0, 1), per_task = round_up(larger<i64>(1, kTask / larger<i64>(1, E)), step);
  c.parallel(ceil_div(N, per_task), [&](i64 task, i32) {
    const i64 end = smaller(N, (task + 1) * per_task);
    for (i64 n = task * per_task; n < end; n += step) f(n, smaller(step, end - n), E);
  });
}
inline bool is_short(const Call& c) { return c.dim(0, 1) > 0 && c.dim(0, 1) <= kShort; }

}  // namespace softmax_detail

KERNEL(softmax) {
  using namespace softmax_detail;
  const f32* x = c.in<f32>(0);
  f32* y = c.out<f32>(0);
  if (is_short(c))
    return rows(c, kLanes, [&](i64 n, i64 count, i64 E) {
      Columns columns;
      read_columns(x + n * E, count, E, columns);
      const vf total = exponentials(E, columns);
      write_columns(y + n * E, count, E, columns, 1.0f / total);
    });
  rows(c, 1, [&](i64 n, i64, i64 E) {
    const f32 total = exponentials(x + n * E, y + n * E, E, top_of(x + n * E, E));
    for (i64 e = n * E; e < (n + 1) * E; ++e) y[e] /= total;
  });
}

KERNEL(softmax_grad) {
  softmax_detail::rows(c, 1, [&](i64 n, i64, i64 E) {
    const f32 *y = c.in<f32>(0) + n * E, *dy = c.in<f32>(1) + n * E;
    f32* dx = c.out<f32>(0) + n * E;
    vf sum{};
    for (i64 e = 0; e < E; e += kLanes) sum += load_part(y + e, E - e) * load_part(dy + e, E - e);
    const f32 along = hsum(sum);
    for (i64 e = 0; e < E; ++e) dx[e] = y[e] * (dy[e] - along);
  });
}

KERNEL(logsumexp) {
  using namespace softmax_detail;
  const f32* x = c.in<f32>(0);
  f32* y = c.out<f32>(0);
  if (is_short(c))
    return rows(c, kLanes, [&](i64 n, i64 count, i64 E) {
      Columns columns;
      read_columns(x + n * E, count, E, columns);
      const vf total = exponentials(E, columns);
      store_part(y + n, columns.top + vlog(total), count);
    });
  rows(c, 1, [&](i64 n, i64, i64 E) {
    const f32 top = top_of(x + n * E, E);
    y[n] = top + vlog(splat(exponentials(x + n * E, nullptr, E, top)))[0];
  });
}

}  // namespace openmoe::OPENMOE_ISA
