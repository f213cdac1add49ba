// attention: y = softmax(scale·q·kᵀ)·v per head, in tiles with a running softmax (Milakov and Gimelshein 2018; Dao et al. 2022).
// Bound by the multipliers: counting the visible half alone, one Zen 5 core reaches 65–70 % of its FMA peak for 256 tokens and heads of
// 32, 77 % for 512 and 2048 with heads of 64, 82 % for heads of 128, 64–68 % for packed segments of 256. The rest: turning and copying
// operands, half-seen tiles on the diagonal (6 % of the scores at 256 tokens).
#include "../../native/attention-prefetch.h"
#include "../../native/attention-few.h"

namespace openmoe::OPENMOE_ISA {
namespace attention {

// Scores are kept as [key][query], so that a softmax needs no sum across lanes and the tile is the right operand of the product with
// v as it lies. The queries of a task share the copies of keys and values.
constexpr i64 kTiles = 256 / kWide, kQueries = kTiles * kWide;
// Weights are relative to a score that the largest one may exceed by so many powers of two before the sums are rescaled.
constexpr f32 kSlack = 16.f, kLowest = -3e38f;

// What a worker keeps of its task.
struct State {
  f32 *q, *y;             // of each tile [feature][query]; y before the division
  f32 *k, *v;             // [key][deep]; k times scale · log2 e
  f32 *weights;           // [key][query]
  f32 *shift, *total;     // of each query: what its scores are relative to, Σ 2^(score − shift)
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
  }
  static i64 floats(const Shape& s) { return State(s, nullptr).used; }
};

// A tile of queries and what the task keeps of it.
struct Queries : QueryTile {
  f32 *q, *y, *shift, *total;
  bool started;  // has y been written?

