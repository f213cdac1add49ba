// cumsum: running sums along an axis. Bound by the latency of an addition per element of a line; lines run side by side.
#include "../../native/strided.h"

namespace openmoe::OPENMOE_ISA {
namespace cumsum_detail {

template <class T> void run(const Call& c) {
  const Array& x = c.ins[0];
  const i64 axis = c.index_attr(0);
  const bool exclusive = c.attrs[1] != 0, reverse = c.attrs[2] != 0;
  i64 steps[kMaxRank];
  row_major(x, steps);
  const i64 length = x.dims[axis], step = steps[axis];
  if (x.size() == 0) return;
  c.parallel(x.size() / length, [&](i64 line, i32) {
    const i64 start = line / step * step * length + line % step;
    T total = 0;
    for (i64 i = 0; i < length; ++i) {
      const i64 at = start + (reverse ? length - 1 - i : i) * step;
      const T next = total + c.in<T>(0)[at];
      c.out<T>(0)[at] = exclusive ? total : next;
      total = next;
    }
  });
}

}  // namespace cumsum_detail

KERNEL(cumsum) { c.ins[0].dtype == DType::f32 ? cumsum_detail::run<f32>(c) : cumsum_detail::run<i32>(c); }

}  // namespace openmoe::OPENMOE_ISA
