// attention_grad: dq, dk, dv from recomputed weights exp(scale·q·kᵀ − lse), tile by tile (Dao et al. 2022, algorithm 4).
// Bound by the multipliers, five products a tile: counting four and the visible half alone, 40 % of the FMA peak of a Zen 5 core
// for 256 tokens and heads of 32, where fetching narrow columns costs a quarter, 60 % for 2048 and heads of 64.
#include "../../native/attention-mask.h"
#include "../../native/gemm.h"

namespace openmoe::OPENMOE_ISA {
namespace attention_grad {

// A tile of scores: many queries by a few panels of keys; on the diagonal each panel starts at the first queries that see it.
constexpr i64 kQueryTile = kTileRows * (112 / kTileRows), kPanels = 64 / kTileCols, kKeyTile = kPanels * kTileCols;
constexpr i64 kQueries = 3 * kQueryTile;  // queries that share the packed keys and values

struct Shape {
  i64 queries, keys, features, heads, size;
  f32 scale;
  explicit Shape(const Call& c)
      : queries(c.dim(0, 1)), keys(c.dim(1, 1)), features(c.dim(0, 2)), heads(c.index_attr(0)), size(features / heads), scale(c.attr(1)) {}
  i64 wide() const { return round_up(size, kTileCols); }
};

// Packed operands of a worker: by rows (left operand) and by columns (right operand), the score tiles, and Σ dy·y of each query.
struct State {
  f32 *q_rows, *dy_rows, *q_cols, *dy_cols;  // kQueries of them
  f32 *k_turned, *v_turned, *k_cols;
  f32 *weights, *dscores, *dscores_rows;     // [query][key]
  f32 *along, *blind;                        // [kQueries]; [size]: Σ dy of the queries that see nothing
  i64 used = 0;

