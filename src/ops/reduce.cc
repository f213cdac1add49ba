// reduce_sum, reduce_max. Bound by memory reads, at their bandwidth (Zen 5, two threads).
// Adjacent axes are joined to (outer, folded, inner); other patterns walk.
// Sums run over blocks of fixed size whose partial results are added in order: the same bits for any number of threads.
#include "../../native/lanes.h"

namespace openmoe::OPENMOE_ISA {
namespace reduce_detail {

constexpr i64 kRows = 256;  // folded rows per partial result
constexpr i64 kColumns = 512;

struct Split {
  i64 outer = 1, folded = 1, inner = 1;
  bool simple = true;  // folded axes stand together
};
inline Split split(const Call& c) {
  Split s;
  int phase = 0;
  for (i32 axis = 0; axis < c.ins[0].rank; ++axis) {
    const i64 d = c.ins[0].dims[axis];
    if (d == 1) continue;
    const bool fold = c.attrs[axis] != 0;
    if (fold && phase == 2) s.simple = false;
    if (fold) phase = 1;
    else if (phase == 1) phase = 2;
    (phase == 0 ? s.outer : phase == 1 ? s.folded : s.inner) *= d;
  }
  return s;
}
inline size_t scratch(const Call& c) {
  const Split s = split(c);
  return s.simple && s.inner > 1 && s.folded > kRows ? sizeof(f32) * ceil_div(s.folded, kRows) * s.inner : 0;
}

template <class T> struct Sum {
  static T zero() { return 0; }
  static T join(T a, T b) { return a + b; }
};
template <class T> struct Max {
  static T zero() {
    if constexpr (sizeof(T) == 4 && T(0.5f) != T(0)) return -__builtin_inff();
    return T(-2147483647 - 1);
  }
  static T join(T a, T b) { return (a > b) | (a != a) ? a : b; }  // NaN wins; | lets it be a vector operation
};

// Any axes: one pass in order, on one thread; rare and small.
template <class T, template <class> class F> void walk(const Call& c) {
  const Array &x = c.ins[0], &y = c.outs[0];
  T* to = c.out<T>(0);
  for (i64 i = 0; i < y.size(); ++i) to[i] = F<T>::zero();
  const i64 n = x.size();
  for (i64 i = 0; i < n; ++i) {
    i64 rest = i, at = 0, step = 1;
    for (i32 axis = x.rank - 1; axis >= 0; --axis) {
      if (c.attrs[axis] == 0) {
        at += rest % x.dims[axis] * step;
        step *= x.dims[axis];
      }
      rest /= x.dims[axis];
    }
    to[at] = F<T>::join(to[at], c.in<T>(0)[i]);
  }
}

// A register of T; maxima compare, sums add.
template <class T> struct Register { typedef T type __attribute__((vector_size(kLanes * 4), may_alias, aligned(4))); };
template <class V> inline V join(V a, V b, Sum<f32>) { return a + b; }
template <class V> inline V join(V a, V b, Max<f32>) { return (a > b) | (a != a) ? a : b; }

// Rows folded to one number each: four running registers that join in a fixed order, then lane by lane.
template <class T, template <class> class F> T fold_row(const T* x, i64 n) {
  using V = typename Register<T>::type;
  V part[4];
  for (V& p : part) p = V{} + F<T>::zero();
  i64 i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes)
#pragma GCC unroll 4
    for (i64 k = 0; k < 4; ++k) {
      __builtin_prefetch(x + i + k * kLanes + kAhead);
      part[k] = join(part[k], *reinterpret_cast<const V*>(x + i + k * kLanes), F<f32>{});
    }
  for (; i + kLanes <= n; i += kLanes) part[0] = join(part[0], *reinterpret_cast<const V*>(x + i), F<f32>{});
  const V all = join(join(part[0], part[1], F<f32>{}), join(part[2], part[3], F<f32>{}), F<f32>{});
  T result = all[0];
  for (int k = 1; k < kLanes; ++k) result = F<T>::join(result, all[k]);
  for (; i < n; ++i) result = F<T>::join(result, x[i]);
  return result;
}

// Rows of `step` numbers folded into one row of `width`, in order.
template <class T, template <class> class F> void fold_columns(const T* x, i64 rows, i64 step, T* y, i64 width) {
  using V = typename Register<T>::type;
  i64 i = 0;
  for (; i + 4 * kLanes <= width; i += 4 * kLanes) {
    V sum[4];
    for (V& s : sum) s = V{} + F<T>::zero();
    for (i64 r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (i64 k = 0; k < 4; ++k) sum[k] = join(sum[k], *reinterpret_cast<const V*>(x + r * step + i + k * kLanes), F<f32>{});
    for (i64 k = 0; k < 4; ++k) *reinterpret_cast<V*>(y + i + k * kLanes) = sum[k];
  }
  if (i == width) return;
  for (i64 j = i; j < width; ++j) y[j] = F<T>::zero();
  for (i64 r = 0; r < rows; ++r)
    for (i64 j = i; j < width; ++j) y[j] = F<T>::join(y[j], x[r * step + j]);
}

template <class T, template <class> class F> void reduce(const Call& c) {
  const Split s = split(c);
  if (!s.simple || c.ins[0].size() == 0) return walk<T, F>(c);
  const T* x = c.in<T>(0);
  T* y = c.out<T>(0);
  if (s.inner == 1) {
    const i64 per_task = larger<i64>(1, 16384 / s.folded);
    c.parallel(ceil_div(s.outer, per_task), [&](i64 task, i32) {
      for (i64 o = task * per_task; o < smaller(s.outer, (task + 1) * per_task); ++o) y[o] = fold_row<T, F>(x + o * s.folded, s.folded);
    });
    return;
  }
  // Columns: blocks of rows fold into partial rows, which fold in order; a single block folds into the result.
  const i64 blocks = ceil_div(s.folded, kRows), strips = ceil_div(s.inner, kColumns);
  if (blocks == 1) {
    const i64 per_task = larger<i64>(1, 16384 / (s.folded * smaller(kColumns, s.inner)));
    c.parallel(ceil_div(s.outer * strips, per_task), [&](i64 task, i32) {
      for (i64 n = task * per_task; n < smaller(s.outer * strips, (task + 1) * per_task); ++n) {
        const i64 o = n / strips, first = n % strips * kColumns;
        fold_columns<T, F>(x + o * s.folded * s.inner + first, s.folded, s.inner, y + o * s.inner + first, smaller(kColumns, s.inner - first));
      }
    });
    return;
  }
  T* partial = reinterpret_cast<T*>(c.scratch);
  for (i64 o = 0; o < s.outer; ++o) {
    const T* from = x + o * s.folded * s.inner;
    c.parallel(blocks * strips, [&](i64 task, i32) {
      const i64 block = task / strips, first = task % strips * kColumns, last = smaller(s.inner, first + kColumns);
      const i64 row = block * kRows;
      fold_columns<T, F>(from + row * s.inner + first, smaller(kRows, s.folded - row), s.inner, partial + block * s.inner + first, last - first);
    });
    T* to = y + o * s.inner;
    for (i64 i = 0; i < s.inner; ++i) to[i] = partial[i];
    for (i64 block = 1; block < blocks; ++block)
      for (i64 i = 0; i < s.inner; ++i) to[i] = F<T>::join(to[i], partial[block * s.inner + i]);
  }
}

}  // namespace reduce_detail

KERNEL_WITH_SCRATCH(reduce_sum, reduce_detail::scratch) {
  using namespace reduce_detail;
  c.ins[0].dtype == DType::f32 ? reduce<f32, Sum>(c) : reduce<i32, Sum>(c);
}
KERNEL_WITH_SCRATCH(reduce_max, reduce_detail::scratch) {
  using namespace reduce_detail;
  c.ins[0].dtype == DType::f32 ? reduce<f32, Max>(c) : reduce<i32, Max>(c);
}

}  // namespace openmoe::OPENMOE_ISA
