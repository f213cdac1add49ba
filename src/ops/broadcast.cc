// broadcast: axes of size 1 repeat. Bound by memory writes; mostly it is read in place by a fused loop instead.
#include "../../native/strided.h"

namespace openmoe::OPENMOE_ISA {

KERNEL(broadcast) {
  const Array &x = c.ins[0], &y = c.outs[0];
  Strided s;
  s.rank = y.rank;
  row_major(x, s.from);
  row_major(y, s.to);
  for (i32 axis = 0; axis < y.rank; ++axis) {
    s.dims[axis] = y.dims[axis];
    if (x.dims[axis] == 1) s.from[axis] = 0;
  }
  copy_strided(c, s, c.in<i32>(0), c.out<i32>(0));
}

}  // namespace openmoe::OPENMOE_ISA
