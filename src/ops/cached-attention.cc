// cached_attention: one new token of each row: its key and value go into the cache, its query attends to what stands there. Bound by
// reading the cache; with few tokens in it by starting the threads.
#include "../../native/vector-math.h"

namespace openmoe::OPENMOE_ISA {
namespace cached_detail {

struct Shape {
  i64 rows, room, features, heads, size;  // size: features of a head; room: tokens that a cache holds
  explicit Shape(const Call& c)
      : rows(c.dim(0, 0)), room(rows ? c.dim(1, 0) / rows : 0), features(c.dim(1, 1)), heads(c.index_attr(0)), size(features / heads) {}
  i64 floats() const { return 2 * round_up(size, 16) + round_up(room, 16); }
};

// Halves of a head turned against each other (Su et al. 2021; pairs (i, i + half)).
inline void rotate(const f32* x, const f32* angles, i64 half, f32* to) {
  for (i64 j = 0; j < half; j += kLanes) {
    const i64 n = half - j;
    const vf a = load_part(x + j, n), b = load_part(x + half + j, n), s = load_part(angles + j, n), co = load_part(angles + half + j, n);
    store_part(to + j, a * co - b * s, n);
    store_part(to + half + j, b * co + a * s, n);
  }
}

// Rows of a head lie a whole token apart: too far for the processor to foresee.
constexpr i64 kTokensAhead = 12;

inline f32 dot(const f32* a, const f32* b, i64 n, i64 ahead) {
  vf sum{};
  for (i64 d = 0; d < n; d += kLanes) {
    __builtin_prefetch(b + ahead + d);
    sum += load_part(a + d, n - d) * load_part(b + d, n - d);
  }
  return hsum(sum);
}

// Scores of `count` keys become weights that sum to `total`, which is returned.
inline f32 weigh(f32* scores, i64 count) {
  vf tops = splat(-kInfinity);
  for (i64 j = 0; j < count; j += kLanes) tops = vmax(load(scores + j), tops);  // a NaN leaves the top and makes its weight NaN
  const f32 top = hmax(tops);
  vf total{};
  for (i64 j = 0; j < count; j += kLanes) {
    const vf weight = vexp(load(scores + j) - top);
    store(scores + j, weight);
    total += weight;
  }
  return hsum(total);
}

inline void attend(const Call& c, const Shape& s, i64 row, i64 head, f32* scratch) {
  const i64 column = head * s.size, half = s.size / 2, last = larger<i64>(0, smaller<i64>(c.in<i32>(4)[row], s.room - 1));
  const f32 *qkv = c.in<f32>(0) + row * 3 * s.features + column, *angles = c.in<f32>(3) + row * s.size;
  f32 *q = scratch, *sum = q + round_up(s.size, 16), *scores = sum + round_up(s.size, 16);
  f32 *keys = c.out<f32>(1) + row * s.room * s.features + column, *values = c.out<f32>(2) + row * s.room * s.features + column;
  const i64 ahead = kTokensAhead * s.features;
  for (i64 j = 0; j < smaller(last, kTokensAhead); ++j) {
    for (i64 d = 0; d < s.size; d += 16) __builtin_prefetch(keys + j * s.features + d);
  }
  rotate(qkv, angles, half, q);
  rotate(qkv + s.features, angles, half, keys + last * s.features);
  for (i64 d = 0; d < s.size; ++d) values[last * s.features + d] = qkv[2 * s.features + d], sum[d] = 0;
  for (i64 j = 0; j <= last; ++j) {
    for (i64 d = 0; d < s.size; d += 16) __builtin_prefetch(values + j * s.features + d);
    scores[j] = dot(q, keys + j * s.features, s.size, ahead) * c.attr(1);
  }
  for (i64 j = last + 1; j < round_up(last + 1, kLanes); ++j) scores[j] = -kInfinity;
  const f32 total = weigh(scores, last + 1);
  for (i64 j = 0; j <= last; ++j) {
    const f32* v = values + j * s.features;
    for (i64 d = 0; d < s.size; d += kLanes) {
      store_part(sum + d, load_part(sum + d, s.size - d) + load_part(v + d, s.size - d) * scores[j], s.size - d);
    }
  }
  f32* y = c.out<f32>(0) + row * s.features + column;
  for (i64 d = 0; d < s.size; ++d) y[d] = sum[d] / total;
}

}  // namespace cached_detail

static size_t cached_attention_scratch(const Call& c) {
  // The caches are outputs that overwrite their operands: without a reader there is nothing to write to.
  if (c.outs[1].rank != 2 || c.outs[2].rank != 2) return kRefused;
  return static_cast<size_t>(c.threads() * cached_detail::Shape(c).floats()) * sizeof(f32);
}

KERNEL_WITH_SCRATCH(cached_attention, cached_attention_scratch) {
  using namespace cached_detail;
  const Shape s(c);
  for (int i = 0; i < 2; ++i) {
    const i64 bytes = s.rows * s.room * s.features * 4;
    if (c.out<f32>(1 + i) != c.in<f32>(1 + i)) __builtin_memcpy(c.out<f32>(1 + i), c.in<f32>(1 + i), static_cast<size_t>(bytes));
  }
  if (!c.out<f32>(0)) return;
  const i64 count = s.rows * s.heads, per = count >= 8 ? 2 : 1;
  c.parallel(ceil_div(count, per), [&](i64 task, i32 worker) {
    f32* scratch = reinterpret_cast<f32*>(c.scratch) + worker * s.floats();
    for (i64 i = task * per; i < smaller(count, (task + 1) * per); ++i) attend(c, s, i / s.heads, i % s.heads, scratch);
  });
}

}  // namespace openmoe::OPENMOE_ISA
