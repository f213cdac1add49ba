// cumsum: running sums along an axis. Bound by memory where lines lie side by side; along the last axis by the latency of an
// addition per element. Each line adds up in its own order, whoever does it.
#include "../../native/strided.h"

namespace openmoe::OPENMOE_ISA {
namespace cumsum_detail {

constexpr i64 kLines = 64;    // neighbouring lines that advance together
constexpr i64 kTask = 16384;  // entries of a task along the last axis

struct Order {
  i64 length, step;
  bool exclusive, reverse;
};

// One line whose elements are neighbours.
template <class T> void sum_line(const Order& o, const T* x, T* y) {
  T total = 0;
  for (i64 i = 0; i < o.length; ++i) {
    const i64 at = o.reverse ? o.length - 1 - i : i;
    const T next = total + x[at];
    y[at] = o.exclusive ? total : next;
    total = next;
  }
}
// `lines` neighbouring lines from their first element on.
template <class T> void sum_lines(const Order& o, const T* x, T* y, i64 lines) {
  T total[kLines] = {};
  for (i64 i = 0; i < o.length; ++i) {
    const i64 at = (o.reverse ? o.length - 1 - i : i) * o.step;
    for (i64 k = 0; k < lines; ++k) {
      const T next = total[k] + x[at + k];
      y[at + k] = o.exclusive ? total[k] : next;
      total[k] = next;
    }
  }
}

template <class T> void run(const Call& c) {
  const Array& x = c.ins[0];
  if (x.size() == 0) return;
  i64 steps[kMaxRank] = {};
  row_major(x, steps);
  const i64 axis = c.index_attr(0);
  const Order o{x.dims[axis], steps[axis], c.attrs[1] != 0, c.attrs[2] != 0};
  const i64 outer = x.size() / (o.length * o.step), strips = ceil_div(o.step, kLines);
  const i64 per_task = o.step == 1 ? larger<i64>(1, kTask / o.length) : 1;
  c.parallel(ceil_div(outer * strips, per_task), [&](i64 task, i32) {
    for (i64 n = task * per_task; n < smaller(outer * strips, (task + 1) * per_task); ++n) {
      const i64 line = n % strips * kLines, at = n / strips * o.length * o.step + line;
      if (o.step == 1) sum_line(o, c.in<T>(0) + at, c.out<T>(0) + at);
      else sum_lines(o, c.in<T>(0) + at, c.out<T>(0) + at, smaller(kLines, o.step - line));
    }
  });
}

}  // namespace cumsum_detail

KERNEL(cumsum) { c.ins[0].dtype == DType::f32 ? cumsum_detail::run<f32>(c) : cumsum_detail::run<i32>(c); }

}  // namespace openmoe::OPENMOE_ISA
