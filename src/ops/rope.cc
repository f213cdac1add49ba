// rope: rotary positions. Bound by memory: in place 68 % of update bandwidth in the second-level cache and all of it beyond (one Zen 5
// core). Angles are made once per position where rows repeat them, and stay in registers over the heads of a row.
#include "../../native/lanes.h"
#include "../../native/rotary.h"

namespace openmoe::OPENMOE_ISA {
namespace rope_detail {

constexpr i64 kPositions = 16;  // of a task that makes angles
constexpr i64 kTask = 16384;    // numbers of a task that rotates

inline i64 half(const Call& c) { return c.dim(0, 1) / c.index_attr(0) / 2; }
// A row of the table: whole registers.
inline i64 row_step(const Call& c) { return round_up(half(c), kLanes); }
inline size_t scratch(const Call& c) { return sizeof(f32) * row_step(c) * (1 + 2 * c.dim(0, 0)); }

// Are the positions fewer than the rows? As in a batch, whose rows repeat them.
inline bool repeat(const i32* positions, i64 rows, i32* last) {
  i32 low = 0, high = -1;
  for (i64 row = 0; row < rows; ++row) low = smaller(low, positions[row]), high = larger(high, positions[row]);
  *last = high;
  return low == 0 && high < rows;
}

// All heads of a row: the sines and cosines of kLanes pairs stay in registers.
template <class N> inline void rotate(const f32* x, f32* y, i64 heads, i64 n, vf sine, vf cosine, N lanes) {
  for (i64 h = 0; h < heads; ++h, x += 2 * n, y += 2 * n) {
    const vf a = fetch(x, lanes), b = fetch(x + n, lanes);
    put(y, a * cosine - b * sine, lanes);
    put(y + n, b * cosine + a * sine, lanes);
  }
}

}  // namespace rope_detail

KERNEL_WITH_SCRATCH(rope, rope_detail::scratch) {
  using namespace rope_detail;
  const i64 N = c.dim(0, 0), D = c.dim(0, 1), heads = c.index_attr(0), n = half(c);
  const f32* x = c.in<f32>(0);
  const i32* positions = c.in<i32>(1);
  f32* y = c.out<f32>(0);
  f32* inverse = reinterpret_cast<f32*>(c.scratch);
  frequencies(inverse, n, c.attrs[1]);
  const double sign = c.attrs[2];
  const i64 step = row_step(c);
  f32* angles = inverse + step;  // [rows][2][step] sines and cosines
  const auto fill = [=](i64 position, f32* to) { angles_of(sign * static_cast<double>(position), inverse, n, to, to + step); };
  i32 last;
  const bool shared = repeat(positions, N, &last);
  if (shared) {
    c.parallel(ceil_div(last + 1, kPositions), [=](i64 task, i32) {
      for (i64 p = task * kPositions; p < smaller<i64>(last + 1, (task + 1) * kPositions); ++p) fill(p, angles + 2 * step * p);
    });
  }
  const bool around = goes_around(c, 0, n);
  const i64 rows = larger<i64>(1, kTask / larger<i64>(1, D));
  c.parallel(ceil_div(N, rows), [=](i64 task, i32) {
    for (i64 row = task * rows; row < smaller(N, (task + 1) * rows); ++row) {
      f32* sines = angles + 2 * step * (shared ? positions[row] : row);
      if (!shared) fill(positions[row], sines);
      each_lanes(n, around, [&](i64 j, auto lanes) {
        rotate(x + row * D + j, y + row * D + j, heads, n, load(sines + j), load(sines + step + j), lanes);
      });
    }
    settle(around);
  });
}

}  // namespace openmoe::OPENMOE_ISA
