// Copies between arrays of the same shape and any strides: what broadcast, transpose, slice, pad and concat are.
#pragma once
#include "pack.h"

namespace openmoe::OPENMOE_ISA {

struct Strided {
  i32 rank = 0;
  i64 dims[kMaxRank] = {};
  i64 from[kMaxRank] = {};  // strides of the source
  i64 to[kMaxRank] = {};    // strides of the target

  // Adds to both offsets the place of one index over the axes whose bit in `skipped` is not set.
  void locate(i64 index, uint32_t skipped, i64* from_offset, i64* to_offset) const {
    for (i32 axis = rank - 1; axis >= 0; --axis) {
      if (skipped >> axis & 1) continue;
      *from_offset += index % dims[axis] * from[axis];
      *to_offset += index % dims[axis] * to[axis];
      index /= dims[axis];
    }
  }
};

// Row-major strides of an array.
inline void row_major(const Array& a, i64* steps) {
  i64 step = 1;
  for (i32 axis = a.rank - 1; axis >= 0; --axis) {
    steps[axis] = step;
    step *= a.dims[axis];
  }
}

constexpr i64 kTurnTile = 64;

// A tile of `high` × `wide` numbers whose rows are contiguous in the source and whose columns are in the target: squares are turned
// in registers, so that both sides are touched by whole cache lines.
inline void turn_tile(const i32* source, i64 from_step, i32* target, i64 to_step, i64 high, i64 wide) {
  for (i64 r = 0; r < high; r += kLanes)
    for (i64 i = 0; i < wide; i += kLanes) {
      const f32* from = reinterpret_cast<const f32*>(source + r * from_step + i);
      f32* to = reinterpret_cast<f32*>(target + i * to_step + r);
      if (r + kLanes <= high && i + kLanes <= wide) {
        vf v[kLanes];
        for (i64 k = 0; k < kLanes; ++k) v[k] = load(from + k * from_step);
        pack::transpose<1>(v);
        for (i64 k = 0; k < kLanes; ++k) store(to + k * to_step, v[k]);
      } else {
        for (i64 k = i; k < smaller(wide, i + kLanes); ++k)
          for (i64 l = r; l < smaller(high, r + kLanes); ++l) target[k * to_step + l] = source[l * from_step + k];
      }
    }
}

// The innermost axis of the target is strided in the source, `along` is the axis that is contiguous there.
inline void copy_turned(const Call& c, const Strided& s, i32 along, i64 total, const i32* source, i32* target) {
  const i32 last = s.rank - 1;
  const i64 down = ceil_div(s.dims[last], kTurnTile), across = ceil_div(s.dims[along], kTurnTile);
  const i64 outer = total / (s.dims[last] * s.dims[along]);
  c.parallel(outer * down * across, [&](i64 task, i32) {
    const i64 r = task % down * kTurnTile, i = task / down % across * kTurnTile;
    i64 from = r * s.from[last] + i, to = r + i * s.to[along];
    s.locate(task / (down * across), 1u << last | 1u << along, &from, &to);
    turn_tile(source + from, s.from[last], target + to, s.to[along], smaller(kTurnTile, s.dims[last] - r), smaller(kTurnTile, s.dims[along] - i));
  });
}

// Bytes move unchanged, so f32 and i32 alike. Tasks are runs of whole innermost rows, or tiles where rows are strided.
inline void copy_strided(const Call& c, const Strided& s, const i32* source, i32* target) {
  i64 total = 1;
  for (i32 axis = 0; axis < s.rank; ++axis) total *= s.dims[axis];
  if (total == 0) return;
  const i32 last = s.rank - 1;
  const i64 inner = s.rank > 0 ? s.dims[last] : 1, rows = total / inner;
  const i64 step_from = s.rank > 0 ? s.from[last] : 1, step_to = s.rank > 0 ? s.to[last] : 1;
  if (step_to == 1 && step_from > 1)
    for (i32 axis = 0; axis < last; ++axis)
      if (s.from[axis] == 1 && s.dims[axis] >= 8 && inner >= 8) return copy_turned(c, s, axis, total, source, target);
  const i64 per_task = larger<i64>(1, 16384 / inner);
  c.parallel(ceil_div(rows, per_task), [&](i64 task, i32) {
    for (i64 row = task * per_task; row < smaller(rows, (task + 1) * per_task); ++row) {
      i64 from = 0, to = 0;
      s.locate(row, s.rank > 0 ? 1u << last : 0, &from, &to);
      const i32* a = source + from;
      i32* b = target + to;
      if (step_from == 1 && step_to == 1)
        for (i64 i = 0; i < inner; ++i) b[i] = a[i];
      else
        for (i64 i = 0; i < inner; ++i) b[i * step_to] = a[i * step_from];
    }
  });
}

}  // namespace openmoe::OPENMOE_ISA
