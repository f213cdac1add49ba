// fused: a chain of elementwise operations as one loop over blocks that stay in the nearest caches.
// Bound by memory: each operand is read once and the result written once, however long the chain. Out of place 60–77 % of update
// bandwidth, in place all of it (Zen 5, two threads).
// attrs: immediates (value, dtype) after their count, then steps (name, operands) after theirs; see compile/program.ts for registers.
#include "lanes.h"

namespace openmoe::OPENMOE_ISA {
namespace fused_detail {

constexpr i64 kBlock = 1024;        // lanes of a register
constexpr i64 kTask = 32 * kBlock;  // lanes of a task: small enough to share out, large enough to be worth it
constexpr int kMostInputs = 3;      // of one step

// What the attributes say. Registers: the operands, then the immediates, then one per step.
struct Chain {
  i64 immediates, steps, registers;
  int first_step;  // place of the first step among the attributes
};
inline Chain chain(const Call& c) {
  const i64 immediates = c.index_attr(0), steps = c.index_attr(1 + 2 * static_cast<int>(immediates));
  return {immediates, steps, c.in_count + immediates + steps, 2 + 2 * static_cast<int>(immediates)};
}

// An attribute that is a whole number in [0, limit), or −1.
inline i64 checked(const Call& c, i64 at, i64 limit) {
  if (at >= c.attr_count || !(c.attrs[at] >= 0 && c.attrs[at] < static_cast<double>(limit))) return -1;
  const i64 whole = c.index_attr(static_cast<int>(at));
  return static_cast<double>(whole) == c.attrs[at] ? whole : -1;
}
// Lanes are of 4 bytes: bf16 is widened as it is read and rounded as it is written. An operand has the result's size or 1 on each axis.
inline bool is_lanes(const Array& a) { return a.dtype == DType::f32 || a.dtype == DType::i32 || a.dtype == DType::bf16; }
inline bool repeats(const Array& operand, const Array& result) {
  if (!is_lanes(operand) || operand.rank != result.rank) return false;
  for (i32 axis = 0; axis < result.rank; ++axis)
    if (operand.dims[axis] != result.dims[axis] && operand.dims[axis] != 1) return false;
  return true;
}
// Everything that the loop below relies on.
inline bool sound(const Call& c) {
  if (c.out_count != 1 || !is_lanes(c.outs[0])) return false;
  for (i32 n = 0; n < c.in_count; ++n)
    if (!repeats(c.ins[n], c.outs[0])) return false;
  const i64 immediates = checked(c, 0, c.attr_count);
  const i64 steps = immediates < 0 ? -1 : checked(c, 1 + 2 * immediates, c.attr_count);
  if (steps < 1) return false;
  i64 at = 2 + 2 * immediates;
  for (i64 step = 0; step < steps; ++step) {
    const i64 name = checked(c, at, c.name_count), inputs = checked(c, at + 1, kMostInputs + 1);
    if (name < 0 || !c.block_ops[name] || c.block_ops[name]->inputs != inputs) return false;
    for (i64 k = 0; k < inputs; ++k)
      if (checked(c, at + 2 + k, c.in_count + immediates + step) < 0) return false;
    at += 2 + inputs;
  }
  return at == c.attr_count;
}

// Axes of the result with those joined that every operand walks through evenly.
struct Axes {
  i64 dims[kMaxRank] = {1};
  i32 rank = 0;
};
inline Axes join_axes(const Call& c, i64 (*strides)[kMaxRank]) {
  Axes axes;
  const Array& out = c.outs[0];
  const auto step_of = [&](i32 n, i32 axis) {
    i64 step = 1;
    for (i32 later = axis + 1; later < out.rank; ++later) step *= c.ins[n].dims[later];
    return c.ins[n].dims[axis] == 1 ? 0 : step;
  };
  for (i32 n = 0; n < c.in_count; ++n)
    for (i32 axis = 0; axis < kMaxRank; ++axis) strides[n][axis] = 0;
  for (i32 axis = 0; axis < out.rank; ++axis) {
    if (out.dims[axis] == 1) continue;
    bool joins = axes.rank > 0;
    for (i32 n = 0; joins && n < c.in_count; ++n) joins = strides[n][axes.rank - 1] == step_of(n, axis) * out.dims[axis];
    const i32 at = joins ? axes.rank - 1 : axes.rank++;
    axes.dims[at] = joins ? axes.dims[at] * out.dims[axis] : out.dims[axis];
    for (i32 n = 0; n < c.in_count; ++n) strides[n][at] = step_of(n, axis);
  }
  if (axes.rank == 0) axes.rank = 1;
  return axes;
}

// Strides of the operands; then for each worker the places of its registers and the registers.
struct Scratch {
  i64 shared, per_worker;
};
inline Scratch layout(const Call& c) {
  const i64 registers = chain(c).registers;
  const i64 strides = static_cast<i64>(sizeof(i64)) * kMaxRank * c.in_count, places = static_cast<i64>(sizeof(void*)) * registers;
  return {round_up(strides, 64), round_up(places, 64) + static_cast<i64>(sizeof(f32)) * kBlock * registers};
}
inline size_t scratch(const Call& c) {
  if (!sound(c)) return kRefused;
  const Scratch s = layout(c);
  return static_cast<size_t>(s.shared + s.per_worker * c.threads());
}

inline void fill(f32* to, double value, bool integer) {
  const i32 whole = integer ? static_cast<i32>(value) : 0;
  f32 bits = static_cast<f32>(value);
  if (integer) __builtin_memcpy(&bits, &whole, 4);
  for (i64 i = 0; i < kBlock; ++i) to[i] = bits;
}

// What the first lane holds, number or integer, in all lanes.
inline vf splat_bits(const f32* source) {
  i32 bits;
  __builtin_memcpy(&bits, source, 4);
  return (vf)(vi{} + bits);
}

// n lanes of an operand: itself where they lie side by side, else a copy.
inline const f32* side_by_side(const f32* source, i64 stride, i64 n, f32* copy) {
  if (stride == 1 || n == 1) return source;
  if (stride == 0) {
    const vf same = splat_bits(source);
    each_lanes(n, [&](i64 i, auto lanes) { put(copy + i, same, lanes); });
  } else {
    for (i64 i = 0; i < n; ++i) copy[i] = source[i * stride];
  }
  return copy;
}
inline const f32* widened(const bf16* source, i64 stride, i64 n, f32* copy) {
  if (stride == 1) {
    each_lanes(n, [&](i64 i, auto lanes) { put(copy + i, get(source + i, lanes), lanes); });
  } else {
    for (i64 i = 0; i < n; ++i) copy[i] = load_part(source + i * stride, 1)[0];
  }
  return copy;
}
// Operand k from element `from` on.
inline const f32* operand_lanes(const Call& c, i32 k, i64 from, i64 stride, i64 n, f32* copy) {
  return c.ins[k].dtype == DType::bf16 ? widened(c.in<bf16>(k) + from, stride, n, copy) : side_by_side(c.in<f32>(k) + from, stride, n, copy);
}
// The result from element `from` on, out of a register.
inline void keep_result(const Call& c, i64 from, const f32* result, i64 n, bool around) {
  const auto copy = [&](auto* to) { each_lanes(n, around, [&](i64 i, auto lanes) { put(to + i, get(result + i, lanes), lanes); }); };
  if (c.outs[0].dtype == DType::bf16) {
    copy(c.out<bf16>(0) + from);
  } else {
    copy(c.out<f32>(0) + from);
  }
}

// Runs every step over n lanes; the last one writes the result, or a register that is then rounded, or copied around the caches.
inline void run_steps(const Call& c, const Chain& ch, const void** at, f32* registers, i64 from, i64 n, bool around) {
  const bool direct = !around && c.outs[0].dtype != DType::bf16;
  int word = ch.first_step;
  for (i64 step = 0; step < ch.steps; ++step) {
    const BlockOp* op = c.block_ops[c.index_attr(word)];
    const i64 target = c.in_count + ch.immediates + step;
    const void* in[kMostInputs];
    for (int k = 0; k < op->inputs; ++k) in[k] = at[c.index_attr(word + 2 + k)];
    const bool last = step + 1 == ch.steps;
    f32* to = last && direct ? c.out<f32>(0) + from : registers + target * kBlock;
    op->run(n, in, to);
    if (last && !direct) keep_result(c, from, to, n, around);
    at[target] = to;
    word += 2 + op->inputs;
  }
}

}  // namespace fused_detail

KERNEL_WITH_SCRATCH(fused, fused_detail::scratch) {
  using namespace fused_detail;
  const i64 total = c.outs[0].size();
  if (total == 0) return;
  const Chain ch = chain(c);
  const Scratch memory = layout(c);
  i64(*strides)[kMaxRank] = reinterpret_cast<i64(*)[kMaxRank]>(c.scratch);
  const Axes axes = join_axes(c, strides);
  const i32 last = axes.rank - 1;
  const i64 inner = axes.dims[last], outer = total / inner;
  const i64 blocks = ceil_div(inner, kBlock), pieces = outer * blocks;
  const i64 per_task = larger<i64>(1, kTask / smaller(inner, kBlock));
  const bool around = goes_around(c, 0, inner);

  c.parallel(ceil_div(pieces, per_task), [&](i64 task, i32 worker) {
    char* own = c.scratch + memory.shared + worker * memory.per_worker;
    const void** at = reinterpret_cast<const void**>(own);
    f32* registers = reinterpret_cast<f32*>(own + round_up(static_cast<i64>(sizeof(void*)) * ch.registers, 64));
    for (int i = 0; i < ch.immediates; ++i) {
      f32* immediate = registers + (c.in_count + i) * kBlock;
      fill(immediate, c.attrs[1 + 2 * i], c.attrs[2 + 2 * i] == 1);
      at[c.in_count + i] = immediate;
    }
    for (i64 piece = task * per_task; piece < smaller(pieces, (task + 1) * per_task); ++piece) {
      const i64 row = piece / blocks, from = piece % blocks * kBlock, n = smaller(kBlock, inner - from);
      for (i32 operand = 0; operand < c.in_count; ++operand) {
        i64 offset = 0, rest = row;
        for (i32 axis = last - 1; axis >= 0; --axis) {
          offset += rest % axes.dims[axis] * strides[operand][axis];
          rest /= axes.dims[axis];
        }
        const i64 stride = strides[operand][last];
        at[operand] = operand_lanes(c, operand, offset + from * stride, stride, n, registers + operand * kBlock);
      }
      run_steps(c, ch, at, registers, row * inner + from, n, around);
    }
    settle(around);
  });
}

}  // namespace openmoe::OPENMOE_ISA
