// gather, scatter_add: rows by index. Bound by memory. scatter_add gives each task a range of target rows, so that repeated rows
// add up in index order whoever does it.
#include "../../native/kernel.h"

namespace openmoe::OPENMOE_ISA {

KERNEL(gather) {
  const i64 rows = c.dim(0, 0), n = c.ins[1].size();
  if (rows == 0 || n == 0) return;
  const i64 width = c.outs[0].size() / n;
  const i32 *x = c.in<i32>(0), *indices = c.in<i32>(1);
  i32* y = c.out<i32>(0);
  c.parallel(ceil_div(n, 64), [&](i64 task, i32) {
    for (i64 i = task * 64; i < smaller(n, task * 64 + 64); ++i) {
      const i64 row = smaller<i64>(rows - 1, larger<i64>(0, indices[i]));
      for (i64 d = 0; d < width; ++d) y[i * width + d] = x[row * width + d];
    }
  });
}

KERNEL(scatter_add) {
  const i64 rows = c.outs[0].dims[0], n = c.ins[1].size();
  if (c.outs[0].size() == 0) return;
  const i64 width = c.outs[0].size() / rows;
  const f32* x = c.in<f32>(0);
  const i32* indices = c.in<i32>(1);
  f32* y = c.out<f32>(0);
  const i64 per_task = larger<i64>(ceil_div(rows, 64), 1);
  c.parallel(ceil_div(rows, per_task), [&](i64 task, i32) {
    const i64 first = task * per_task, last = smaller(rows, first + per_task);
    for (i64 i = first * width; i < last * width; ++i) y[i] = 0;
    for (i64 i = 0; i < n; ++i) {
      const i64 row = indices[i];
      if (row < first || row >= last) continue;
      for (i64 d = 0; d < width; ++d) y[row * width + d] += x[i * width + d];
    }
  });
}

}  // namespace openmoe::OPENMOE_ISA
