// attention: y = softmax(scale·q·kᵀ)·v per head, in tiles with a running softmax (Milakov and Gimelshein 2018; Dao et al. 2022).
// Bound by the multipliers: counting the visible half alone, 50 % of the FMA peak of a Zen 5 core for 256 tokens and heads of 32,
// 70 % for 2048 and heads of 64. Scores are kept as [key][query]: a softmax needs no sum across lanes, and the tile is at once
// the packed left operand of the product with v.
#include "../../native/attention-mask.h"
#include "../../native/gemm.h"

namespace openmoe::OPENMOE_ISA {
namespace attention {

// A tile of scores: many keys, so that the running sums are seldom rescaled, by one panel of queries, so that little of a tile
// on the diagonal is wasted. The queries of a task share the packed keys and values.
constexpr i64 kKeyTile = kTileRows * (112 / kTileRows), kQueryTile = kTileCols;
constexpr i64 kTiles = 256 / kQueryTile, kQueries = kTiles * kQueryTile;

struct Shape {
  i64 queries, keys, features, heads, size;  // size: features of a head
  explicit Shape(const Call& c)
      : queries(c.dim(0, 1)), keys(c.dim(1, 1)), features(c.dim(0, 2)), heads(c.index_attr(0)), size(features / heads) {}
  i64 wide() const { return round_up(size, kTileCols); }
};

// What a worker keeps of its task.
struct State {
  f32 *q, *k, *v, *scores, *y;      // packed queries, keys and values; [key][query]; [query][wide] before the division
  f32 *top, *total, *shrink;        // of each query: largest score, Σ exp(score − top), factor for what was summed before
  i32 *limit, *segment;             // of each query: the last key it may see, its segment (−1: none)
  i64 used = 0;

