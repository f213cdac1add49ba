// attention: y = softmax(scale·q·kᵀ)·v per head, in tiles with a running softmax (Milakov and Gimelshein 2018; Dao et al. 2022).
#include "../../native/attention-few.h"

namespace openmoe::OPENMOE_ISA {
namespace attention {

// A tile of scores: [key][query], so that a softmax needs no sum across lanes and the tile is the right operand of the product with
// v as it lies. Keys come in panels of kRows; the queries of a task share the copies of keys and values.
constexpr i64 kKeyTile = 64, kPanels = kKeyTile / kRows;
constexpr i64 kTiles = 256 / kWide, kQueries = kTiles * kWide;
// Weights are relative to a score that the largest one may exceed by so many powers of two before the sums are rescaled.
constexpr f32 kSlack = 16.f, kLowest = -3e38f;

// What a worker keeps of its task.
struct State {
  f32 *q;                          // of each tile [feature][query]
  f32 *y;                          // of each tile [feature][query], before the division
  f32 *k, *v;                      // [key][deep]; k times scale · log2 e
  f32 *weights;                    // [key][query]
  f32 *shift, *total;              // of each query: what its scores are relative to, Σ 2^(score − shift)
  i32 *limit, *segment;            // of each query: the last key it may see, its segment (−1: none)
  i32 *key_segment;                // of each key in the tile (−2: none)
  Range *segments;                 // of each tile of queries
  i64 used = 0;

  State(const Shape& s, f32* p) {
    const auto take = [&](i64 n) {
      f32* at = p ? p + used : nullptr;
      used += round_up(n, 16);
      return at;
    };
    q = take(kQueries * s.size + kLanes);
    y = take(kQueries * s.deep);
    k = take(kKeyTile * s.deep), v = take(kKeyTile * s.deep);
    weights = take(kKeyTile * kWide);
    shift = take(kQueries), total = take(kQueries);
    limit = reinterpret_cast<i32*>(take(kQueries)), segment = reinterpret_cast<i32*>(take(kQueries));
    key_segment = reinterpret_cast<i32*>(take(kKeyTile));
    segments = reinterpret_cast<Range*>(take(kTiles * 2));
  }
  static i64 floats(const Shape& s) { return State(s, nullptr).used; }
};

static void start_queries(const State& s, const Shape& shape, const Head& head, const AttentionMask& mask, i64 first, i64 count) {
  for (i64 tile = 0; tile < count; tile += kWide) {
    const i64 queries = smaller(kWide, count - tile);
    for (i64 i = tile; i < tile + kWide; i += kLanes) {
      const vi segment = load_ints(mask.query_segments + first + i, count - i);
      store(s.shift + i, splat(kLowest));
      store(s.total + i, vf{});
      store(s.limit + i, lane_numbers() + mask.limit(first + i));
      store(s.segment + i, segment > 0 ? segment : vi{} - 1);
    }
    s.segments[tile / kWide] = range_of(s.segment + tile, queries);
    pack_panel(head.q + (first + tile) * shape.features, shape.features, 1, queries, shape.size, s.q + tile * shape.size, kWide);
  }
}

// Vectors of queries and what the task keeps of them.
struct Queries {
  const f32* q;
  f32 *y, *shift, *total;
  const i32 *limit, *segment;
  Queries(const State& s, const Shape& shape, i64 tile, i64 lane)
      : q(s.q + tile * shape.size + lane), y(s.y + tile * shape.deep + lane), shift(s.shift + tile + lane), total(s.total + tile + lane),
        limit(s.limit + tile + lane), segment(s.segment + tile + lane) {}
};

inline bool any_above(vf a, vf b) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_GT_OQ)) != 0;
#else
  return fold_lanes((vf)((a > b) & 0x3f800000), [](vf x, vf y) { return x + y; }) > 0;
#endif
}

