// transpose: bound by memory, in tiles where neighbours of the source are not neighbours of the target.
#include "../../native/strided.h"

namespace openmoe::OPENMOE_ISA {

KERNEL(transpose) {
  i64 from[kMaxRank];
  row_major(c.ins[0], from);
  Strided s;
  s.rank = c.outs[0].rank;
  row_major(c.outs[0], s.to);
  for (i32 axis = 0; axis < s.rank; ++axis) {
    s.dims[axis] = c.outs[0].dims[axis];
    s.from[axis] = from[c.index_attr(axis)];
  }
  copy_strided(c, s, c.in<i32>(0), c.out<i32>(0));
}

}  // namespace openmoe::OPENMOE_ISA
