// dynamic_update_slice: some rows replaced; in place when the memory plan says so. Bound by memory.
#include "../../native/kernel.h"

namespace openmoe::OPENMOE_ISA {

KERNEL(dynamic_update_slice) {
  const i64 rows = c.dim(0, 0), added = c.dim(1, 0), total = c.outs[0].size();
  if (total == 0) return;
  const i64 width = total / rows;
  const i64 start = smaller<i64>(rows - added, larger<i64>(0, c.in<i32>(2)[0]));
  i32* y = c.out<i32>(0);
  if (y != c.in<i32>(0))
    for (i64 i = 0; i < total; ++i) y[i] = c.in<i32>(0)[i];
  for (i64 i = 0; i < added * width; ++i) y[start * width + i] = c.in<i32>(1)[i];
}

}  // namespace openmoe::OPENMOE_ISA