// Raises the shift of the queries whose largest score went beyond the slack, and rescales what they summed and the weights of `done`
// keys that are still to be summed.
template <int Vectors>
static __attribute__((noinline)) void raise(const Queries& x, const vf (&top)[Vectors], i64 deep, f32* weights, i64 done) {
  vf factor[Vectors];
  for (int j = 0; j < Vectors; ++j) {
    const vf before = load(x.shift + j * kLanes), after = top[j] > before + kSlack ? top[j] : before;
    factor[j] = vexp2(before - after);
    store(x.shift + j * kLanes, after);
    store(x.total + j * kLanes, load(x.total + j * kLanes) * factor[j]);
  }
  for (i64 d = 0; d < deep; ++d) {
    for (int j = 0; j < Vectors; ++j) store(x.y + d * kWide + j * kLanes, load(x.y + d * kWide + j * kLanes) * factor[j]);
  }
  for (i64 i = 0; i < done; ++i) {
    for (int j = 0; j < Vectors; ++j) store(weights + i * kWide + j * kLanes, load(weights + i * kWide + j * kLanes) * factor[j]);
  }
}

// Weights of a panel of keys, behind those of `done` keys: 2^(score − shift), 0 where unseen.
template <int Vectors, bool Masked>
static void weigh(const Queries& x, const Shape& shape, const f32* k, const i32* key_segment, i64 key, f32* all, i64 done) {
  f32* weights = all + done * kWide;
  Sums<Vectors> score;
  score.clear();
  score.multiply(shape.size, {k, shape.deep, 1}, x.q, kWide);
  if constexpr (Masked) {
    score.each([&](vf& sum, int i, int j) {
      const auto seen = (load(x.limit + j * kLanes) >= static_cast<i32>(key + i)) & (load(x.segment + j * kLanes) == key_segment[i]);
      sum = seen ? sum : splat(-kInfinity);
    });
  }
  vf top[Vectors];
#pragma GCC unroll 2
  for (int j = 0; j < Vectors; ++j) {
    top[j] = score.at[0][j];
#pragma GCC unroll 8
    for (int i = 1; i < kRows; ++i) top[j] = vmax(score.at[i][j], top[j]);
  }
  bool above = false;
  for (int j = 0; j < Vectors; ++j) above |= any_above(top[j], load(x.shift + j * kLanes) + kSlack);
  if (__builtin_expect(above, false)) raise<Vectors>(x, top, shape.deep, all, done);
  vf total[Vectors] = {};
  score.each([&](vf& sum, int i, int j) {
    sum = vexp2(sum - load(x.shift + j * kLanes));
    total[j] += sum;
    store(weights + i * kWide + j * kLanes, sum);
  });
  for (int j = 0; j < Vectors; ++j) store(x.total + j * kLanes, load(x.total + j * kLanes) + total[j]);
}

// What is seen of a tile of keys, panel by panel.
struct Keys {
  i64 key, count, panels;
  bool copied;
  Range segments[kPanels];
};

static Keys start_keys(const State& s, const Shape& shape, const AttentionMask& mask, i64 key) {
  Keys t{key, smaller(kKeyTile, shape.keys - key), 0, false, {}};
  t.panels = ceil_div(t.count, kRows);
  for (i64 j = 0; j < kKeyTile; j += kLanes) {
    const vi segment = load_ints(mask.key_segments + key + j, t.count - j);
    store(s.key_segment + j, segment > 0 ? segment : vi{} - 2);
  }
  for (i64 p = 0; p < t.panels; ++p) t.segments[p] = range_of(s.key_segment + p * kRows, kRows);
  return t;
}

// Copies keys and values of the tile, and asks for those of the next.
static void copy_keys(const State& s, const Shape& shape, const Head& head, Keys& t) {
  const i64 at = t.key * shape.features, next = at + t.count * shape.features, rows = smaller(kKeyTile, shape.keys - t.key - t.count);
  copy_rows(head.k + at, shape.features, t.count, shape.size, s.k, shape.deep, shape.scale * kLog2e);
  copy_rows(head.v + at, shape.features, t.count, shape.size, s.v, shape.deep, 1.f);
  fetch_rows(head.k + next, rows, shape), fetch_rows(head.v + next, rows, shape);
  t.copied = true;
}

