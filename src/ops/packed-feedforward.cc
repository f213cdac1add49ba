// packed_feedforward: OpenMoE's feed-forward with packed weights, one for each expert: the product with gate and up, their gating while
// it is in registers, and the product with down. Bound by reading the weights of experts that have rows, each once: for one row 84 % of
// the bandwidth of memory on two Zen 5 cores (51 of 61 GB/s); by the multipliers for many: the loops alone
// reach 77–83 % of one core's bf16 peak at 44 rows an expert.
#include "../../native/groups.h"
#include "../../native/panels.h"

namespace openmoe::OPENMOE_ISA {
namespace packed_ffn_detail {

using panels::kCols;

struct Shape {
  i64 bits, rows, depth, experts, inner, features;
  explicit Shape(const Call& c)
      : bits(c.index_attr(0)), rows(c.dim(0, 0)), depth(c.dim(0, 1)), experts(c.dim(3, 0)), inner(c.index_attr(1)), features(c.index_attr(2)) {}
  i64 wide() const { return round_up(inner, kCols); }
};

// Counts of rows and tasks, x and the inner features as products read them, and the inner features.
struct Memory {
  i64 *begins, *tasks;
  char *x, *inner;
  f32* h;
  size_t bytes = 0;
  Memory(const Shape& s, char* p) {
    const auto take = [&](i64 n) {
      char* at = p + bytes;
      bytes += static_cast<size_t>(round_up(n, 64));
      return at;
    };
    begins = reinterpret_cast<i64*>(take((s.experts + 1) * 8));
    tasks = reinterpret_cast<i64*>(take((s.experts + 1) * 8));
    x = take(s.rows * panels::row_bytes(s.bits, s.depth));
    inner = take(s.rows * panels::row_bytes(s.bits, s.inner));
    h = reinterpret_cast<f32*>(take(s.rows * s.wide() * 4));
  }
};

inline size_t scratch(const Call& c) { return Memory(Shape(c), nullptr).bytes; }

// [a|b|u] of R rows for 16 inner features → a·silu(b)·u.
template <int R> void gate(const f32* g, f32* h, i64 h_step) {
  for (i64 r = 0; r < R; ++r)
    for (i64 j = 0; j < kCols; j += kLanes) {
      const f32* at = g + r * 3 * kCols + j;
      const vf b = load(at + kCols);
      store(h + r * h_step + j, load(at) * (b * vsigmoid(b)) * load(at + 2 * kCols));
    }
}

// P: panels beside each other.
template <int Bits, int P, int R> void expand(const i8* w, i64 bytes, const panels::Rows& x, i64 row, f32* h, i64 h_step) {
  f32 g[R * 3 * kCols];
  for (i64 p = 0; p < 3; p += P) panels::dot_block<Bits, P, R>(w + p * bytes, bytes, x, row, g + p * kCols, 3 * kCols);
  gate<R>(g, h + row * h_step, h_step);
}
template <int Bits, int P, int R> void contract(const i8* w, i64 bytes, const panels::Rows& x, i64 row, f32* y, i64 cols, i64 col) {
  if (col + P * kCols <= cols) return panels::dot_block<Bits, P, R>(w, bytes, x, row, y + row * cols + col, cols);
  f32 part[R * P * kCols];
  panels::dot_block<Bits, P, R>(w, bytes, x, row, part, P * kCols);
  for (i64 r = 0; r < R; ++r)
    for (i64 j = 0; col + j < cols && j < P * kCols; ++j) y[(row + r) * cols + col + j] = part[r * P * kCols + j];
}

// f(expert, first, last) for runs of `unit` × `bytes` of the experts that have rows.
template <class F> void each_run(const Call& c, const Shape& s, const Memory& m, i64 units, i64 bytes, F f) {
  const i64 per = ceil_div(units, panels::tasks_of(units, bytes)), count = ceil_div(units, per);
  m.tasks[0] = 0;
  for (i64 e = 0; e < s.experts; ++e) m.tasks[e + 1] = m.tasks[e] + (m.begins[e + 1] > m.begins[e] ? count : 0);
  c.parallel(m.tasks[s.experts], [&](i64 index, i32) {
    const i64 task = panels::in_turns(index, m.tasks[s.experts], c.threads());
    const i64 e = group_of(m.tasks, s.experts, task), first = (task - m.tasks[e]) * per;
    f(e, first, smaller(units, first + per));
  });
}

template <int Bits> void run(const Call& c) {
  const Shape s(c);
  const Memory m(s, c.scratch);
  const i64 units = s.wide() / kCols, up_bytes = panels::panel_bytes(Bits, s.depth);
  const i64 down = c.dim(2, 1), down_bytes = panels::panel_bytes(Bits, s.inner);
  const panels::Rows x(Bits, s.depth, m.x), inner(Bits, s.inner, m.inner);
  f32* y = c.out<f32>(0);
  group_begins(c.in<i32>(3), s.experts, s.rows, m.begins);
  const i64 seated = m.begins[s.experts];
  panels::prepare_all<Bits>(c, c.in<f32>(0), s.depth, s.depth, seated, x);
  each_run(c, s, m, units, 3 * up_bytes, [&](i64 e, i64 first, i64 last) {
    const i64 begin = m.begins[e], end = m.begins[e + 1], groups = ceil_div(end - begin, panels::kRows);
    const bool many = end - begin >= panels::kManyRows;
    for (i64 u = first; u < last; ++u) {
      const i8* w = c.in<i8>(1) + (e * units + u) * 3 * up_bytes;
      panels::by_rows(begin, end, many, [&](i64 row, auto r) {
        if (!many) return expand<Bits, 1, r.rows>(w, up_bytes, x, row, m.h + u * kCols, s.wide());
        panels::fetch_share(w + 3 * up_bytes, 3 * up_bytes, (row - begin) / panels::kRows, groups);
        if constexpr (r.rows <= panels::kRows) expand<Bits, 3, r.rows>(w, up_bytes, x, row, m.h + u * kCols, s.wide());
      });
    }
  });
  panels::prepare_all<Bits>(c, m.h, s.wide(), s.inner, seated, inner);
  each_run(c, s, m, down, down_bytes, [&](i64 e, i64 first, i64 last) {
    const i64 begin = m.begins[e], end = m.begins[e + 1], groups = ceil_div(end - begin, panels::kRows);
    const bool many = end - begin >= panels::kManyRows;
    const i8* w = c.in<i8>(2) + (e * down + first) * down_bytes;
    i64 p = first;
    for (; many && p + 2 <= last; p += 2, w += 2 * down_bytes)
      panels::by_rows(begin, end, many, [&](i64 row, auto r) {
        panels::fetch_share(w + 2 * down_bytes, 2 * down_bytes, (row - begin) / panels::kRows, groups);
        if constexpr (r.rows <= panels::kRows) contract<Bits, 2, r.rows>(w, down_bytes, inner, row, y, s.features, p * kCols);
      });
    for (; p < last; ++p, w += down_bytes)
      panels::by_rows(begin, end, many, [&](i64 row, auto r) { contract<Bits, 1, r.rows>(w, down_bytes, inner, row, y, s.features, p * kCols); });
  });
  for (i64 i = seated * s.features; i < s.rows * s.features; ++i) y[i] = 0;
}

}  // namespace packed_ffn_detail

KERNEL_WITH_SCRATCH(packed_feedforward, packed_ffn_detail::scratch) {
  using namespace packed_ffn_detail;
  const i64 bits = c.index_attr(0);
  (bits == 16 ? run<16> : bits == 8 ? run<8> : run<4>)(c);
}

}  // namespace openmoe::OPENMOE_ISA
