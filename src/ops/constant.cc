// constant, iota: bound by memory writes.
#include "../../native/kernel.h"

namespace openmoe::OPENMOE_ISA {

constexpr i64 kConstantTask = 32768;

KERNEL(constant) {
  const i64 n = c.outs[0].size();
  const f32 value = c.attr(0);
  const i32 whole = static_cast<i32>(c.attrs[0]);
  i32 bits = whole;
  if (c.outs[0].dtype == DType::f32) __builtin_memcpy(&bits, &value, 4);
  i32* y = c.out<i32>(0);
  c.parallel(ceil_div(n, kConstantTask), [&](i64 task, i32) {
    for (i64 i = task * kConstantTask; i < smaller(n, (task + 1) * kConstantTask); ++i) y[i] = bits;
  });
}

KERNEL(iota) {
  const i64 n = c.outs[0].size();
  const int axis = static_cast<int>(c.index_attr(0));
  i64 step = 1;
  for (i32 i = axis + 1; i < c.outs[0].rank; ++i) step *= c.outs[0].dims[i];
  const i64 size = c.outs[0].dims[axis];
  i32* y = c.out<i32>(0);
  for (i64 i = 0; i < n; ++i) y[i] = static_cast<i32>(i / step % size);
}

}  // namespace openmoe::OPENMOE_ISA
