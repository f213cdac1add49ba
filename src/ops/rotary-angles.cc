// rotary_angles: sines, then cosines, of every position. Once a token for all layers: microseconds.
#include "../../native/rotary.h"

namespace openmoe::OPENMOE_ISA {

static size_t rotary_angles_scratch(const Call& c) { return static_cast<size_t>(c.index_attr(0) / 2) * sizeof(f32); }

KERNEL_WITH_SCRATCH(rotary_angles, rotary_angles_scratch) {
  const i64 half = c.index_attr(0) / 2;
  f32 *inverse = reinterpret_cast<f32*>(c.scratch), *y = c.out<f32>(0);
  frequencies(inverse, half, c.attrs[1]);
  c.parallel(ceil_div(c.dim(0, 0), 16), [&](i64 task, i32) {
    for (i64 n = task * 16; n < smaller(c.dim(0, 0), (task + 1) * 16); ++n) {
      angles_of(c.in<i32>(0)[n], inverse, half, y + 2 * half * n, y + 2 * half * n + half);
    }
  });
}

}  // namespace openmoe::OPENMOE_ISA