static Sight sight(const Keys& t, i64 p, const Range& mine, i32 low, i32 high) {
  const i64 key = t.key + p * kRows;
  const Range& theirs = t.segments[p];
  if (key > high || mine.high < theirs.low || theirs.high < mine.low) return Sight::none;
  return mine.low == mine.high && theirs.low == theirs.high && key + kRows - 1 <= low ? Sight::all : Sight::some;
}

// Adds a tile of keys to the sums of a tile of queries.
static void add_keys(const State& s, const Shape& shape, const Head& head, Keys& t, i64 tile, i64 queries, bool& started) {
  const Range mine = s.segments[tile / kWide];
  const i32 low = s.limit[tile], high = s.limit[tile + queries - 1], half = s.limit[tile + smaller<i64>(kLanes, queries) - 1];
  i64 first = 0, end = t.panels;
  while (first < end && sight(t, first, mine, low, high) == Sight::none) ++first;
  while (first < end && sight(t, end - 1, mine, low, high) == Sight::none) --end;
  if (first == end) return;
  if (!t.copied) copy_keys(s, shape, head, t);
  const Queries both(s, shape, tile, 0), later(s, shape, tile, kLanes);
  i64 middle = first;
  for (i64 p = first; p < end; ++p) {
    const i64 key = t.key + p * kRows;
    const f32* k = s.k + p * kRows * shape.deep;
    const i32* segment = s.key_segment + p * kRows;
    f32* weights = s.weights + first * kRows * kWide;
    const i64 done = (p - first) * kRows;
    const bool all = sight(t, p, mine, low, high) == Sight::all;
    if (key <= half) {
      middle = p + 1;
      (all ? weigh<2, false> : weigh<2, true>)(both, shape, k, segment, key, weights, done);
    } else {
      weigh<1, true>(later, shape, k, segment, key, weights + kLanes, done);
    }
  }
  const f32* weights = s.weights + first * kRows * kWide;
  const i64 early = (middle - first) * kRows, late = (end - middle) * kRows;
  for (i64 d = 0; d < shape.deep; d += kRows) {
    const f32* v = s.v + first * kRows * shape.deep + d;
    Sums<2> sum;
    if (started) {
      sum.take(both.y + d * kWide, kWide);
    } else {
      sum.clear();
    }
    sum.multiply(early, {v, 1, shape.deep}, weights, kWide);
    sum.multiply<1>(late, {v + early * shape.deep, 1, shape.deep}, weights + early * kWide, kWide);
    sum.put(both.y + d * kWide, kWide);
  }
  started = true;
}

static void attend_block(const State& s, const Shape& shape, const Head& head, const AttentionMask& mask, i64 first, i64 count) {
  fetch_rows(head.q + first * shape.features, count, shape);
  start_queries(s, shape, head, mask, first, count);
  bool started[kTiles] = {};
  for (i64 key = 0; key < shape.keys && key <= mask.limit(first + count - 1); key += kKeyTile) {
    Keys t = start_keys(s, shape, mask, key);
    for (i64 tile = 0; tile < count; tile += kWide) add_keys(s, shape, head, t, tile, smaller(kWide, count - tile), started[tile / kWide]);
  }
}

// y and lse of a tile of queries.
static void finish(const State& s, const Shape& shape, const Head& head, i64 first, i64 tile, i64 queries) {
  for (i64 i = 0; i < kWide; i += kLanes) {
    const vf total = load(s.total + tile + i);
    const i64 n = smaller<i64>(kLanes, queries - i);
    if (n <= 0) break;
    const vf lse = total == 0.f ? vf{} : load(s.shift + tile + i) * kLn2 + vlog(total);
    if (head.lse) store_part(head.lse + first + tile + i, lse, n);
    if (!head.y) continue;
    const vf share = 1.f / total;
    turn_out(s.y + tile * shape.deep + i, shape.size, n, share, head.y + (first + tile + i) * shape.features, shape.features);
  }
  for (i64 i = 0; i < queries && head.y; ++i) {
    if (s.total[tile + i] == 0) mean_of_values(shape, head, head.y + (first + tile + i) * shape.features);
  }
}

