// slice, pad, concat: rectangles copied. Bound by memory.
#include "../../native/strided.h"

namespace openmoe::OPENMOE_ISA {
namespace slice_detail {

// Copies all of `small` to or from the place in `large` that begins at `start`.
inline void rectangle(const Call& c, const Array& small, const Array& large, const i64* start, bool into_large, const i32* from, i32* to) {
  Strided s;
  s.rank = small.rank;
  row_major(small, into_large ? s.from : s.to);
  row_major(large, into_large ? s.to : s.from);
  i64 offset = 0;
  for (i32 axis = 0; axis < s.rank; ++axis) {
    s.dims[axis] = small.dims[axis];
    offset += start[axis] * (into_large ? s.to : s.from)[axis];
  }
  copy_strided(c, s, from + (into_large ? 0 : offset), to + (into_large ? offset : 0));
}

}  // namespace slice_detail

KERNEL(slice) {
  i64 start[kMaxRank] = {};
  for (i32 axis = 0; axis < c.outs[0].rank; ++axis) start[axis] = c.index_attr(axis);
  slice_detail::rectangle(c, c.outs[0], c.ins[0], start, false, c.in<i32>(0), c.out<i32>(0));
}

KERNEL(pad) {
  const i64 n = c.outs[0].size();
  constexpr i64 kTask = 32768;
  const f32 value = c.attr(2 * c.outs[0].rank);
  i32 bits = static_cast<i32>(value);
  if (c.outs[0].dtype == DType::f32) __builtin_memcpy(&bits, &value, 4);
  i32* y = c.out<i32>(0);
  c.parallel(ceil_div(n, kTask), [&](i64 task, i32) {
    for (i64 i = task * kTask; i < smaller(n, (task + 1) * kTask); ++i) y[i] = bits;
  });
  i64 start[kMaxRank] = {};
  for (i32 axis = 0; axis < c.outs[0].rank; ++axis) start[axis] = c.index_attr(axis);
  slice_detail::rectangle(c, c.ins[0], c.outs[0], start, true, c.in<i32>(0), y);
}

KERNEL(concat) {
  i64 start[kMaxRank] = {};
  slice_detail::rectangle(c, c.ins[0], c.outs[0], start, true, c.in<i32>(0), c.out<i32>(0));
  const i64 axis = c.index_attr(0);
  start[axis] = c.ins[0].dims[axis];
  slice_detail::rectangle(c, c.ins[1], c.outs[0], start, true, c.in<i32>(1), c.out<i32>(0));
}

}  // namespace openmoe::OPENMOE_ISA
