// packed_matmul: y[R,N] = x[R,K] · w for packed w. Bound by reading w for few rows: 83–95 % of the read bandwidth of two Zen 5 cores
// from 150 KB of w on; by the multipliers for many: the loop alone reaches 89–92 % of one core's bf16 peak at 512 rows.
#include "../../native/panels.h"

namespace openmoe::OPENMOE_ISA {
namespace packed_matmul_detail {

using panels::kCols;

// Panels beside each other while there are many rows.
constexpr i64 kWide = 2;

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

template <int Bits> void multiply(const Call& c) {
  const i64 count = c.dim(0, 0), depth = c.dim(0, 1), cols = c.index_attr(1), all = c.dim(1, 1);
  const i64 bytes = panels::panel_bytes(Bits, depth), groups = ceil_div(count, panels::kRows);
  const bool many = count >= panels::kManyRows;
  const panels::Rows x(Bits, depth, c.scratch);
  panels::prepare_all<Bits>(c, c.in<f32>(0), depth, depth, count, x);
  const i64 per = round_up(ceil_div(all, panels::tasks_of(all, bytes)), many ? kWide : 1), tasks = ceil_div(all, per);
  c.parallel(tasks, [&](i64 index, i32) {
    const i64 task = panels::in_turns(index, tasks, c.threads()), end = smaller(all, (task + 1) * per);
    i64 p = task * per;
    for (; many && p + kWide <= end; p += kWide) {
      const i8* w = c.in<i8>(1) + p * bytes;
      panels::by_rows(0, count, many, [&](i64 row, auto r) {
        panels::fetch_share(w + kWide * bytes, kWide * bytes, row / panels::kRows, groups);
        piece<Bits, kWide, r.rows>(w, bytes, x, row, c.out<f32>(0), cols, p * kCols);
      });
    }
    for (; p < end; ++p)
      panels::by_rows(0, count, many, [&](i64 row, auto r) {
        piece<Bits, 1, r.rows>(c.in<i8>(1) + p * bytes, bytes, x, row, c.out<f32>(0), cols, p * kCols);
      });
  });
}

}  // namespace packed_matmul_detail

KERNEL_WITH_SCRATCH(packed_matmul, packed_matmul_detail::scratch) {
  using namespace packed_matmul_detail;
  const i64 bits = c.index_attr(0);
  (bits == 16 ? multiply<16> : bits == 8 ? multiply<8> : multiply<4>)(c);
}

}  // namespace openmoe::OPENMOE_ISA
