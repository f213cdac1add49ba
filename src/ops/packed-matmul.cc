// packed_matmul: y[R,N] = x[R,K] · w for packed w. Bound by reading w for few rows: 83–95 % of the read bandwidth of two Zen 5 cores
// from 150 KB of w on; by the multipliers for many.
#include "../../native/panels.h"

namespace openmoe::OPENMOE_ISA {
namespace packed_matmul_detail {

using panels::kCols;

// Rows multiplied together, and panels beside each other while there are many rows.
constexpr i64 kRows = 4, kWide = 2;

inline size_t scratch(const Call& c) {
  return static_cast<size_t>(c.dim(0, 0) * panels::row_bytes(c.index_attr(0), c.dim(0, 1)));
}

template <int Bits, int P, int R> void piece(const i8* w, i64 bytes, const panels::Rows& x, i64 row, f32* y, i64 cols, i64 col) {
  if (col + P * kCols <= cols) return panels::dot_block<Bits, P, R>(w, bytes, x, row, y + row * cols + col, cols);
  f32 part[R * P * kCols];
  panels::dot_block<Bits, P, R>(w, bytes, x, row, part, P * kCols);
  for (i64 r = 0; r < R; ++r)
    for (i64 j = 0; col + j < cols && j < P * kCols; ++j) y[(row + r) * cols + col + j] = part[r * P * kCols + j];
}

// Rows [row, end) times P panels.
template <int Bits, int P> void rows(const i8* w, i64 bytes, const panels::Rows& x, i64 row, i64 end, f32* y, i64 cols, i64 col) {
  for (; row + kRows <= end; row += kRows) piece<Bits, P, kRows>(w, bytes, x, row, y, cols, col);
  for (; row + 2 <= end; row += 2) piece<Bits, P, 2>(w, bytes, x, row, y, cols, col);
  if (row < end) piece<Bits, P, 1>(w, bytes, x, row, y, cols, col);
}

template <int Bits> void multiply(const Call& c) {
  const i64 count = c.dim(0, 0), depth = c.dim(0, 1), cols = c.index_attr(1), all = c.dim(1, 1);
  const i64 bytes = panels::panel_bytes(Bits, depth);
  const panels::Rows x(Bits, depth, c.scratch);
  const auto prepare = [&](i64 row, i32) { panels::prepare<Bits>(c.in<f32>(0) + row * depth, depth, x, row); };
  if (count <= 4)
    for (i64 row = 0; row < count; ++row) prepare(row, 0);
  else
    c.parallel(count, prepare);
  const i64 per = round_up(ceil_div(all, panels::tasks_of(all, bytes)), count > 1 ? kWide : 1);
  const i64 tasks = ceil_div(all, per);
  c.parallel(tasks, [&](i64 index, i32) {
    const i64 task = panels::in_turns(index, tasks, c.threads());
    const i64 end = smaller(all, (task + 1) * per);
    i64 p = task * per;
    const i8* w = c.in<i8>(1);
    if (count > 1)
      for (; p + kWide <= end; p += kWide) rows<Bits, kWide>(w + p * bytes, bytes, x, 0, count, c.out<f32>(0), cols, p * kCols);
    for (; p < end; ++p) rows<Bits, 1>(w + p * bytes, bytes, x, 0, count, c.out<f32>(0), cols, p * kCols);
  });
}

}  // namespace packed_matmul_detail

KERNEL_WITH_SCRATCH(packed_matmul, packed_matmul_detail::scratch) {
  using namespace packed_matmul_detail;
  const i64 bits = c.index_attr(0);
  (bits == 16 ? multiply<16> : bits == 8 ? multiply<8> : multiply<4>)(c);
}

}  // namespace openmoe::OPENMOE_ISA
