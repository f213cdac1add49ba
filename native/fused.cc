// fused: a chain of elementwise operations as one loop over blocks that stay in the first-level cache.
// Bound by memory: each operand is read once and the result written once, however long the chain.
// attrs: immediates (value, dtype) after their count, then steps (name, operands) after theirs; see compile/program.ts for registers.
#include "kernel.h"

namespace openmoe::OPENMOE_ISA {
namespace fused_detail {

constexpr i64 kBlock = 1024;       // lanes of a register
constexpr i64 kTask = 16 * kBlock;  // lanes of a task: small enough to share out, large enough to be worth it
constexpr int kMaxOperands = 64;

// Axes of the result with those joined that every operand walks through evenly.
struct Axes {
  i64 dims[kMaxRank] = {1};
  i64 strides[kMaxOperands][kMaxRank] = {};
  i32 rank = 0;
};

inline Axes join_axes(const Call& c) {
  Axes axes;
  const Array& out = c.outs[0];
  for (i32 axis = 0; axis < out.rank; ++axis) {
    if (out.dims[axis] == 1) continue;
    bool joins = axes.rank > 0;
    i64 steps[kMaxOperands];
    for (i32 n = 0; n < c.in_count; ++n) {
      i64 step = 1;
      for (i32 later = axis + 1; later < out.rank; ++later) step *= c.ins[n].dims[later];
      steps[n] = c.ins[n].dims[axis] == 1 ? 0 : step;
      if (joins && axes.strides[n][axes.rank - 1] != steps[n] * out.dims[axis]) joins = false;
    }
    const i32 at = joins ? axes.rank - 1 : axes.rank++;
    axes.dims[at] = joins ? axes.dims[at] * out.dims[axis] : out.dims[axis];
    for (i32 n = 0; n < c.in_count; ++n) axes.strides[n][at] = steps[n];
  }
  if (axes.rank == 0) axes.rank = 1;
  return axes;
}

inline i64 register_count(const Call& c) {
  const i64 immediates = c.index_attr(0);
  return c.in_count + immediates + c.index_attr(1 + 2 * static_cast<int>(immediates));
}

inline size_t scratch(const Call& c) { return sizeof(f32) * kBlock * register_count(c) * c.threads(); }

inline void fill(f32* to, double value, bool integer) {
  const i32 whole = static_cast<i32>(value);
  f32 bits = static_cast<f32>(value);
  if (integer) __builtin_memcpy(&bits, &whole, 4);
  for (i64 i = 0; i < kBlock; ++i) to[i] = bits;
}

}  // namespace fused_detail

KERNEL_WITH_SCRATCH(fused, fused_detail::scratch) {
  using namespace fused_detail;
  const i64 total = c.outs[0].size();
  if (total == 0) return;
  const Axes axes = join_axes(c);
  const i64 inner = axes.dims[axes.rank - 1], outer = total / inner;
  const i64 blocks = ceil_div(inner, kBlock), pieces = outer * blocks;
  const i64 per_task = larger<i64>(1, kTask / smaller(inner, kBlock));
  const i64 registers = register_count(c);
  const int immediates = static_cast<int>(c.index_attr(0)), first_step = 2 + 2 * immediates;
  const i64 steps = c.index_attr(1 + 2 * immediates);

  c.parallel(ceil_div(pieces, per_task), [&](i64 task, i32 worker) {
    f32* own = reinterpret_cast<f32*>(c.scratch) + worker * registers * kBlock;
    for (int i = 0; i < immediates; ++i) fill(own + (c.in_count + i) * kBlock, c.attrs[1 + 2 * i], c.attrs[2 + 2 * i] == 1);
    for (i64 piece = task * per_task; piece < smaller(pieces, (task + 1) * per_task); ++piece) {
      const i64 from = piece % blocks * kBlock, n = smaller(kBlock, inner - from);
      const void* at[kMaxOperands * 4];
      for (i32 operand = 0; operand < c.in_count; ++operand) {
        i64 offset = 0, rest = piece / blocks;
        for (i32 axis = axes.rank - 2; axis >= 0; --axis) {
          offset += rest % axes.dims[axis] * axes.strides[operand][axis];
          rest /= axes.dims[axis];
        }
        const i64 stride = axes.strides[operand][axes.rank - 1];
        const f32* source = c.in<f32>(operand) + offset + from * stride;
        at[operand] = source;
        if (stride == 1 || n == 1) continue;
        f32* copy = own + operand * kBlock;
        for (i64 i = 0; i < n; ++i) copy[i] = source[i * stride];
        at[operand] = copy;
      }
      for (i64 r = c.in_count; r < registers; ++r) at[r] = own + r * kBlock;
      f32* out = c.out<f32>(0) + piece / blocks * inner + from;
      int word = first_step;
      for (i64 step = 0; step < steps; ++step) {
        const BlockOp* op = c.block_ops[c.index_attr(word)];
        const int operands = static_cast<int>(c.index_attr(word + 1));
        const void* in[4];
        for (int k = 0; k < operands; ++k) in[k] = at[c.index_attr(word + 2 + k)];
        void* to = step + 1 == steps ? static_cast<void*>(out) : own + (c.in_count + immediates + step) * kBlock;
        op->run(n, in, to);
        word += 2 + operands;
      }
    }
  });
}

}  // namespace openmoe::OPENMOE_ISA
