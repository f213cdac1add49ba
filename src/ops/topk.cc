// topk: the k largest of each row in order, ties to the lower index, NaN first. A register holds one entry of as many rows as it has
// lanes, and each new entry takes its place among the best so far: k compares for kLanes entries. Bound by these: 42 % of bandwidth for
// 2 of 16, 77 for 2 of 64, 42 for 8 of 256 (Zen 5, two threads). The first of a long row, as of a vocabulary, is found along the row.
#include "../../native/lanes.h"
#include "../../native/pack.h"

namespace openmoe::OPENMOE_ISA {
namespace topk_detail {

// Where the largest of n numbers stands, of equals the first; −1 when one of them is NaN.
inline i64 first_largest(const f32* x, i64 n) {
  const i64 even = n / kLanes * kLanes;
  vf top = splat(-kInfinity), odd{};
  for (i64 i = 0; i < even; i += kLanes) {
    const vf v = load(x + i);
    odd += v == v ? vf{} : splat(1.f);
    top = vmax(v, top);
  }
  f32 best = hmax(top);
  bool ordered = hsum(odd) == 0;
  for (i64 i = even; i < n; ++i) {
    ordered = ordered && x[i] == x[i];
    best = x[i] > best ? x[i] : best;
  }
  if (!ordered) return -1;
  i64 at = 0;
  for (vi here{}; at < even; at += kLanes) {
    here = load(x + at) == best;
    if (hmax(here ? splat(1.f) : vf{}) != 0) break;
  }
  while (at < n && x[at] != best) ++at;
  return at < n ? at : -1;
}

constexpr i64 kRows = 256;  // of a task
constexpr i64 kMost = 16;   // k beyond which rows are searched one by one

// Integers in the order of the numbers; both zeros are one, and NaN stands above infinity.
inline vi order_of(vf x) {
  const vi bits = (vi)(x + 0.0f);
  const vi key = bits ^ ((bits >> 31) & 0x7fffffff);
  return x == x ? key : vi{} + 0x7fffffff;
}

// The best K of kLanes rows, of which the first `rows` exist; the first k of them are written.
template <int K> void best_of(const f32* x, i64 rows, i64 entries, i64 k, f32* values, i32* indices) {
  vi keys[K], places[K];
#pragma GCC unroll 16
  for (int j = 0; j < K; ++j) {
    keys[j] = vi{} + (-2147483647 - 1);  // below every number
    places[j] = vi{};
  }
  for (i64 first = 0; first < entries; first += kLanes) {
    vf square[kLanes];
    const i64 width = smaller<i64>(kLanes, entries - first);
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) square[r] = load_part(x + smaller<i64>(r, rows - 1) * entries + first, width);
    pack::transpose<1>(square);
    for (i64 e = 0; e < width; ++e) {
      const vi key = order_of(square[e]), place = vi{} + static_cast<i32>(first + e);
      // Entries before which the new one goes move down by one; among equals the earlier stays ahead.
#pragma GCC unroll 16
      for (int j = K - 1; j >= 0; --j) {
        const auto here = key > keys[j];
        if (j > 0) {
          const auto above = key > keys[j - 1];
          keys[j] = above ? keys[j - 1] : here ? key : keys[j];
          places[j] = above ? places[j - 1] : here ? place : places[j];
        } else {
          keys[j] = here ? key : keys[j];
          places[j] = here ? place : places[j];
        }
      }
    }
  }
  for (i64 r = 0; r < rows; ++r)
    for (i64 j = 0; j < k; ++j) {
      const i32 place = places[j][r];
      if (values) values[r * k + j] = x[r * entries + place];
      if (indices) indices[r * k + j] = place;
    }
}

// Any k: the best that stands behind the one before it, k times.
inline void search(const f32* x, i64 entries, i64 k, f32* values, i32* indices) {
  // a stands before b: NaN first, then larger, then lower index.
  const auto before = [](f32 a, i64 ia, f32 b, i64 ib) {
    const bool na = a != a, nb = b != b;
    if (na || nb) return na != nb ? na : ia < ib;
    return a != b ? a > b : ia < ib;
  };
  i64 last = -1;
  for (i64 j = 0; j < k; ++j) {
    i64 best = -1;
    for (i64 e = 0; e < entries; ++e) {
      if (last >= 0 && (e == last || !before(x[last], last, x[e], e))) continue;
      if (best < 0 || before(x[e], e, x[best], best)) best = e;
    }
    if (values) values[j] = x[best];
    if (indices) indices[j] = static_cast<i32>(best);
    last = best;
  }
}

}  // namespace topk_detail

KERNEL(topk) {
  using namespace topk_detail;
  const i64 rows = c.dim(0, 0), entries = c.dim(0, 1), k = c.index_attr(0);
  if (k == 0) return;
  const bool along = k == 1 && rows < kLanes && entries >= 4 * kLanes;  // lanes of best_of would stay empty
  const i64 step = along || k > kMost ? 1 : kLanes, per_task = along ? 1 : kRows;
  c.parallel(ceil_div(rows, per_task), [&](i64 task, i32) {
    const i64 end = smaller(rows, (task + 1) * per_task);
    for (i64 r = task * per_task; r < end; r += step) {
      const f32* x = c.in<f32>(0) + r * entries;
      f32* values = c.out<f32>(0) ? c.out<f32>(0) + r * k : nullptr;
      i32* indices = c.out<i32>(1) ? c.out<i32>(1) + r * k : nullptr;
      const i64 first = along ? first_largest(x, entries) : -1;
      if (first >= 0) {
        if (values) *values = x[first];
        if (indices) *indices = static_cast<i32>(first);
      } else if (step == 1) {
        search(x, entries, k, values, indices);
      } else {
        (k <= 1 ? best_of<1> : k <= 2 ? best_of<2> : k <= 4 ? best_of<4> : k <= 8 ? best_of<8> : best_of<16>)(
            x, smaller(step, end - r), entries, k, values, indices);
      }
    }
  });
}

}  // namespace openmoe::OPENMOE_ISA
