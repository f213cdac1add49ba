// cast: f32 ↔ bf16. Bound by memory: six bytes an element.
#include "../../native/bf16.h"

namespace openmoe::OPENMOE_ISA {
namespace cast_detail {

constexpr i64 kTask = 16384;

template <class From, class To> void convert(const Call& c) {
  const i64 n = c.outs[0].size();
  c.parallel(ceil_div(n, kTask), [&](i64 task, i32) {
    const From* x = c.in<From>(0);
    To* y = c.out<To>(0);
    for (i64 i = task * kTask; i < smaller(n, (task + 1) * kTask); i += kLanes) store_part(y + i, load_part(x + i, n - i), n - i);
  });
}

}  // namespace cast_detail

KERNEL(cast) {
  using namespace cast_detail;
  const bool from = c.ins[0].dtype == DType::bf16, to = c.outs[0].dtype == DType::bf16;
  (from ? (to ? convert<bf16, bf16> : convert<bf16, f32>) : to ? convert<f32, bf16> : convert<f32, f32>)(c);
}

}  // namespace openmoe::OPENMOE_ISA