  void start(const State& s, const Shape& shape, const Head& head, const AttentionMask& mask, i64 first, i64 tile, i64 queries) {
    QueryTile::start(mask, first + tile, queries);
    q = s.q + tile * shape.size, y = s.y + tile * shape.deep, shift = s.shift + tile, total = s.total + tile, started = false;
    for (i64 i = 0; i < kWide; i += kLanes) store(shift + i, splat(kLowest)), store(total + i, vf{});
    pack_panel(head.q + query * shape.features, shape.features, 1, queries, shape.size, q, kWide);
  }
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

// Raises the shift of the queries whose largest score went beyond the slack, and rescales what they summed and the weights of the
// tile's earlier keys.
template <int Vectors>
static __attribute__((noinline)) void raise(const Queries& x, i64 lane, const vf (&top)[Vectors], i64 deep, f32* weights, i64 keys) {
  vf factor[Vectors];
  for (int j = 0; j < Vectors; ++j) {
    f32 *shift = x.shift + lane + j * kLanes, *total = x.total + lane + j * kLanes;
    const vf before = load(shift), after = top[j] > before + kSlack ? top[j] : before;
    factor[j] = vexp2(before - after);
    store(shift, after);
    store(total, load(total) * factor[j]);
  }
  const auto rescale = [&](f32* row) {
    for (int j = 0; j < Vectors; ++j) store(row + lane + j * kLanes, load(row + lane + j * kLanes) * factor[j]);
  };
  for (i64 d = 0; x.started && d < deep; ++d) rescale(x.y + d * kWide);
  for (i64 i = 0; i < keys; ++i) rescale(weights + i * kWide);
}

// Weights of a panel of keys, of which the tile's first is `first`, for the queries from `lane` on: 2^(score − shift), 0 where unseen.
template <int Vectors, bool Masked>
static void weigh(const State& s, const Shape& shape, const Queries& x, i64 lane, const KeyTile& t, i64 first, i64 panel) {
  Sums<Vectors> score;
  score.clear();
  score.multiply(shape.size, {s.k + panel * kRows * shape.deep, shape.deep, 1}, x.q + lane, kWide);
  if constexpr (Masked) {
    score.each([&](vf& sum, int i, int j) { sum = sees(x, lane + j * kLanes, t, panel * kRows + i) ? sum : splat(-kInfinity); });
  }
  vf top[Vectors];
#pragma GCC unroll 2
  for (int j = 0; j < Vectors; ++j) {
    top[j] = score.at[0][j];
#pragma GCC unroll 8
    for (int i = 1; i < kRows; ++i) top[j] = vmax(score.at[i][j], top[j]);
  }
  bool above = false;
  for (int j = 0; j < Vectors; ++j) above |= any_above(top[j], load(x.shift + lane + j * kLanes) + kSlack);
  if (__builtin_expect(above, false)) raise<Vectors>(x, lane, top, shape.deep, s.weights + first * kRows * kWide, (panel - first) * kRows);
  vf total[Vectors] = {};
  f32* weights = s.weights + panel * kRows * kWide + lane;
  score.each([&](vf& sum, int i, int j) {
    sum = vexp2(sum - load(x.shift + lane + j * kLanes));
    total[j] += sum;
    store(weights + i * kWide + j * kLanes, sum);
  });
  for (int j = 0; j < Vectors; ++j) store(x.total + lane + j * kLanes, load(x.total + lane + j * kLanes) + total[j]);
}

// Adds what a tile of queries sees of a tile of keys.
static void add_keys(const State& s, const Shape& shape, Queries& x, const KeyTile& t, const Panels& p, Pace& pace) {
  for (i64 panel = p.first; panel < p.end; ++panel) {
    if (p.alone(panel)) {
      weigh<1, true>(s, shape, x, p.lane(panel), t, p.first, panel);
    } else {
      (sight(x, t, panel) == Sight::all ? weigh<2, false> : weigh<2, true>)(s, shape, x, 0, t, p.first, panel);
    }
    pace.step();
  }
  const auto weights = [&](i64 panel) { return s.weights + panel * kRows * kWide; };
  for (i64 d = 0; d < shape.deep; d += kRows) {
    const auto values = [&](i64 panel) { return Left{s.v + panel * kRows * shape.deep + d, 1, shape.deep}; };
    Sums<2> sum;
    if (x.started) {
      sum.take(x.y + d * kWide, kWide);
    } else {
      sum.clear();
    }
    sum.multiply<0, 1>((p.both - p.first) * kRows, values(p.first), weights(p.first), kWide);
    sum.multiply((p.late - p.both) * kRows, values(p.both), weights(p.both), kWide);
    sum.multiply<1>((p.end - p.late) * kRows, values(p.late), weights(p.late), kWide);
    sum.put(x.y + d * kWide, kWide);
  }
  x.started = true;
}

static void copy_keys(const State& s, const Shape& shape, const Head& head, const KeyTile& t) {
  const i64 at = t.key * shape.features;
  copy_rows(head.k + at, shape.features, t.count, shape.size, s.k, shape.deep, shape.scale * kLog2e);
  copy_rows(head.v + at, shape.features, t.count, shape.size, s.v, shape.deep, 1.f);
}

// y and lse of a tile of queries.
static void finish(const Queries& x, const Shape& shape, const Head& head) {
  for (i64 i = 0; i < x.count; i += kLanes) {
    const vf total = load(x.total + i);
    const i64 n = smaller<i64>(kLanes, x.count - i);
    if (head.lse) store_part(head.lse + x.query + i, total == 0.f ? vf{} : load(x.shift + i) * kLn2 + vlog(total), n);
    if (head.y && x.started) turn_out(x.y + i, shape.size, n, 1.f / total, head.y + (x.query + i) * shape.features, shape.features);
  }
  for (i64 i = 0; i < x.count && head.y; ++i) {
    if (x.total[i] == 0) mean_of_values(shape, head, head.y + (x.query + i) * shape.features);
  }
}

// A tile of keys by all tiles of queries that see it.
static void attend_keys(const State& s, const Shape& shape, const Head& head, Queries* tiles, i64 used, const KeyTile& t, Prefetch* after) {
  Panels panels[kTiles];
  i64 steps = 0;
  for (i64 i = 0; i < used; ++i) {
    panels[i] = seen(tiles[i], t);
    steps += panels[i].count();
  }
  if (steps == 0) return;
  Pace pace{Prefetch(shape), after};
  const i64 next = (t.key + t.count) * shape.features, rows = smaller(kKeyTile, shape.keys - t.key - t.count);
  pace.keys.add(head.k + next, rows), pace.keys.add(head.v + next, rows);
  pace.keys.pace(steps);
  copy_keys(s, shape, head, t);
  for (i64 i = 0; i < used; ++i) {
    if (!panels[i].none()) add_keys(s, shape, tiles[i], t, panels[i], pace);
  }
}

static void attend_block(const State& s, const Shape& shape, const Head& head, const AttentionMask& mask, i64 first, i64 count, Prefetch& after) {
  Queries tiles[kTiles];
  const i64 used = ceil_div(count, kWide);
  for (i64 i = 0; i < used; ++i) tiles[i].start(s, shape, head, mask, first, i * kWide, smaller(kWide, count - i * kWide));
  if (head.y) after.add(head.y + first * shape.features, count);
  after.pace(last_steps(count));
  for (i64 key = 0; key < shape.keys && key <= mask.limit(first + count - 1); key += kKeyTile) {
    const KeyTile t(mask, key, smaller(kKeyTile, shape.keys - key));
    attend_keys(s, shape, head, tiles, used, t, key + kKeyTile > mask.limit(first) ? &after : nullptr);
  }
  after.rest();
  for (i64 i = 0; i < used; ++i) finish(tiles[i], shape, head);
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

// Queries of one head.
struct Task {
  i64 row, head, first, count;
  Task(const Shape& s, i64 heads, i64 index) {  // the last queries see most: they go first
    const i64 block = ceil_div(s.queries, kQueries) - 1 - index / heads;
    row = index % heads / s.heads, head = index % s.heads;
    first = block * kQueries, count = smaller(kQueries, s.queries - first);
  }
};

// What a task begins with.
static void ask_for(Prefetch& ahead, const Shape& shape, const Head& head, const AttentionMask& mask, const Task& t) {
  const i64 tile = mask.first_seen(t.first, shape.keys) / kKeyTile * kKeyTile, keys = smaller(kKeyTile, shape.keys - tile);
  ahead.add(head.q + t.first * shape.features, t.count);
  ahead.add(head.k + tile * shape.features, keys), ahead.add(head.v + tile * shape.features, keys);
}

static void run_tiles(const Call& c, const Shape& shape) {
  const i64 heads = c.dim(0, 0) * shape.heads, tasks = heads * ceil_div(shape.queries, kQueries);
  c.parallel(tasks, [&](i64 index, i32 worker) {
    const Task t(shape, heads, index);
    const State s(shape, reinterpret_cast<f32*>(c.scratch) + worker * State::floats(shape));
    Prefetch after(shape);
    if (index + c.threads() < tasks) {  // the likeliest
      const Task next(shape, heads, index + c.threads());
      ask_for(after, shape, head_of(c, shape, next.row, next.head), mask_of(c, shape, next.row), next);
    }
    attend_block(s, shape, head_of(c, shape, t.row, t.head), mask_of(c, shape, t.row), t.first, t.count, after);
  });
}

// Scratch of few queries: the parts, then the scores of each worker.
struct Few {
  i64 parts, step, scores;
  explicit Few(const Shape& s) : parts(ceil_div(s.keys, kPart)), step(Part::floats(s)), scores(round_up(s.heads * kPart, 16)) {}
};
static i64 few_floats(const Call& c, const Shape& shape) {
  const Few few(shape);
  return c.dim(0, 0) * shape.queries * few.parts * few.step + c.threads() * few.scores;
}

static void run_few(const Call& c, const Shape& shape) {
  const Few few(shape);
  const i64 rows = c.dim(0, 0), parts = few.parts, step = few.step;
  f32* part = reinterpret_cast<f32*>(c.scratch);
  c.parallel(rows * parts, [&](i64 task, i32 worker) {
    const i64 row = task / parts, key = task % parts * kPart, at = key * shape.features;
    f32* scores = part + rows * shape.queries * parts * step + worker * few.scores;
    const AttentionMask mask = mask_of(c, shape, row);
    const Head all = head_of(c, shape, row, 0);
    for (i64 i = 0; i < shape.queries; ++i) {
      const i32 mine = mask.query_segments[i];
      const i64 keys = mine > 0 ? smaller(smaller(kPart, shape.keys - key), mask.limit(i) + 1 - key) : 0;
      if (keys <= 0) continue;
      const Part out(shape, part + ((row * shape.queries + i) * parts + task % parts) * step);
      attend_part(shape, all.q + i * shape.features, all.k + at, all.v + at, keys, mask.key_segments + key, mine, scores, out);
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
