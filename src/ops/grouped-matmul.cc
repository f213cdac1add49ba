// grouped_matmul: y[S,F], the rows of expert e = its rows of x[S,D] · w[e]; rows of no expert are zero.
// From 64 rows an expert on bound by the multipliers: 74–85 % of the FMA peak of two Zen 5 cores, 71–84 % of the bf16 peak (77–80 % of one
// core; with w in the second-level cache 82). With 16 rows by reading w: 28–40 GB/s, of the 48–60 that two threads read in order and do
// nothing else.
#include "../../native/few-rows.h"
#include "../../native/groups.h"

namespace openmoe::OPENMOE_ISA {

namespace grouped_matmul_detail {

// Tasks: the rows of each expert in blocks, by blocks of columns; and at the end the rows of no expert.
struct Tasks {
  i64 experts, most_rows;
  Split wide;
  i64 *begins, *first;  // of rows, and of tasks
  struct Task {
    i64 expert, row, rows, col, cols;
  };
  Task operator[](i64 task) const {
    const i64 e = group_of(first, experts + 1, task), local = task - first[e];
    const Split high(begins[e + 1] - begins[e], most_rows, 1);
    const i64 q = local / high.count, p = local % high.count;
    return {e, begins[e] + high.begin(p), high.size(p), wide.begin(q), wide.size(q)};
  }
  i64 count() const { return first[experts + 1]; }
};

// How the rows of a task are multiplied.
enum class Way { zeros, streamed, turned, blocked };

template <class P, class X, class W, class Y> void multiply_groups(const Call& c) {
  const i64 rows = c.dim(0, 0), depth = c.dim(0, 1), experts = c.dim(2, 0), cols = c.outs[0].dims[1];
  const bool turn = c.attrs[0] != 0;
  i64* begins = reinterpret_cast<i64*>(c.scratch);
  const Tasks tasks{experts, block_rows<P>(depth), Split(cols, kBlockCols, kTileCols), begins, begins + experts + 2};
  f32* scratch = reinterpret_cast<f32*>(c.scratch + round_up(2 * (experts + 2) * sizeof(i64), 64));
  group_begins(c.in<i32>(2), experts, rows, begins);
  begins[experts + 1] = rows;  // the rest: one group more, of zeros
  tasks.first[0] = 0;
  for (i64 e = 0; e <= experts; ++e) {
    tasks.first[e + 1] = tasks.first[e] + Split(begins[e + 1] - begins[e], tasks.most_rows, 1).count * tasks.wide.count;
  }
  const auto way = [=](const Tasks::Task& t) {
    if (t.expert == experts) return Way::zeros;
    if constexpr (sizeof(W) == sizeof(f32)) {
      if (turn ? turns<P>(t.rows, depth) : streams<P>(t.rows, t.cols, depth, cols)) return turn ? Way::turned : Way::streamed;
    }
    return Way::blocked;
  };
  const ViewOf<X> all{c.in<X>(0), depth, 1};
  const auto weights = [=, w = c.in<W>(1)](const Tasks::Task& t) {
    const W* own = w + t.expert * depth * cols;
    return (turn ? ViewOf<W>{own, 1, depth} : ViewOf<W>{own, cols, 1}).at(0, t.col);
  };
  // What a task reads first: its weights, then its rows.
  const auto opening = [=](i64 task, Ahead* then) {
    if (task >= tasks.first[experts] || depth == 0) return Ahead();
    const Tasks::Task t = tasks[task];
    const ViewOf<W> w = weights(t);
    *then = Ahead(all.at(t.row, 0).data, t.rows * depth, 0, 1);
    switch (way(t)) {
      case Way::streamed: return streamed_part<P>(w.data, cols, streamed_cols(t.cols).size(0), depth);
      case Way::turned: return Ahead(w.data, depth, depth, smaller<i64>(kTileRows, t.cols));
      case Way::blocked: return panel_after(w, t.cols, depth, 0, -kTileCols, block_depth<P>(depth));
      default: return Ahead();
    }
  };
  c.parallel(tasks.count(), [&](i64 task, i32 worker) {
    const Tasks::Task t = tasks[task];
    Y* y = c.out<Y>(0) + t.row * cols + t.col;
    const ViewOf<X> x = all.at(t.row, 0);
    const ViewOf<W> w = weights(t);
    f32* own = scratch + worker * kMultiplyScratch;
    Ahead rows_after, after = opening(task + c.threads(), &rows_after);
    after.then = &rows_after;
    const Way chosen = way(t);
    if constexpr (sizeof(W) == sizeof(f32)) {
      if (chosen == Way::streamed) return multiply_streamed<P>(t.rows, t.cols, depth, x, w.data, cols, y, cols, own, after);
      if (chosen == Way::turned) return multiply_turned<P>(t.rows, t.cols, depth, x, w.data, depth, y, cols, own, after);
    }
    if (chosen == Way::blocked) return multiply<P>(t.rows, t.cols, depth, x, w, y, cols, false, own, false, &after);
    for (i64 r = 0; r < t.rows; ++r) __builtin_memset(y + r * cols, 0, t.cols * sizeof(Y));
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
