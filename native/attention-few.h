// Attention for few queries, as when generating: bound by reading keys and values, each once and in the order in which they lie.
// A task takes some keys for all heads, so that few heads occupy all threads; the parts are joined in the order of the keys.
// Only keys that the last query may see are read. 110 to 120 GB/s from L3 and the bandwidth of DRAM on two Zen 5 cores.
#pragma once
#include "attention-mask.h"

namespace openmoe::OPENMOE_ISA {
namespace attention {

// One head of one row of the batch: its columns of every operand.
struct Head {
  const f32 *q, *k, *v;
  f32 *y, *lse;  // null where nobody reads it
};

// A query that saw nothing gets the mean of all values, as an additive mask would give it.
inline void mean_of_values(const Shape& shape, const Head& head, f32* y) {
  for (i64 d = 0; d < shape.size; ++d) y[d] = 0;
  for (i64 j = 0; j < shape.keys; ++j) {
    for (i64 d = 0; d < shape.size; ++d) y[d] += head.v[j * shape.features + d];
  }
  for (i64 d = 0; d < shape.size; ++d) y[d] /= static_cast<f32>(shape.keys);
}

constexpr i64 kFew = 4, kPart = 64;  // queries at most; keys of a task

// What one part contributes to one query: per head the largest score and Σ 2^(score − largest), then Σ weight · value.
struct Part {
  f32 *top, *total, *y;
  static i64 floats(const Shape& s) { return round_up(2 * s.heads + s.features, 16); }
  Part(const Shape& s, f32* p) : top(p), total(p + s.heads), y(p + 2 * s.heads) {}
};

// Scores of all heads, [head][key]: −inf for keys that the query does not see, and up to a whole register.
inline void score_few(const Shape& shape, const f32* q, const f32* k, i64 keys, const i32* segments, i32 mine, f32* scores) {
  for (i64 j = 0; j < keys; ++j, k += shape.features) {
    for (i64 h = 0; h < shape.heads; ++h) {
      vf dot{};
      for (i64 d = h * shape.size; d < (h + 1) * shape.size; d += kLanes) {
        const i64 lanes = smaller<i64>(kLanes, (h + 1) * shape.size - d);
        dot += load_part(q + d, lanes) * load_part(k + d, lanes);
      }
      scores[h * kPart + j] = segments[j] == mine ? hsum(dot) * (shape.scale * kLog2e) : -kInfinity;
    }
  }
  for (i64 h = 0; h < shape.heads; ++h) {
    for (i64 j = keys; j < round_up(keys, kLanes); ++j) scores[h * kPart + j] = -kInfinity;
  }
}

// One query by keys key … key + keys − 1.
inline void attend_part(const Shape& shape, const f32* q, const f32* k, const f32* v, i64 keys, const i32* segments, i32 mine,
                        f32* scores, const Part& part) {
  score_few(shape, q, k, keys, segments, mine, scores);
  for (i64 h = 0; h < shape.heads; ++h) {
    f32* x = scores + h * kPart;
    vf tops = load(x), total{};
    for (i64 j = kLanes; j < keys; j += kLanes) tops = vmax(load(x + j), tops);
    part.top[h] = hmax(tops);
    const f32 shift = part.top[h] == -kInfinity ? 0.f : part.top[h];
    for (i64 j = 0; j < keys; j += kLanes) {
      const vf weight = vexp2(load(x + j) - shift);
      store(x + j, weight);
      total += weight;
    }
    part.total[h] = hsum(total);
  }
  __builtin_memset(part.y, 0, shape.features * sizeof(f32));
  for (i64 j = 0; j < keys; ++j, v += shape.features) {
    for (i64 h = 0; h < shape.heads; ++h) {
      const f32 weight = scores[h * kPart + j];
      for (i64 d = h * shape.size; d < (h + 1) * shape.size; d += kLanes) {
        const i64 lanes = smaller<i64>(kLanes, (h + 1) * shape.size - d);
        store_part(part.y + d, load_part(part.y + d, lanes) + load_part(v + d, lanes) * weight, lanes);
      }
    }
  }
}

// y and lse of one head of one query from all its parts, each `step` floats after the one before.
inline void join_parts(const Shape& shape, f32* parts, i64 count, i64 step, i64 h, const Head& head, i64 query) {
  f32 top = -kInfinity, total = 0;
  for (i64 p = 0; p < count; ++p) top = larger(top, Part(shape, parts + p * step).top[h]);
  const f32 shift = top == -kInfinity ? 0.f : top;
  const auto factor = [&](i64 p) { return vexp2(splat(Part(shape, parts + p * step).top[h] - shift))[0]; };
  for (i64 p = 0; p < count; ++p) total += Part(shape, parts + p * step).total[h] * factor(p);
  if (head.lse) head.lse[query] = total == 0 ? 0.f : shift * kLn2 + vlog(splat(total))[0];
  if (!head.y) return;
  f32* y = head.y + query * shape.features;
  if (total == 0) return mean_of_values(shape, head, y);
  for (i64 d = 0; d < shape.size; ++d) y[d] = 0;
  for (i64 p = 0; p < count; ++p) {
    const f32 share = factor(p) / total;
    for (i64 d = 0; d < shape.size; ++d) y[d] += Part(shape, parts + p * step).y[h * shape.size + d] * share;
  }
}

}  // namespace attention
}  // namespace openmoe::OPENMOE_ISA
