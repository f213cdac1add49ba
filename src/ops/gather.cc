// gather, scatter_add: rows by index. Bound by memory: 86 and 84 % of update bandwidth (Zen 5, two threads).
// scatter_add sorts the indices by ranges of target rows: each task adds up its own range in index order, whoever does it, and a row
// that nothing is added to is cleared without being read.
#include "../../native/lanes.h"

namespace openmoe::OPENMOE_ISA {
namespace gather_detail {

constexpr i64 kRows = 64;    // rows that a task of gather copies
constexpr i64 kRanges = 64;  // of target rows

// Rows move as lanes of 4 bytes, whatever they mean.
inline void copy_row(const f32* x, f32* y, i64 width, bool around) {
  each_lanes(width, around, [&](i64 d, auto lanes) { put(y + d, get(x + d, lanes), lanes); });
}
// Rows in any order begin where nothing foresees it.
inline void fetch_row(const f32* x, i64 width) {
  for (i64 d = 0; d < width; d += 16) __builtin_prefetch(x + d);
}
inline i64 rows_of(const Call& c) { return c.outs[0].dims[0]; }
inline i64 range_of(const Call& c) { return larger<i64>(ceil_div(rows_of(c), kRanges), 1); }
// Where each range begins among the sorted places of indices, those places, and whether a row has been written.
inline size_t scratch(const Call& c) {
  return static_cast<size_t>(sizeof(i64) * (kRanges + 1) + sizeof(i32) * c.ins[1].size() + rows_of(c));
}

}  // namespace gather_detail

KERNEL(gather) {
  using namespace gather_detail;
  const i64 rows = c.dim(0, 0), n = c.ins[1].size();
  if (rows == 0 || n == 0) return;
  const i64 width = c.outs[0].size() / n;
  const f32* x = c.in<f32>(0);
  const i32* indices = c.in<i32>(1);
  f32* y = c.out<f32>(0);
  const bool around = goes_around(c, 0, width);
  c.parallel(ceil_div(n, kRows), [=](i64 task, i32) {
    for (i64 i = task * kRows; i < smaller(n, (task + 1) * kRows); ++i)
      copy_row(x + smaller<i64>(rows - 1, larger<i64>(0, indices[i])) * width, y + i * width, width, around);
    settle(around);
  });
}

KERNEL_WITH_SCRATCH(scatter_add, gather_detail::scratch) {
  using namespace gather_detail;
  const i64 rows = rows_of(c), n = c.ins[1].size(), range = range_of(c);
  if (c.outs[0].size() == 0) return;
  const i64 width = c.outs[0].size() / rows;
  const f32* x = c.in<f32>(0);
  const i32* indices = c.in<i32>(1);
  f32* y = c.out<f32>(0);
  i64* begin = reinterpret_cast<i64*>(c.scratch);
  i32* sorted = reinterpret_cast<i32*>(begin + kRanges + 1);
  uint8_t* written = reinterpret_cast<uint8_t*>(sorted + n);
  const auto inside = [&](i64 i) { return indices[i] >= 0 && indices[i] < rows; };
  for (i64 r = 0; r <= kRanges; ++r) begin[r] = 0;
  for (i64 i = 0; i < n; ++i)
    if (inside(i)) ++begin[indices[i] / range + 1];
  for (i64 r = 0; r < kRanges; ++r) begin[r + 1] += begin[r];
  for (i64 i = 0; i < n; ++i)
    if (inside(i)) sorted[begin[indices[i] / range]++] = static_cast<i32>(i);  // begin[r] is then where range r + 1 begins

  const bool around = goes_around(c, 0, width);
  c.parallel(ceil_div(rows, range), [=](i64 task, i32) {
    const i64 first = task * range, last = smaller(rows, first + range);
    __builtin_memset(written + first, 0, static_cast<size_t>(last - first));
    for (i64 at = task == 0 ? 0 : begin[task - 1]; at < begin[task]; ++at) {
      const i64 i = sorted[at], row = indices[i];
      f32* to = y + row * width;
      if (at + 1 < begin[task]) fetch_row(x + sorted[at + 1] * width, width);
      if (!written[row]) copy_row(x + i * width, to, width, false);
      else each_lanes(width, [&](i64 d, auto lanes) { add_to(to + d, get(x + i * width + d, lanes), lanes); });
      written[row] = 1;
    }
    for (i64 row = first; row < last; ++row)
      if (!written[row]) each_lanes(width, around, [&](i64 d, auto lanes) { put(y + row * width + d, vf{}, lanes); });
    settle(around);
  });
}

}  // namespace openmoe::OPENMOE_ISA
