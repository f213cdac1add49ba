// grouped_outer: w[e] = x_eᵀ·dy_e for the rows of each expert, zero where it has none: the gradient of grouped_matmul's weights.
// From 64 rows an expert on bound by the multipliers: 78–84 % of the FMA peak of two Zen 5 cores and 68–79 % of the bf16 peak. With 16 rows by
// writing w around the caches: 37–41 GB/s of the 41 that two threads store so.
#include "../../native/few-rows.h"
#include "../../native/groups.h"

namespace openmoe::OPENMOE_ISA {

namespace grouped_outer_detail {

template <class P, class X, class Y> void multiply_groups(const Call& c) {
  const i64 rows = c.dim(0, 0), high_all = c.dim(0, 1), cols = c.dim(1, 1), experts = c.dim(2, 0);
  i64* begins = reinterpret_cast<i64*>(c.scratch);
  f32* scratch = reinterpret_cast<f32*>(c.scratch + round_up((experts + 1) * sizeof(i64), 64));
  group_begins(c.in<i32>(2), experts, rows, begins);
  const Split high(high_all, kBlockNumbers / kBlockDepth, 1), wide(cols, kBlockCols, kTileCols);
  const bool around = goes_around(c, 0, cols);
  c.parallel(experts * high.count * wide.count, [&](i64 task, i32 worker) {
    const i64 e = task / (high.count * wide.count), p = task / wide.count % high.count, q = task % wide.count;
    const i64 i = high.begin(p), j = wide.begin(q), begin = begins[e];
    const ViewOf<X> x{c.in<X>(0) + begin * high_all, high_all, 1};
    const ViewOf<Y> dy{c.in<Y>(1) + begin * cols, cols, 1};
    f32* w = c.out<f32>(0) + (e * high_all + i) * cols + j;
    const i64 n = begins[e + 1] - begin, tall = high.size(p), width = wide.size(q);
    f32* own = scratch + worker * kMultiplyScratch;
    if (is_shallow<P>(n, tall, width)) {
      multiply_shallow<P>(n, tall, width, transposed(x).at(i, 0), dy.at(0, j), w, cols, own, around);
    } else {
      multiply<P>(tall, width, n, transposed(x).at(i, 0), dy.at(0, j), w, cols, false, own, around);
    }
    settle(around);
  });
}

}  // namespace grouped_outer_detail

static size_t grouped_outer_scratch(const Call& c) {
  return round_up((c.dim(2, 0) + 1) * sizeof(i64), 64) + c.threads() * kMultiplyScratch * sizeof(f32);
}

KERNEL_WITH_SCRATCH(grouped_outer, grouped_outer_scratch) {
  by_product_type(c.ins[0], c.ins[1], c.outs[0], [&](auto t) {
    using T = decltype(t);
    grouped_outer_detail::multiply_groups<typename T::Product, typename T::A, typename T::B>(c);
  });
}

}  // namespace openmoe::OPENMOE_ISA
