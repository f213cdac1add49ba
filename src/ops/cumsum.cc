// cumsum: running sums along an axis. Bound by memory; along the last axis as many lines as a register has lanes advance together.
// Each line adds up in its own order, whoever does it.
#include "../../native/strided.h"

namespace openmoe::OPENMOE_ISA {
namespace cumsum_detail {

constexpr i64 kLines = 64;  // neighbouring lines that advance together

struct Order {
  i64 length, step;
  bool exclusive, reverse;
};

template <class T> struct Register;
template <> struct Register<f32> { using type = vf; };
template <> struct Register<i32> { using type = vi; };

// Up to kLanes lines of neighbouring elements, one in each lane: squares of them are turned, summed and turned back.
template <class T> void sum_turned(const Order& o, const T* x, T* y, i64 lines) {
  using V = typename Register<T>::type;
  V total{};
  const i64 squares = ceil_div(o.length, kLanes);
  for (i64 n = 0; n < squares; ++n) {
    const i64 first = (o.reverse ? squares - 1 - n : n) * kLanes, width = smaller<i64>(kLanes, o.length - first);
    vf square[kLanes];
#pragma GCC unroll 16
    for (int k = 0; k < kLanes; ++k)
      square[k] = load_part(reinterpret_cast<const f32*>(x + smaller<i64>(k, lines - 1) * o.length + first), width);
    pack::transpose<1>(square);
    for (i64 i = 0; i < width; ++i) {
      vf& entry = square[o.reverse ? width - 1 - i : i];
      const V next = total + (V)entry;
      entry = o.exclusive ? (vf)total : (vf)next;
      total = next;
    }
    pack::transpose<1>(square);
    for (i64 k = 0; k < lines; ++k) store_part(reinterpret_cast<f32*>(y + k * o.length + first), square[k], width);
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
  if (o.step == 1)
    return c.parallel(ceil_div(outer, kLanes), [&](i64 task, i32) {
      const i64 at = task * kLanes * o.length;
      sum_turned(o, c.in<T>(0) + at, c.out<T>(0) + at, smaller<i64>(kLanes, outer - task * kLanes));
    });
  c.parallel(outer * strips, [&](i64 task, i32) {
    const i64 line = task % strips * kLines, at = task / strips * o.length * o.step + line;
    sum_lines(o, c.in<T>(0) + at, c.out<T>(0) + at, smaller(kLines, o.step - line));
  });
}

}  // namespace cumsum_detail

KERNEL(cumsum) { c.ins[0].dtype == DType::f32 ? cumsum_detail::run<f32>(c) : cumsum_detail::run<i32>(c); }

}  // namespace openmoe::OPENMOE_ISA
