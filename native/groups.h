// Consecutive groups of rows, one per expert, from counts that nobody checked.
#pragma once
#include "kernel.h"

namespace openmoe::OPENMOE_ISA {

// begins[e] … begins[e + 1] are the rows of expert e: negative counts are taken as 0, rows beyond the buffer are cut off.
inline void group_begins(const i32* sizes, i64 experts, i64 rows, i64* begins) {
  begins[0] = 0;
  for (i64 e = 0; e < experts; ++e) begins[e + 1] = begins[e] + larger<i64>(0, smaller<i64>(sizes[e], rows - begins[e]));
}

// The largest e with begins[e] <= task, in an ascending list that starts at 0: the owner of a task.
inline i64 group_of(const i64* begins, i64 experts, i64 task) {
  i64 low = 0, high = experts;
  while (high - low > 1) {
    const i64 middle = (low + high) / 2;
    (begins[middle] <= task ? low : high) = middle;
  }
  return low;
}

}  // namespace openmoe::OPENMOE_ISA