  State(const Shape& s, f32* p) {
    const auto take = [&](i64 n) {
      f32* at = p ? p + used : nullptr;
      used += round_up(n + kLanes, 16);
      return at;
    };
    q_rows = take(kQueries * s.size), dy_rows = take(kQueries * s.size);
    q_cols = take(kQueries * s.wide()), dy_cols = take(kQueries * s.wide());
    k_turned = take(kKeyTile * s.size), v_turned = take(kKeyTile * s.size), k_cols = take(kKeyTile * s.wide());
    weights = take(kQueryTile * kKeyTile), dscores = take(kQueryTile * kKeyTile), dscores_rows = take(kQueryTile * kKeyTile);
    along = take(kQueries), blind = take(s.wide());
  }
  static i64 floats(const Shape& s) { return State(s, nullptr).used; }
};

// One head of one row of the batch: its columns of every operand.
struct Head {
  const f32 *q, *k, *v, *y, *dy, *lse;
  f32 *dq, *dk, *dv;  // null where nobody reads it
};

// Queries query … query + queries − 1 of the head, which are packed from `first` on, by keys key … key + keys − 1.
struct ScoreTile {
  i64 query, first, queries, key, keys;
};

static void clear(f32* x, i64 rows, const Shape& shape) {
  for (i64 i = 0; x && i < rows; ++i) __builtin_memset(x + i * shape.features, 0, shape.size * sizeof(f32));
}

static void start_queries(const State& s, const Shape& shape, const Head& head, i64 first, i64 count) {
  const i64 size = shape.size, features = shape.features;
  for (i64 tile = 0; tile < count; tile += kQueryTile) {
    const i64 queries = smaller(kQueryTile, count - tile);
    const View q{head.q + (first + tile) * features, features, 1}, dy{head.dy + (first + tile) * features, features, 1};
    pack_rows(q, queries, size, s.q_rows + tile * size);
    pack_rows(dy, queries, size, s.dy_rows + tile * size);
    pack_cols(q, size, queries, s.q_cols + tile * shape.wide());
    pack_cols(dy, size, queries, s.dy_cols + tile * shape.wide());
  }
  for (i64 i = 0; i < count; ++i) {
    const f32 *y = head.y + (first + i) * features, *dy = head.dy + (first + i) * features;
    vf sum{};
    for (i64 d = 0; d < size; d += kLanes) {
      const i64 lanes = smaller<i64>(kLanes, size - d);
      sum += load_part(y + d, lanes) * load_part(dy + d, lanes);
    }
    s.along[i] = hsum(sum);
  }
}

// For one panel of keys and the queries from `from` on: weights = exp(scale·score − lse), 0 where unseen, and
// dscores = scale·weights·(dweights − along), in place of the scores and of dweights.
static void weigh(const State& s, const ScoreTile& t, const Shape& shape, const Head& head, const AttentionMask& mask, i64 from, i64 panel,
                  Sight sight) {
  vi lane;
  for (int l = 0; l < kLanes; ++l) lane[l] = l;
  for (i64 j = panel * kTileCols; j < (panel + 1) * kTileCols; j += kLanes) {
    const vi key = lane + static_cast<i32>(t.key + j);
    const i64 lanes = larger<i64>(0, smaller<i64>(kLanes, t.keys - j));
    const vi theirs = (vi)load_part(reinterpret_cast<const f32*>(mask.key_segments + t.key + j), lanes);
    for (i64 i = from; i < t.queries; ++i) {
      const i64 query = t.query + i;
      f32 *w = s.weights + i * kKeyTile + j, *d = s.dscores + i * kKeyTile + j;
      vf weight = vexp(load(w) * shape.scale - head.lse[query]);
      if (sight == Sight::some) {
        const i32 segment = mask.query_segments[query];
        weight = (key <= mask.limit(query)) & (theirs == segment) & (theirs > 0) ? weight : vf{};
      }
      store(w, weight);
      store(d, weight * (load(d) - s.along[t.first + i]) * shape.scale);
    }
  }
}

// c += aᵀ·b in place in the output, for a tile a of [depth][row] and columns b packed `packed` deep.
static void add_turned(const Shape& shape, i64 rows, i64 depth, const f32* a, const f32* b, i64 packed, f32* c) {
  const RowPanels split(rows);
  for (i64 d = 0; d < shape.size; d += kTileCols) {
    for (i64 p = 0; p < split.panels; ++p) {
      const i64 i = split.begin(p);
      multiply_rows(split.height(p), {depth, a + i, kKeyTile, b + d * packed, kTileCols, c + i * shape.features + d, shape.features,
                                      smaller(kTileCols, shape.size - d), true});
    }
  }
}

// Scores, dweights, and what they add to dk and dv, for one panel of keys. Returns the first query that sees any of it.
static i64 add_panel(const State& s, const ScoreTile& t, const Shape& shape, const Head& head, const AttentionMask& mask, i64 panel) {
  const i64 key = t.key + panel * kTileCols, keys = smaller(kTileCols, t.keys - panel * kTileCols), size = shape.size;
  const RowPanels split(t.queries);
  i64 p = 0;
  while (p < split.panels && mask.limit(t.query + split.begin(p + 1) - 1) < key) ++p;
  const i64 from = split.begin(p);
  if (p == split.panels) return from;
  const Sight sight = mask.sight(t.query + from, t.queries - from, key, keys);
  if (sight == Sight::none) return t.queries;
  for (; p < split.panels; ++p) {
    const i64 i = split.begin(p), height = split.height(p), at = i * kKeyTile + panel * kTileCols, row = (t.first + i) * size;
    const i64 column = panel * kTileCols * size;
    multiply_rows(height, {size, s.q_rows + row, height, s.k_turned + column, kTileCols, s.weights + at, kKeyTile, kTileCols, false});
    multiply_rows(height, {size, s.dy_rows + row, height, s.v_turned + column, kTileCols, s.dscores + at, kKeyTile, kTileCols, false});
  }
  weigh(s, t, shape, head, mask, from, panel, sight);
  const i64 depth = t.queries - from, at = from * kKeyTile + panel * kTileCols, row = t.first * shape.wide() + from * kTileCols;
  if (head.dv) add_turned(shape, keys, depth, s.weights + at, s.dy_cols + row, t.queries, head.dv + key * shape.features);
  if (head.dk) add_turned(shape, keys, depth, s.dscores + at, s.q_cols + row, t.queries, head.dk + key * shape.features);
  return from;
}

static void add_tile(const State& s, const ScoreTile& t, const Shape& shape, const Head& head, const AttentionMask& mask) {
  const i64 panels = ceil_div(t.keys, kTileCols);
  i64 from[kPanels], first = t.queries;
  for (i64 p = 0; p < panels; ++p) {
    from[p] = add_panel(s, t, shape, head, mask, p);
    first = smaller(first, from[p]);
  }
  if (first == t.queries || !head.dq) return;
  for (i64 p = 0; p < panels; ++p) {  // queries that see only some of the panels
    for (i64 i = first; i < from[p]; ++i) __builtin_memset(s.dscores + i * kKeyTile + p * kTileCols, 0, kTileCols * sizeof(f32));
  }
  pack_rows({s.dscores + first * kKeyTile, kKeyTile, 1}, t.queries - first, t.keys, s.dscores_rows);
  multiply_packed(t.queries - first, shape.size, t.keys, s.dscores_rows, s.k_cols, head.dq + (t.query + first) * shape.features,
                  shape.features, true);
}

// What the queries that see nothing add to dv: each weighs all keys alike.
static void add_blind(const Shape& shape, const Head& head, const AttentionMask& mask, f32* sum) {
  bool any = false;
  for (i64 d = 0; d < shape.size; ++d) sum[d] = 0;
  for (i64 i = 0; i < shape.queries; ++i) {
    if (!mask.blind(i, shape.keys)) continue;
    any = true;
    for (i64 d = 0; d < shape.size; ++d) sum[d] += head.dy[i * shape.features + d];
  }
  for (i64 j = 0; any && j < shape.keys; ++j) {
    for (i64 d = 0; d < shape.size; ++d) head.dv[j * shape.features + d] += sum[d] / static_cast<f32>(shape.keys);
  }
}

// A head is a narrow column of each operand: asked for at once, its cache lines arrive together and not one after the other.
static void fetch_rows(const f32* x, i64 rows, const Shape& shape) {
  for (i64 i = 0; i < rows; ++i) {
    for (i64 d = 0; d < shape.size; d += 16) __builtin_prefetch(x + i * shape.features + d, 0, 2);
  }
}

static void attend_back(const Shape& shape, const Head& head, const AttentionMask& mask, f32* scratch) {
  const State s(shape, scratch);
  fetch_rows(head.q, shape.queries, shape), fetch_rows(head.dy, shape.queries, shape), fetch_rows(head.y, shape.queries, shape);
  fetch_rows(head.k, shape.keys, shape), fetch_rows(head.v, shape.keys, shape);
  const i64 size = shape.size, features = shape.features;
  clear(head.dq, shape.queries, shape);
  clear(head.dk, shape.keys, shape);
  clear(head.dv, shape.keys, shape);
  if (head.dv) add_blind(shape, head, mask, s.blind);
  for (i64 first = 0; first < shape.queries; first += kQueries) {
    const i64 count = smaller(kQueries, shape.queries - first);
    start_queries(s, shape, head, first, count);
    for (i64 key = 0; key < shape.keys && key <= mask.limit(first + count - 1); key += kKeyTile) {
      const i64 keys = smaller(kKeyTile, shape.keys - key);
      const View k{head.k + key * features, features, 1}, v{head.v + key * features, features, 1};
      pack_cols(transposed(k), keys, size, s.k_turned);
      pack_cols(transposed(v), keys, size, s.v_turned);
      pack_cols(k, size, keys, s.k_cols);
      for (i64 tile = 0; tile < count; tile += kQueryTile) {
        add_tile(s, {first + tile, tile, smaller(kQueryTile, count - tile), key, keys}, shape, head, mask);
      }
    }
  }
}

}  // namespace attention_grad

static size_t attention_grad_scratch(const Call& c) {
  return c.threads() * attention_grad::State::floats(attention_grad::Shape(c)) * sizeof(f32);
}

KERNEL_WITH_SCRATCH(attention_grad, attention_grad_scratch) {
  const attention_grad::Shape shape(c);
  const i64 each = attention_grad::State::floats(shape), heads = shape.heads, features = shape.features;
  c.parallel(c.dim(0, 0) * heads, [&](i64 task, i32 worker) {
    const i64 row = task / heads, column = task % heads * shape.size;
    const i64 q = row * shape.queries * features + column, k = row * shape.keys * features + column;
    const auto column_of = [&c](int output, i64 at) { return c.out<f32>(output) ? c.out<f32>(output) + at : nullptr; };
    const attention_grad::Head head{c.in<f32>(0) + q, c.in<f32>(1) + k, c.in<f32>(2) + k, c.in<f32>(6) + q, c.in<f32>(8) + q,
                                    c.in<f32>(7) + task * shape.queries, column_of(0, q), column_of(1, k), column_of(2, k)};
    const AttentionMask mask(c.in<i32>(3) + row * shape.queries, c.in<i32>(4) + row * shape.keys, *c.in<i32>(5));
    attention_grad::attend_back(shape, head, mask, reinterpret_cast<f32*>(c.scratch) + worker * each);
  });
}

}  // namespace openmoe::OPENMOE_ISA
