// topk: the k largest of each row in order, ties to the lower index, NaN first. Bound by comparisons: k·E a row, fine for routers;
// the first of a long row, as of a vocabulary, by vectors.
#include "../../native/vector-math.h"

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

}  // namespace topk_detail

KERNEL(topk) {
  const i64 rows = c.dim(0, 0), entries = c.dim(0, 1), k = c.index_attr(0);
  const f32* x = c.in<f32>(0);
  f32* values = c.out<f32>(0);
  i32* indices = c.out<i32>(1);
  // a stands before b: NaN first, then larger, then lower index.
  const auto before = [](f32 a, i64 ia, f32 b, i64 ib) {
    const bool na = a != a, nb = b != b;
    if (na || nb) return na != nb ? na : ia < ib;
    return a != b ? a > b : ia < ib;
  };
  c.parallel(ceil_div(rows, 128), [&](i64 task, i32) {
    for (i64 r = task * 128; r < smaller(rows, task * 128 + 128); ++r) {
      const f32* row = x + r * entries;
      i64 last = -1;
      for (i64 j = 0; j < k; ++j) {
        i64 best = j == 0 && entries >= 4 * kLanes ? topk_detail::first_largest(row, entries) : -1;
        const bool found = best >= 0;
        for (i64 e = 0; !found && e < entries; ++e) {
          if (last >= 0 && (e == last || !before(row[last], last, row[e], e))) continue;
          if (best < 0 || before(row[e], e, row[best], best)) best = e;
        }
        if (values) values[r * k + j] = row[best];
        if (indices) indices[r * k + j] = static_cast<i32>(best);
        last = best;
      }
    }
  });
}

}  // namespace openmoe::OPENMOE_ISA
