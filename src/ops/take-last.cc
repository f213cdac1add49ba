// take_last, put_last: entries along the last axis by index. Bound by memory.
#include "../../native/kernel.h"

namespace openmoe::OPENMOE_ISA {

KERNEL(take_last) {
  const i64 rows = c.dim(0, 0), entries = c.dim(0, 1), k = c.dim(1, 1);
  if (entries == 0) return;
  c.parallel(ceil_div(rows, 256), [&](i64 task, i32) {
    for (i64 i = task * 256 * k; i < smaller(rows, task * 256 + 256) * k; ++i) {
      const i64 at = smaller<i64>(entries - 1, larger<i64>(0, c.in<i32>(1)[i]));
      c.out<f32>(0)[i] = c.in<f32>(0)[i / k * entries + at];
    }
  });
}

KERNEL(put_last) {
  const i64 rows = c.dim(0, 0), k = c.dim(0, 1), size = c.index_attr(0);
  f32* y = c.out<f32>(0);
  c.parallel(ceil_div(rows, 256), [&](i64 task, i32) {
    const i64 first = task * 256, last = smaller(rows, first + 256);
    for (i64 i = first * size; i < last * size; ++i) y[i] = 0;
    for (i64 i = first * k; i < last * k; ++i) {
      const i64 at = c.in<i32>(1)[i];
      if (at >= 0 && at < size) y[i / k * size + at] += c.in<f32>(0)[i];
    }
  });
}

}  // namespace openmoe::OPENMOE_ISA
