// attention_grad: dq, dk, dv from recomputed weights 2^(log2 e · (scale·q·kᵀ − lse)), tile by tile (Dao et al. 2022, algorithm 4).
// Scores are kept as [key][query]: only q, dy and the result dq are turned, everything else is multiplied as it lies.
#include "../../native/attention-mask.h"

namespace openmoe::OPENMOE_ISA {
namespace attention_grad {

using namespace attention;

constexpr i64 kTiles = 256 / kWide, kQueries = kTiles * kWide;  // queries that share the copies of keys and values

// One head of one row of the batch: its columns of every operand.
struct Head {
  const f32 *q, *k, *v, *y, *dy, *lse;
  f32 *dq, *dk, *dv;  // null where nobody reads it
  i64 dq_step;        // floats from query to query
};

// What a worker keeps of a block of queries and of a tile of keys.
struct State {
  f32 *q_turned, *dy_turned;  // of each tile of queries [feature][query]
  f32 *q, *dy;                // [query][wide]
  f32 *dq;                    // of each tile of queries [feature][query], times log2 e
  f32 *lse, *along, *even;    // of each query: log2 e · lse, Σ dy·y, the weight of any key if it sees none
  f32 *k, *v;                 // [key][deep]; k times scale · log2 e
  f32 *dk, *dv;               // [key][wide]; dk before scale
  f32 *weights, *dscores;     // [key][query]
  i64 wide, used = 0;

  State(const Shape& s, f32* p) : wide(round_up(s.size, kLanes)) {
    const auto take = [&](i64 n) {
      f32* at = p ? p + used : nullptr;
      used += round_up(n, 16);
      return at;
    };
    q_turned = take(kQueries * s.size + kLanes), dy_turned = take(kQueries * s.size + kLanes);
    q = take(kQueries * wide), dy = take(kQueries * wide);
    dq = take(kQueries * s.deep);
    lse = take(kQueries), along = take(kQueries), even = take(kQueries);
    k = take(kKeyTile * s.deep), v = take(kKeyTile * s.deep);
    dk = take(kKeyTile * wide), dv = take(kKeyTile * wide);
    weights = take(kKeyTile * kWide), dscores = take(kKeyTile * kWide);
  }
  static i64 floats(const Shape& s) { return State(s, nullptr).used; }
};

// Σ a·b of each of `rows` <= kLanes rows.
static vf dots(const f32* a, const f32* b, i64 step, i64 rows, i64 size) {
  vf sum[kLanes] = {};
  for (i64 i = 0; i < rows; ++i) {
    for (i64 d = 0; d < size; d += kLanes) {
      const i64 lanes = smaller<i64>(kLanes, size - d);
      sum[i] += load_part(a + i * step + d, lanes) * load_part(b + i * step + d, lanes);
    }
  }
  pack::transpose<1>(sum);
  for (i64 half = kLanes / 2; half > 0; half /= 2) {
    for (i64 i = 0; i < half; ++i) sum[i] += sum[i + half];
  }
  return sum[0];
}

// A tile of queries and what the task keeps of it.
struct Queries : QueryTile {
  f32 *q_turned, *dy_turned, *q, *dy, *dq, *lse, *along, *even;
  bool started, blind;  // has dq been written? does any query see nothing and have a gradient?

