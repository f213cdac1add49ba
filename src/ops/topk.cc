// topk: the k largest of each row in order, ties to the lower index, NaN first. Bound by comparisons: k·E a row, fine for routers.
#include "../../native/kernel.h"

namespace openmoe::OPENMOE_ISA {

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
        i64 best = -1;
        for (i64 e = 0; e < entries; ++e) {
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