static Head head_of(const Call& c, const Shape& shape, i64 row, i64 h) {
  const i64 q = row * shape.queries * shape.features + h * shape.size, k = row * shape.keys * shape.features + h * shape.size;
  f32 *y = c.out<f32>(0), *lse = c.out<f32>(1);
  return {c.in<f32>(0) + q, c.in<f32>(1) + k, c.in<f32>(2) + k, y ? y + q : nullptr,
          lse ? lse + (row * shape.heads + h) * shape.queries : nullptr};
}

static AttentionMask mask_of(const Call& c, const Shape& shape, i64 row) {
  return {c.in<i32>(3) + row * shape.queries, c.in<i32>(4) + row * shape.keys, *c.in<i32>(5)};
}

static void run_tiles(const Call& c, const Shape& shape) {
  const i64 blocks = ceil_div(shape.queries, kQueries), heads = c.dim(0, 0) * shape.heads;
  c.parallel(heads * blocks, [&](i64 task, i32 worker) {
    const i64 block = blocks - 1 - task / heads, row = task % heads / shape.heads;  // the last queries see most: they go first
    const i64 first = block * kQueries, count = smaller(kQueries, shape.queries - first);
    const Head head = head_of(c, shape, row, task % shape.heads);
    const State s(shape, reinterpret_cast<f32*>(c.scratch) + worker * State::floats(shape));
    attend_block(s, shape, head, mask_of(c, shape, row), first, count);
    for (i64 tile = 0; tile < count; tile += kWide) finish(s, shape, head, first, tile, smaller(kWide, count - tile));
  });
}

static i64 parts_of(const Shape& shape) { return ceil_div(shape.keys, kPart); }
static i64 few_floats(const Call& c, const Shape& shape) {
  return c.dim(0, 0) * shape.queries * parts_of(shape) * Part::floats(shape) + c.threads() * round_up(shape.heads * kPart, 16);
}

static void run_few(const Call& c, const Shape& shape) {
  const i64 parts = parts_of(shape), step = Part::floats(shape), rows = c.dim(0, 0);
  f32* part = reinterpret_cast<f32*>(c.scratch);
  f32* scores = part + rows * shape.queries * parts * step;
  c.parallel(rows * parts, [&](i64 task, i32 worker) {
    const i64 row = task / parts, key = task % parts * kPart;
    const AttentionMask mask = mask_of(c, shape, row);
    const Head all = head_of(c, shape, row, 0);
    for (i64 i = 0; i < shape.queries; ++i) {
      const i32 mine = mask.query_segments[i];
      const i64 keys = mine > 0 ? smaller(smaller(kPart, shape.keys - key), mask.limit(i) + 1 - key) : 0;
      if (keys <= 0) continue;
      const i64 at = key * shape.features;
      attend_part(shape, all.q + i * shape.features, all.k + at, all.v + at, keys, mask.key_segments + key, mine,
                  scores + worker * round_up(shape.heads * kPart, 16), Part(shape, part + ((row * shape.queries + i) * parts + task % parts) * step));
    }
  });
  c.parallel(rows * shape.heads, [&](i64 task, i32) {
    const i64 row = task / shape.heads, h = task % shape.heads;
    const AttentionMask mask = mask_of(c, shape, row);
    const Head head = head_of(c, shape, row, h);
    for (i64 i = 0; i < shape.queries; ++i) {
      const i64 seen = mask.query_segments[i] > 0 ? larger<i64>(0, smaller<i64>(shape.keys, mask.limit(i) + 1)) : 0;
      join_parts(shape, part + (row * shape.queries + i) * parts * step, ceil_div(seen, kPart), step, h, head, i);
    }
  });
}

}  // namespace attention

static size_t attention_scratch(const Call& c) {
  const attention::Shape shape(c);
  const bool few = shape.queries <= attention::kFew;
  return (few ? attention::few_floats(c, shape) : c.threads() * attention::State::floats(shape)) * sizeof(f32);
}

KERNEL_WITH_SCRATCH(attention, attention_scratch) {
  const attention::Shape shape(c);
  (shape.queries <= attention::kFew ? attention::run_few : attention::run_tiles)(c, shape);
}

}  // namespace openmoe::OPENMOE_ISA