  void start(const State& s, const Shape& shape, const Head& head, const AttentionMask& mask, i64 first, i64 tile, i64 queries) {
    QueryTile::start(mask, first + tile, queries);
    q_turned = s.q_turned + tile * shape.size, dy_turned = s.dy_turned + tile * shape.size;
    q = s.q + tile * s.wide, dy = s.dy + tile * s.wide, dq = s.dq + tile * shape.deep;
    lse = s.lse + tile, along = s.along + tile, even = s.even + tile;
    started = blind = false;
    const i64 at = query * shape.features;
    copy_rows(head.q + at, shape.features, queries, shape.size, q, s.wide, 1.f);
    copy_rows(head.dy + at, shape.features, queries, shape.size, dy, s.wide, 1.f);
    pack_panel(q, s.wide, 1, queries, shape.size, q_turned, kWide);
    pack_panel(dy, s.wide, 1, queries, shape.size, dy_turned, kWide);
    for (i64 i = 0; i < kWide; i += kLanes) {
      const i64 rows = larger<i64>(0, smaller<i64>(kLanes, queries - i));
      store(lse + i, load_part(head.lse + query + i, rows) * kLog2e);
      store(along + i, dots(head.y + at + i * shape.features, head.dy + at + i * shape.features, shape.features, rows, shape.size));
    }
    for (i64 i = 0; i < kWide; ++i) {
      const bool lost = i < queries && mask.blind(query + i, shape.keys) && any_gradient(dy + i * s.wide, shape.size);
      even[i] = lost ? 1.f / static_cast<f32>(shape.keys) : 0.f;
      blind |= lost;
    }
  }
  static bool any_gradient(const f32* dy, i64 size) {
    for (i64 d = 0; d < size; ++d) {
      if (dy[d] != 0) return true;
    }
    return false;
  }
};

enum class Weigh { plain, masked, even };

// Weights and gradients of scores of a panel of keys for the queries from `lane` on: weights·(dy·v − along), without scale.
template <int Vectors, Weigh How>
static void weigh(const State& s, const Shape& shape, const Queries& x, i64 lane, const KeyTile& t, i64 panel) {
  f32 *weights = s.weights + panel * kRows * kWide + lane, *dscores = s.dscores + panel * kRows * kWide + lane;
  Sums<Vectors> sums;
  if constexpr (How != Weigh::even) {
    sums.clear();
    sums.multiply(shape.size, {s.k + panel * kRows * shape.deep, shape.deep, 1}, x.q_turned + lane, kWide);
  }
  sums.each([&](vf& sum, int i, int j) {
    vf weight = How == Weigh::even ? load(x.even + lane + j * kLanes) : vexp2(sum - load(x.lse + lane + j * kLanes));
    if constexpr (How == Weigh::masked) weight = sees(x, lane + j * kLanes, t, panel * kRows + i) ? weight : vf{};
    store(weights + i * kWide + j * kLanes, weight);
  });
  sums.clear();
  sums.multiply(shape.size, {s.v + panel * kRows * shape.deep, shape.deep, 1}, x.dy_turned + lane, kWide);
  sums.each([&](vf& sum, int i, int j) {
    const i64 at = i * kWide + j * kLanes;
    store(dscores + at, load(weights + at) * (sum - load(x.along + lane + j * kLanes)));
  });
}

// c [kRows][wide] += a·b for a of [kRows][query] and b of [query][wide].
static void add_queries(const f32* a, const f32* b, i64 queries, i64 wide, f32* c) {
  i64 d = 0;
  for (; d + kWide <= wide; d += kWide) {
    Sums<2> sum;
    sum.take(c + d, wide);
    sum.multiply(queries, {a, kWide, 1}, b + d, wide);
    sum.put(c + d, wide);
  }
  if (d == wide) return;
  Sums<1> sum;
  sum.take(c + d, wide);
  sum.multiply(queries, {a, kWide, 1}, b + d, wide);
  sum.put(c + d, wide);
}

// What the panels p add to dk and dv.
static void add_queries_to(const State& s, const Head& head, const Queries& x, const Panels& p) {
  for (i64 panel = p.first; panel < p.end; ++panel) {
    const i64 lane = panel < p.middle ? 0 : kLanes, row = panel * kRows, at = row * kWide + lane;
    if (head.dv) add_queries(s.weights + at, x.dy + lane * s.wide, x.count - lane, s.wide, s.dv + row * s.wide);
    if (head.dk) add_queries(s.dscores + at, x.q + lane * s.wide, x.count - lane, s.wide, s.dk + row * s.wide);
  }
}

// dq of a tile of queries += dscoresᵀ·k for the panels p.
static void add_keys(const State& s, const Shape& shape, Queries& x, const Panels& p) {
  const i64 early = (p.middle - p.first) * kRows, late = (p.end - p.middle) * kRows;
  const f32 *dscores = s.dscores + p.first * kRows * kWide, *k = s.k + p.first * kRows * shape.deep;
  for (i64 d = 0; d < shape.deep; d += kRows) {
    Sums<2> sum;
    if (x.started) {
      sum.take(x.dq + d * kWide, kWide);
    } else {
      sum.clear();
    }
    sum.multiply(early, {k + d, 1, shape.deep}, dscores, kWide);
    sum.multiply<1>(late, {k + early * shape.deep + d, 1, shape.deep}, dscores + early * kWide, kWide);
    sum.put(x.dq + d * kWide, kWide);
  }
  x.started = true;
}

// A tile of queries by what it sees of a tile of keys, and by all of it for the queries that see nothing: they weigh all keys alike.
static void add_tile(const State& s, const Shape& shape, const Head& head, Queries& x, const KeyTile& t, const Panels& p) {
  if (!p.none()) {
    for (i64 panel = p.first; panel < p.middle; ++panel) {
      (sight(x, t, panel) == Sight::all ? weigh<2, Weigh::plain> : weigh<2, Weigh::masked>)(s, shape, x, 0, t, panel);
    }
    for (i64 panel = p.middle; panel < p.end; ++panel) weigh<1, Weigh::masked>(s, shape, x, kLanes, t, panel);
    add_queries_to(s, head, x, p);
    if (head.dq) add_keys(s, shape, x, p);
  }
  if (!x.blind) return;
  const Panels all{0, t.panels, t.panels};
  for (i64 panel = 0; panel < t.panels; ++panel) weigh<2, Weigh::even>(s, shape, x, 0, t, panel);
  add_queries_to(s, head, x, all);
  if (head.dq) add_keys(s, shape, x, all);
}

static void copy_keys(const State& s, const Shape& shape, const Head& head, const KeyTile& t) {
  const i64 at = t.key * shape.features;
  copy_rows(head.k + at, shape.features, t.count, shape.size, s.k, shape.deep, shape.scale * kLog2e);
  copy_rows(head.v + at, shape.features, t.count, shape.size, s.v, shape.deep, 1.f);
}

// Asks for part i of n of the rows that the next tile of keys needs.
static void fetch_next(const Shape& shape, const Head& head, const KeyTile& t, i64 i, i64 n, bool fresh) {
  const i64 first = t.key + t.count, rows = smaller(kKeyTile, shape.keys - first), begin = rows * i / n, count = rows * (i + 1) / n - begin;
  const i64 at = (first + begin) * shape.features;
  fetch_rows(head.k + at, count, shape), fetch_rows(head.v + at, count, shape);
  if (fresh) return;
  if (head.dk) fetch_rows(head.dk + at, count, shape);
  if (head.dv) fetch_rows(head.dv + at, count, shape);
}

// dst (+)= src · scale, for the rows of a tile of keys.
static void put_rows(const State& s, const Shape& shape, const f32* src, f32 scale, i64 rows, f32* dst, bool add) {
  for (i64 i = 0; dst && i < rows; ++i) {
    for (i64 d = 0; d < shape.size; d += kLanes) {
      const i64 lanes = smaller<i64>(kLanes, shape.size - d);
      const vf x = load(src + i * s.wide + d) * scale;
      f32* y = dst + i * shape.features + d;
      store_part(y, add ? load_part(y, lanes) + x : x, lanes);
    }
  }
}

struct QueryBlock {
  i64 first, count;
};
struct KeyPart {
  i64 begin, end;
};

// A block of queries by a part of the keys; `fresh`: what dk and dv hold is to be overwritten.
static void add_block(const State& s, const Shape& shape, const Head& head, const AttentionMask& mask, QueryBlock block, KeyPart part,
                      bool fresh) {
  const i64 first = block.first, count = block.count, end = part.end;
  Queries tiles[kTiles];
  const i64 used = ceil_div(count, kWide);
  const i64 at = first * shape.features;
  fetch_rows(head.q + at, count, shape), fetch_rows(head.dy + at, count, shape), fetch_rows(head.y + at, count, shape);
  bool blind = false;
  for (i64 i = 0; i < used; ++i) {
    tiles[i].start(s, shape, head, mask, first, i * kWide, smaller(kWide, count - i * kWide));
    blind |= tiles[i].blind;
  }
  for (i64 key = part.begin; key < end && (fresh || blind || key <= mask.limit(first + count - 1)); key += kKeyTile) {
    const KeyTile t(mask, key, smaller(kKeyTile, end - key));
    bool copied = false;
    __builtin_memset(s.dk, 0, kKeyTile * s.wide * sizeof(f32));
    __builtin_memset(s.dv, 0, kKeyTile * s.wide * sizeof(f32));
    for (i64 i = 0; i < used; ++i) {
      const Panels p = seen(tiles[i], t);
      if (p.none() && !tiles[i].blind) continue;
      if (!copied) copy_keys(s, shape, head, t);
      copied = true;
      add_tile(s, shape, head, tiles[i], t, p);
      fetch_next(shape, head, t, i, used, fresh);
    }
    if (!copied && !fresh) continue;
    put_rows(s, shape, s.dk, shape.scale, t.count, head.dk ? head.dk + key * shape.features : nullptr, !fresh);
    put_rows(s, shape, s.dv, 1.f, t.count, head.dv ? head.dv + key * shape.features : nullptr, !fresh);
  }
  for (i64 i = 0; head.dq && i < used; ++i) {
    if (!tiles[i].started) __builtin_memset(tiles[i].dq, 0, kWide * shape.deep * sizeof(f32));
    for (i64 l = 0; l < tiles[i].count; l += kLanes) {
      turn_out(tiles[i].dq + l, shape.size, smaller<i64>(kLanes, tiles[i].count - l), splat(kLn2),
               head.dq + (tiles[i].query + l) * head.dq_step, head.dq_step);
    }
  }
}

// A head's keys are cut into parts where there are few heads; each part sums its own dq. The first keys are seen by most queries.
constexpr i64 kTasks = 8;
struct Parts {
  i64 heads, keys, count;  // keys of a part
  Parts(const Call& c, const Shape& s) : heads(c.dim(0, 0) * s.heads) {
    const i64 tiles = larger<i64>(1, ceil_div(s.keys, kKeyTile));
    keys = ceil_div(tiles, heads == 0 ? 1 : smaller(tiles, ceil_div(kTasks, heads))) * kKeyTile;
    count = larger<i64>(1, ceil_div(s.keys, keys));
  }
  // Floats of the sums of dq, [part][head][query][feature].
  i64 floats(const Shape& s) const { return count == 1 ? 0 : count * heads * s.queries * s.size; }
};

static Head head_of(const Call& c, const Shape& s, i64 head) {
  const i64 row = head / s.heads, column = head % s.heads * s.size;
  const i64 q = row * s.queries * s.features + column, k = row * s.keys * s.features + column;
  const auto column_of = [&c](int output, i64 at) { return c.out<f32>(output) ? c.out<f32>(output) + at : nullptr; };
  return {c.in<f32>(0) + q, c.in<f32>(1) + k, c.in<f32>(2) + k, c.in<f32>(6) + q, c.in<f32>(8) + q, c.in<f32>(7) + head * s.queries,
          column_of(0, q), column_of(1, k), column_of(2, k), s.features};
}

static void join_parts(const Call& c, const Shape& s, const Parts& parts, const f32* sums) {
  const i64 blocks = ceil_div(s.queries, kQueries);
  c.parallel(parts.heads * blocks, [&](i64 task, i32) {
    const i64 head = task / blocks, end = smaller(s.queries, (task % blocks + 1) * kQueries);
    f32* dq = head_of(c, s, head).dq;
    for (i64 i = task % blocks * kQueries; i < end; ++i) {
      for (i64 d = 0; d < s.size; d += kLanes) {
        const i64 lanes = smaller<i64>(kLanes, s.size - d);
        vf sum{};
        for (i64 p = 0; p < parts.count; ++p) sum += load_part(sums + ((p * parts.heads + head) * s.queries + i) * s.size + d, lanes);
        store_part(dq + i * s.features + d, sum, lanes);
      }
    }
  });
}

}  // namespace attention_grad

static size_t attention_grad_scratch(const Call& c) {
  const attention::Shape shape(c);
  return (c.threads() * attention_grad::State::floats(shape) + attention_grad::Parts(c, shape).floats(shape)) * sizeof(f32);
}

KERNEL_WITH_SCRATCH(attention_grad, attention_grad_scratch) {
  namespace grad = attention_grad;
  const attention::Shape shape(c);
  const grad::Parts parts(c, shape);
  const i64 each = grad::State::floats(shape), blocks = ceil_div(shape.queries, grad::kQueries);
  f32* scratch = reinterpret_cast<f32*>(c.scratch);
  f32* sums = scratch + c.threads() * each;
  c.parallel(parts.count * parts.heads, [&](i64 task, i32 worker) {
    const i64 index = task % parts.heads, row = index / shape.heads, key = task / parts.heads * parts.keys;
    grad::Head head = grad::head_of(c, shape, index);
    if (head.dq && parts.count > 1) head.dq = sums + task * shape.queries * shape.size, head.dq_step = shape.size;
    const attention::AttentionMask mask(c.in<i32>(3) + row * shape.queries, c.in<i32>(4) + row * shape.keys, *c.in<i32>(5));
    const grad::State s(shape, scratch + worker * each);
    for (i64 b = blocks - 1; b >= 0; --b) {  // the last queries see most keys: what the others add to has been written
      const i64 first = b * grad::kQueries, count = smaller(grad::kQueries, shape.queries - first);
      grad::add_block(s, shape, head, mask, {first, count}, {key, smaller(key + parts.keys, shape.keys)}, b == blocks - 1);
    }
  });
  if (c.out<f32>(0) && parts.count > 1) grad::join_parts(c, shape, parts, sums);
}

}  // namespace openmoe::OPENMOE_ISA
