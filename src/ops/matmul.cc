// matmul: y[…,M,N] = a[…,M,K]·b[…,K,N], either operand transposed. Bound by the multipliers: 81–95 % of the FMA peak of two Zen 5
// cores on training shapes, least where aᵀ must be copied; for few rows by reading b, where it lies either way: at nine tenths of the
// memory bandwidth where it is not transposed. In bf16 83–91 % of the bf16 peak. Results beyond 16 MB go around the caches: 77 → 88 % at 2048×8192×256.
#include "../../native/narrow.h"

namespace openmoe::OPENMOE_ISA {

namespace matmul_detail {

template <class P, class A, class B, class C> void multiply_all(const Call& c) {
  const i32 rank = c.ins[0].rank;
  const bool turn_a = c.attrs[0] != 0, turn_b = c.attrs[1] != 0;
  const i64 rows = c.outs[0].dims[rank - 2], cols = c.outs[0].dims[rank - 1];
  const i64 depth = c.dim(0, turn_a ? rank - 2 : rank - 1);
  i64 batch = 1;
  for (i32 i = 0; i < rank - 2; ++i) batch *= c.dim(0, i);
  const Grid grid(rows, cols, block_rows<P>(depth), turn_a);
  const bool around = goes_around(c, 0, cols);
  c.parallel(batch * grid.count(), [&](i64 task, i32 worker) {
    const i64 n = task / grid.count();
    const A* a_data = c.in<A>(0) + n * rows * depth;
    const B* b_data = c.in<B>(1) + n * depth * cols;
    const ViewOf<A> a = turn_a ? ViewOf<A>{a_data, 1, rows} : ViewOf<A>{a_data, depth, 1};
    const ViewOf<B> b = turn_b ? ViewOf<B>{b_data, 1, depth} : ViewOf<B>{b_data, cols, 1};
    f32* scratch = reinterpret_cast<f32*>(c.scratch) + worker * kMultiplyScratch;
    multiply_block<P>(grid, task % grid.count(), depth, a, b, c.out<C>(0) + n * rows * cols, cols, false, scratch, around);
    settle(around);
  });
}

inline bool run_narrow(const Call& c) {
  const bool plain = c.ins[0].rank == 2 && c.attrs[0] == 0 && c.attrs[1] == 0 && c.ins[0].dtype == DType::f32 && c.ins[1].dtype == DType::f32;
  if (!plain || !is_narrow(c.dim(0, 0), c.dim(1, 1))) return false;
  multiply_narrow(c.dim(0, 0), c.dim(1, 1), c.dim(0, 1), c.in<f32>(0), c.in<f32>(1), c.out<f32>(0));
  return true;
}

constexpr i64 kTurnedBytes = 256 << 10;  // of b for a task

inline bool run_few_turned(const Call& c) {
  const bool plain = c.ins[0].rank == 2 && c.attrs[0] == 0 && c.attrs[1] != 0 && c.ins[0].dtype == DType::f32 && c.ins[1].dtype == DType::f32;
  const i64 rows = c.dim(0, 0), depth = c.dim(0, 1), cols = c.dim(1, 0);
  if (!plain || rows > kFewRows || depth == 0) return false;
  const Split split(cols, larger<i64>(kLanes, kTurnedBytes / 4 / depth), kLanes);
  c.parallel(split.count, [&](i64 task, i32) {
    const i64 j = split.begin(task);
    multiply_few_turned(rows, split.size(task), depth, c.in<f32>(0), c.in<f32>(1) + j * depth, c.out<f32>(0) + j, cols);
  });
  return true;
}

}  // namespace matmul_detail

static size_t matmul_scratch(const Call& c) { return c.threads() * kMultiplyScratch * sizeof(f32); }

KERNEL_WITH_SCRATCH(matmul, matmul_scratch) {
  if (matmul_detail::run_narrow(c) || matmul_detail::run_few_turned(c)) return;
  by_product_type(c.ins[0], c.ins[1], c.outs[0], [&](auto t) {
    using T = decltype(t);
    matmul_detail::multiply_all<typename T::Product, typename T::A, typename T::B, typename T::C>(c);
  });
}

}  // namespace openmoe::OPENMOE_ISA
