// Copies between arrays of the same shape and any strides: what broadcast, transpose, slice, pad and concat are.
#pragma once
#include "kernel.h"

namespace openmoe::OPENMOE_ISA {

struct Strided {
  i32 rank = 0;
  i64 dims[kMaxRank] = {};
  i64 from[kMaxRank] = {};  // strides of the source
  i64 to[kMaxRank] = {};    // strides of the target
};

// Row-major strides of an array.
inline void row_major(const Array& a, i64* steps) {
  i64 step = 1;
  for (i32 axis = a.rank - 1; axis >= 0; --axis) {
    steps[axis] = step;
    step *= a.dims[axis];
  }
}

// Bytes move unchanged, so f32 and i32 alike. Tasks are runs of whole innermost rows.
inline void copy_strided(const Call& c, const Strided& s, const i32* source, i32* target) {
  i64 total = 1;
  for (i32 axis = 0; axis < s.rank; ++axis) total *= s.dims[axis];
  if (total == 0) return;
  const i32 last = s.rank - 1;
  const i64 inner = s.rank > 0 ? s.dims[last] : 1, rows = total / inner;
  const i64 step_from = s.rank > 0 ? s.from[last] : 1, step_to = s.rank > 0 ? s.to[last] : 1;
  const i64 per_task = larger<i64>(1, 16384 / inner);
  c.parallel(ceil_div(rows, per_task), [&](i64 task, i32) {
    for (i64 row = task * per_task; row < smaller(rows, (task + 1) * per_task); ++row) {
      i64 rest = row, from = 0, to = 0;
      for (i32 axis = last - 1; axis >= 0; --axis) {
        from += rest % s.dims[axis] * s.from[axis];
        to += rest % s.dims[axis] * s.to[axis];
        rest /= s.dims[axis];
      }
      const i32* a = source + from;
      i32* b = target + to;
      if (step_from == 1 && step_to == 1)
        for (i64 i = 0; i < inner; ++i) b[i] = a[i];
      else
        for (i64 i = 0; i < inner; ++i) b[i * step_to] = a[i * step_from];
    }
  });
}

}  // namespace openmoe::OPENMOE_ISA