  State(const Shape& s, f32* p) {
    const auto take = [&](i64 n) {
      f32* at = p ? p + used : nullptr;
      used += round_up(n, 16);
      return at;
    };
    v = take(kKeyTile * s.wide() + kLanes);
    q = take(kQueries * s.wide() + kLanes);
    k = take(kKeyTile * s.size + kLanes);
    scores = take(kKeyTile * kQueryTile);
    y = take(kQueries * s.wide());
    top = take(kQueries), total = take(kQueries), shrink = take(kQueries);
    limit = reinterpret_cast<i32*>(take(kQueries)), segment = reinterpret_cast<i32*>(take(kQueries));
  }
  static i64 floats(const Shape& s) { return State(s, nullptr).used; }
};

static void start_queries(const State& s, const AttentionMask& mask, i64 first, i64 count) {
  for (i64 i = 0; i < kQueries; ++i) {
    const i32 segment = i < count ? mask.query_segments[first + i] : 0;
    s.top[i] = -kInfinity;
    s.total[i] = 0;
    s.limit[i] = mask.limit(first + i);
    s.segment[i] = segment > 0 ? segment : -1;
  }
}

// Scores of `tile` with at least the first `keys` packed keys, by whole panels. Returns with how many.
static i64 score(const State& s, i64 size, i64 tile, i64 keys, i64 packed) {
  const RowPanels split(packed);
  i64 p = 0;
  for (; p < split.panels && split.begin(p) < keys; ++p) {
    const i64 j = split.begin(p), height = split.height(p);
    f32* scores = s.scores + j * kQueryTile;
    multiply_rows(height, {size, s.k + j * size, height, s.q + tile * size, kTileCols, scores, kQueryTile, kTileCols, false});
  }
  return split.begin(p);
}

// Scores of unseen keys become −inf.
static void hide(const State& s, i64 tile, i64 key, i64 keys, const i32* key_segments) {
  for (i64 i = 0; i < kQueryTile; i += kLanes) {
    const vi limit = load(s.limit + tile + i), segment = load(s.segment + tile + i);
    for (i64 j = 0; j < keys; ++j) {
      f32* x = s.scores + j * kQueryTile + i;
      const i32 theirs = key_segments[key + j] > 0 ? key_segments[key + j] : -2;  // a query of no segment has −1
      const auto seen = (limit >= static_cast<i32>(key + j)) & (segment == theirs);
      store(x, seen ? load(x) : splat(-kInfinity));
    }
  }
}

// Scores → weights relative to the new largest score of each query.
static void weigh(const State& s, i64 tile, i64 keys) {
  for (i64 i = 0; i < kQueryTile; i += kLanes) {
    f32* x = s.scores + i;
    const vf before = load(s.top + tile + i);
    vf top = before;
    for (i64 j = 0; j < keys; ++j) top = vmax(load(x + j * kQueryTile), top);
    const vf shift = top == -kInfinity ? vf{} : top;  // nothing seen yet: −inf − 0 and not −inf + inf
    const vf shrink = vexp(before - shift);
    vf total{};
    for (i64 j = 0; j < keys; ++j) {
      const vf weight = vexp(load(x + j * kQueryTile) - shift);
      store(x + j * kQueryTile, weight);
      total += weight;
    }
    store(s.top + tile + i, top);
    store(s.shrink + tile + i, shrink);
    store(s.total + tile + i, load(s.total + tile + i) * shrink + total);
  }
}

static void add_values(const State& s, const Shape& shape, i64 tile, i64 queries, i64 keys, i64 packed, bool first) {
  const i64 wide = shape.wide();
  f32* y = s.y + tile * wide;
  if (!first) {
    for (i64 i = 0; i < queries; ++i) {
      const vf factor = splat(s.shrink[tile + i]);
      for (i64 d = 0; d < wide; d += kLanes) store(y + i * wide + d, load(y + i * wide + d) * factor);
    }
  }
  const RowPanels split(queries);
  for (i64 d = 0; d < wide; d += kTileCols) {
    for (i64 p = 0; p < split.panels; ++p) {
      const i64 i = split.begin(p);
      const f32 *weights = s.scores + i, *v = s.v + d * packed;
      multiply_rows(split.height(p), {keys, weights, kQueryTile, v, kTileCols, y + i * wide + d, wide, kTileCols, !first});
    }
  }
}

// One head of one row of the batch: its columns of every operand.
struct Head {
  const f32 *q, *k, *v;
  f32 *y, *lse;  // null where nobody reads it
};

static void attend_tiles(const Head& head, const Shape& shape, const AttentionMask& mask, const State& s, i64 first, i64 count, f32 scale) {
  const i64 size = shape.size, features = shape.features;
  pack_cols({head.q + first * features, 1, features}, count, size, s.q);
  for (i64 i = 0; i < round_up(count, kTileCols) * size; i += kLanes) store(s.q + i, load(s.q + i) * scale);
  bool started[kTiles] = {};
  for (i64 key = 0; key < shape.keys && key <= mask.limit(first + count - 1); key += kKeyTile) {
    const i64 keys = smaller(kKeyTile, shape.keys - key);
    bool packed = false;
    for (i64 tile = 0; tile < count; tile += kQueryTile) {
      const i64 queries = smaller(kQueryTile, count - tile), last = mask.limit(first + tile + queries - 1);
      if (last < key) continue;
      const i64 seen = smaller(keys, last + 1 - key);
      const Sight sight = mask.sight(first + tile, queries, key, seen);
      if (sight == Sight::none) continue;
      if (!packed) {
        pack_rows({head.k + key * features, features, 1}, keys, size, s.k);
        pack_cols({head.v + key * features, features, 1}, size, keys, s.v);
        packed = true;
      }
      const i64 scored = score(s, size, tile, seen, keys);
      if (sight == Sight::some || scored > seen) hide(s, tile, key, scored, mask.key_segments);
      weigh(s, tile, scored);
      add_values(s, shape, tile, queries, scored, keys, !started[tile / kQueryTile]);
      started[tile / kQueryTile] = true;
    }
  }
}

// Few queries, as when generating: bound by reading keys and values, each once and where it lies.
constexpr i64 kFew = 4;

// Scores of one query with `keys` keys; −inf for those it does not see and up to a whole register.
static void score_few(const State& s, const Shape& shape, i64 i, const f32* k, i64 keys, const i32* segments) {
  const f32* q = s.q + i * shape.wide();
  for (i64 j = 0; j < keys; ++j, k += shape.features) {
    vf dot{};
    for (i64 d = 0; d < shape.size; d += kLanes) {
      __builtin_prefetch(k + 16 * shape.features + d);
      dot += load(q + d) * load_part(k + d, smaller<i64>(kLanes, shape.size - d));
    }
    s.scores[j] = segments[j] == s.segment[i] ? hsum(dot) : -kInfinity;
  }
  for (i64 j = keys; j < round_up(keys, kLanes); ++j) s.scores[j] = -kInfinity;
}

static void weigh_few(const State& s, i64 i, i64 keys) {
  vf tops = load(s.scores);
  for (i64 j = kLanes; j < keys; j += kLanes) tops = vmax(load(s.scores + j), tops);
  const f32 top = larger(s.top[i], hmax(tops)), shift = top == -kInfinity ? 0.f : top;
  vf total{};
  for (i64 j = 0; j < keys; j += kLanes) {
    const vf weight = vexp(load(s.scores + j) - shift);
    store(s.scores + j, weight);
    total += weight;
  }
  s.shrink[i] = vexp(splat(s.top[i] - shift))[0];
  s.total[i] = s.total[i] * s.shrink[i] + hsum(total);
  s.top[i] = top;
}

static void add_values_few(const State& s, const Shape& shape, i64 i, const f32* v, i64 keys) {
  f32* y = s.y + i * shape.wide();
  for (i64 d = 0; d < shape.size; d += kLanes) store(y + d, load(y + d) * s.shrink[i]);
  for (i64 j = 0; j < keys; ++j, v += shape.features) {
    for (i64 d = 0; d < shape.size; d += kLanes) {
      __builtin_prefetch(v + 16 * shape.features + d);
      store(y + d, load(y + d) + load_part(v + d, smaller<i64>(kLanes, shape.size - d)) * s.scores[j]);
    }
  }
}

static void attend_few(const Head& head, const Shape& shape, const AttentionMask& mask, const State& s, i64 first, i64 count, f32 scale) {
  for (i64 i = 0; i < count; ++i) {
    for (i64 d = 0; d < shape.wide(); ++d) {
      s.q[i * shape.wide() + d] = d < shape.size ? head.q[(first + i) * shape.features + d] * scale : 0.f;
      s.y[i * shape.wide() + d] = 0;
    }
  }
  for (i64 key = 0; key < shape.keys && key <= mask.limit(first + count - 1); key += kKeyTile) {
    for (i64 i = 0; i < count; ++i) {
      const i64 keys = smaller(smaller(kKeyTile, shape.keys - key), i64{s.limit[i]} + 1 - key);
      if (keys <= 0 || s.segment[i] < 0) continue;
      score_few(s, shape, i, head.k + key * shape.features, keys, mask.key_segments + key);
      weigh_few(s, i, keys);
      add_values_few(s, shape, i, head.v + key * shape.features, keys);
    }
  }
}

// y and lse of one query; a query that saw nothing gets the mean of all values, as an additive mask would give it.
static void finish(const State& s, const Shape& shape, const Head& head, i64 first, i64 i) {
  const f32* sum = s.y + i * shape.wide();
  const f32 total = s.total[i];
  if (head.lse) head.lse[first + i] = total == 0 ? 0.f : s.top[i] + vlog(splat(total))[0];
  if (!head.y) return;
  f32* y = head.y + (first + i) * shape.features;
  if (total != 0) {
    for (i64 d = 0; d < shape.size; d += kLanes) store_part(y + d, load(sum + d) / total, smaller<i64>(kLanes, shape.size - d));
    return;
  }
  for (i64 d = 0; d < shape.size; ++d) y[d] = 0;
  for (i64 j = 0; j < shape.keys; ++j) {
    for (i64 d = 0; d < shape.size; ++d) y[d] += head.v[j * shape.features + d];
  }
  for (i64 d = 0; d < shape.size; ++d) y[d] /= static_cast<f32>(shape.keys);
}

}  // namespace attention

static size_t attention_scratch(const Call& c) { return c.threads() * attention::State::floats(attention::Shape(c)) * sizeof(f32); }

KERNEL_WITH_SCRATCH(attention, attention_scratch) {
  const attention::Shape shape(c);
  const i64 blocks = ceil_div(shape.queries, attention::kQueries), heads = c.dim(0, 0) * shape.heads;
  c.parallel(heads * blocks, [&](i64 task, i32 worker) {
    const i64 block = blocks - 1 - task / heads, index = task % heads;  // the last queries see most: they go first
    const i64 first = block * attention::kQueries, count = smaller(attention::kQueries, shape.queries - first);
    const i64 row = index / shape.heads, column = index % shape.heads * shape.size;
    const i64 q = row * shape.queries * shape.features + column, k = row * shape.keys * shape.features + column;
    const AttentionMask mask(c.in<i32>(3) + row * shape.queries, c.in<i32>(4) + row * shape.keys, *c.in<i32>(5));
    f32 *y = c.out<f32>(0), *lse = c.out<f32>(1);
    const attention::Head head{c.in<f32>(0) + q, c.in<f32>(1) + k, c.in<f32>(2) + k, y ? y + q : nullptr,
                               lse ? lse + index * shape.queries : nullptr};
    const attention::State s(shape, reinterpret_cast<f32*>(c.scratch) + worker * attention::State::floats(shape));
    attention::start_queries(s, mask, first, count);
    (shape.queries <= attention::kFew ? attention::attend_few : attention::attend_tiles)(head, shape, mask, s, first, count, c.attr(1));
    for (i64 i = 0; i < count; ++i) attention::finish(s, shape, head, first, i);
  });
}

}  // namespace openmoe::OPENMOE_ISA
