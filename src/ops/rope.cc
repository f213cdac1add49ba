// rope: rotary positions. Bound by memory: 67–80 % of update bandwidth at 8192×768 (Zen 5, two threads); angles are made once per
// position and shared by heads and rows.
#include "../../native/lanes.h"
#include "../../native/rotary.h"

namespace openmoe::OPENMOE_ISA {
namespace rope_detail {

constexpr i64 kRows = 16;

inline i64 half(const Call& c) { return c.dim(0, 1) / c.index_attr(0) / 2; }
// A row of the table: whole registers.
inline i64 row_step(const Call& c) { return round_up(half(c), kLanes); }
inline size_t scratch(const Call& c) { return sizeof(f32) * row_step(c) * (1 + 2 * c.dim(0, 0)); }

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
  const auto fill = [&](i64 position, f32* to) { angles_of(sign * static_cast<double>(position), inverse, n, to, to + step); };
  // Rows of a batch repeat their positions: each is worked out once where they are fewer than the rows.
  i64 low = 0, high = -1;
  for (i64 row = 0; row < N; ++row) {
    low = smaller<i64>(low, positions[row]);
    high = larger<i64>(high, positions[row]);
  }
  const bool shared = low == 0 && high < N;
  if (shared)
    c.parallel(ceil_div(high + 1, kRows), [&](i64 task, i32) {
      for (i64 p = task * kRows; p < smaller(high + 1, (task + 1) * kRows); ++p) fill(p, angles + 2 * step * p);
    });
  const bool around = goes_around(c, 0, n);
  c.parallel(ceil_div(N, kRows), [&](i64 task, i32) {
    for (i64 row = task * kRows; row < smaller(N, (task + 1) * kRows); ++row) {
      f32* sines = angles + 2 * step * (shared ? positions[row] : row);
      const f32* cosines = sines + step;
      if (!shared) fill(positions[row], sines);
      for (i64 h = 0; h < heads; ++h) {
        const f32* from = x + row * D + h * 2 * n;
        f32* to = y + row * D + h * 2 * n;
        each_lanes(n, around, [&](i64 j, auto lanes) {
          const vf a = fetch(from + j, lanes), b = fetch(from + n + j, lanes), s = get(sines + j, lanes), co = get(cosines + j, lanes);
          put(to + j, a * co - b * s, lanes);
          put(to + n + j, b * co + a * s, lanes);
        });
      }
    }
    settle(around);
  });
}

}  // namespace openmoe::OPENMOE_ISA
