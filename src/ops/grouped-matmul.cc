// grouped_matmul: y[S,F], the rows of expert e = its rows of x[S,D] · w[e]; rows of no expert are zero.
// From 64 rows an expert on bound by the multipliers: 63–81 % of the FMA peak of two Zen 5 cores with 64 experts and 81–85 % with 8, of the
// bf16 peak 59–69 and 78–82 %. With 16 rows by reading w: 28–40 GB/s, of the 48–60 that two threads read in order and do nothing else.
#include "../../native/few-rows.h"
#include "../../native/groups.h"

namespace openmoe::OPENMOE_ISA {

namespace grouped_matmul_detail {

template <class P, class X, class W, class Y> void multiply_groups(const Call& c) {
  const i64 rows = c.dim(0, 0), depth = c.dim(0, 1), experts = c.dim(2, 0), cols = c.outs[0].dims[1];
  const bool turn = c.attrs[0] != 0;
  i64 *begins = reinterpret_cast<i64*>(c.scratch), *tasks = begins + experts + 2;
  f32* scratch = reinterpret_cast<f32*>(c.scratch + round_up(2 * (experts + 2) * sizeof(i64), 64));
  const Split wide(cols, kBlockCols, kTileCols);
  const i64 most_rows = block_rows<P>(depth);
  group_begins(c.in<i32>(2), experts, rows, begins);
  begins[experts + 1] = rows;  // the rest: one group more, of zeros
  tasks[0] = 0;
  for (i64 e = 0; e <= experts; ++e) {
    tasks[e + 1] = tasks[e] + Split(begins[e + 1] - begins[e], most_rows, 1).count * wide.count;
  }
  c.parallel(tasks[experts + 1], [&](i64 task, i32 worker) {
    const i64 e = group_of(tasks, experts + 1, task), local = task - tasks[e];
    const Split high(begins[e + 1] - begins[e], most_rows, 1);
    const i64 q = local / high.count, j = wide.begin(q), width = wide.size(q);
    const i64 p = local % high.count, i = begins[e] + high.begin(p);
    Y* y = c.out<Y>(0) + i * cols + j;
    if (e == experts) {
      for (i64 r = 0; r < high.size(p); ++r) __builtin_memset(y + r * cols, 0, width * sizeof(Y));
      return;
    }
    const W* w = c.in<W>(1) + e * depth * cols;
    const ViewOf<W> weights = turn ? ViewOf<W>{w, 1, depth} : ViewOf<W>{w, cols, 1};
    const ViewOf<X> x{c.in<X>(0) + i * depth, depth, 1};
    f32* own = scratch + worker * kMultiplyScratch;
    const i64 n = high.size(p);
    if constexpr (sizeof(W) == sizeof(f32)) {
      if (turn && turns<P>(n, depth)) return multiply_turned<P>(n, width, depth, x, w + j * depth, depth, y, cols, own);
      if (!turn && streams<P>(n, width, depth)) return multiply_streamed<P>(n, width, depth, x, w + j, cols, y, cols, own);
    }
    multiply<P>(n, width, depth, x, weights.at(0, j), y, cols, false, own);
  });
}

}  // namespace grouped_matmul_detail

static size_t grouped_matmul_scratch(const Call& c) {
  const i64 experts = c.dim(2, 0);
  return round_up(2 * (experts + 2) * sizeof(i64), 64) + c.threads() * kMultiplyScratch * sizeof(f32);
}

KERNEL_WITH_SCRATCH(grouped_matmul, grouped_matmul_scratch) {
  by_product_type(c.ins[0], c.ins[1], c.outs[0], [&](auto t) {
    using T = decltype(t);
    grouped_matmul_detail::multiply_groups<typename T::Product, typename T::A, typename T::B, typename T::C>(c);
  });
}

}  // namespace openmoe::OPENMOE_ISA
