// attention_grad: dq, dk, dv from recomputed weights 2^(log2 e · (scale·q·kᵀ − lse)), tile by tile (Dao et al. 2022, algorithm 4).
// Bound by the multipliers, five products a tile where four are counted: at most 80 %, 75 % for 256 tokens, whose tiles on the diagonal
// are half empty. One Zen 5 core reaches 55–57 % of its FMA peak for 256 tokens and heads of 32, 61–64 % for 512 and 67 % for 2048 with
// heads of 64, 64–68 % for heads of 128, 57 % for packed segments of 256. The products run at the peak; of the rest at 256 tokens copies,
// turns and asking for operands ahead take 13 % of the time, exponentials and what weights are multiplied by 8 %.
// A panel of keys by all queries of a block first, so that rows of dk and dv stay in registers; dq follows for a whole tile of keys.
// Scores are kept as [key][query]: only q, dy and the result dq are turned, everything else is multiplied as it lies.
#include "../../native/attention-prefetch.h"
#include "../../native/attention-spans.h"

namespace openmoe::OPENMOE_ISA {
namespace attention_grad {

using namespace attention;

constexpr i64 kTiles = 256 / kWide, kQueries = kTiles * kWide;  // queries that share the copies of keys and values

// One head of one row of the batch: its columns of every operand.
struct Head {
  const f32 *q, *k, *v, *y, *dy, *lse;
  f32 *dq, *dk, *dv;  // null where nobody reads it
  i64 dq_step;        // floats from query to query
  bool around;        // are results stored around the caches?
};

using u8 = uint8_t;

// What a worker keeps of a block of queries and of a tile of keys.
struct State {
  f32 *q_turned, *dy_turned;  // of each tile of queries [feature][query]
  f32 *q, *dy;                // [query][wide]; q times scale
  f32 *dq;                    // of each tile of queries [feature][query], before scale and times log2 e
  f32 *lse, *along, *even;    // of each query: log2 e · lse, Σ dy·y, the weight of any key if it sees none
  f32 *k, *v;                 // [key][deep]; k times log2 e
  f32* weights;               // of a panel of keys, of each tile of queries [key][query]
  f32* dscores;               // of a tile of keys, of each tile of queries [key][query]
  u8* written;                // of each panel of keys: do dk and dv hold something?
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
    weights = take(kRows * kQueries), dscores = take(kKeyTile * kQueries);
    written = reinterpret_cast<u8*>(take(ceil_div(s.keys, kRows)));
  }
  static i64 floats(const Shape& s) { return State(s, nullptr).used; }
};

// A tile of queries and what the task keeps of it.
struct Queries : QueryTile {
  f32 *q_turned, *dy_turned, *q, *dy, *dq, *lse, *along, *even, *weights, *dscores;
  bool started, blind;  // has dq been written? does any query see nothing and have a gradient?

  void start(const State& s, const Shape& shape, const Head& head, const AttentionMask& mask, i64 first, i64 tile, i64 queries) {
    QueryTile::start(mask, first + tile, queries);
    q_turned = s.q_turned + tile * shape.size, dy_turned = s.dy_turned + tile * shape.size;
    q = s.q + tile * s.wide, dy = s.dy + tile * s.wide, dq = s.dq + tile * shape.deep;
    lse = s.lse + tile, along = s.along + tile, even = s.even + tile;
    weights = s.weights + tile * kRows, dscores = s.dscores + tile * kKeyTile;
    started = blind = false;
    const i64 at = query * shape.features;
    copy_rows(head.q + at, shape.features, queries, shape.size, q, s.wide, shape.scale);
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
  f32 *weights = x.weights + lane, *dscores = x.dscores + panel * kRows * kWide + lane;
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

// What a panel of keys gets of the queries that see it; queries still to come see keys below `finished` only.
static void add_queries(const State& s, const Shape& shape, const Head& head, const Span* spans, i64 count, const KeyTile& t, i64 panel,
                        i64 finished) {
  const i64 key = t.key + panel * kRows, rows = smaller<i64>(kRows, t.count - panel * kRows), at = key * shape.features;
  u8& written = s.written[key / kRows];
  const bool around = head.around && key >= finished;
  const auto to = [&](f32* y) { return Rows{y + at, shape.features, rows, shape.size, written != 0, around}; };
  if (head.dv) {
    add_spans(spans, count, s.wide, to(head.dv), [](const Span& x) { return x.weights; }, [](const Span& x) { return x.dy; });
  }
  if (head.dk) {
    add_spans(spans, count, s.wide, to(head.dk), [](const Span& x) { return x.dscores; }, [](const Span& x) { return x.q; });
  }
  written = 1;
}

// dq of a tile of queries += dscoresᵀ·k for the panels p.
static void add_keys(const State& s, const Shape& shape, Queries& x, const Panels& p) {
  const auto dscores = [&](i64 panel) { return x.dscores + panel * kRows * kWide; };
  for (i64 d = 0; d < shape.deep; d += kRows) {
    const auto keys = [&](i64 panel) { return Left{s.k + panel * kRows * shape.deep + d, 1, shape.deep}; };
    Sums<2> sum;
    if (x.started) {
      sum.take(x.dq + d * kWide, kWide);
    } else {
      sum.clear();
    }
    sum.multiply<0, 1>((p.both - p.first) * kRows, keys(p.first), dscores(p.first), kWide);
    sum.multiply((p.late - p.both) * kRows, keys(p.both), dscores(p.both), kWide);
    sum.multiply<1>((p.end - p.late) * kRows, keys(p.late), dscores(p.late), kWide);
    sum.put(x.dq + d * kWide, kWide);
  }
  x.started = true;
}

// Of the queries whose weights of a panel were computed: those at or behind its first key.
static Span span_of(const State& s, const Queries& x, const KeyTile& t, const Panels& p, i64 panel) {
  const bool alone = p.alone(panel);
  i64 begin = p.lane(panel), end = alone ? smaller(begin + kLanes, x.count) : x.count;
  begin = larger<i64>(begin, t.key + panel * kRows - x.limit[0]);
  const i64 at = panel * kRows * kWide;
  return {x.weights + begin, x.dscores + at + begin, x.q + begin * s.wide, x.dy + begin * s.wide, end - begin};
}

static void weigh_seen(const State& s, const Shape& shape, const Queries& x, const KeyTile& t, const Panels& p, i64 panel) {
  if (p.alone(panel)) {
    weigh<1, Weigh::masked>(s, shape, x, p.lane(panel), t, panel);
  } else {
    (sight(x, t, panel) == Sight::all ? weigh<2, Weigh::plain> : weigh<2, Weigh::masked>)(s, shape, x, 0, t, panel);
  }
}

// All tiles of queries by what they see of a tile of keys.
static void add_seen(const State& s, const Shape& shape, const Head& head, Queries* tiles, i64 used, const KeyTile& t, const Panels* seen, Pace& pace,
                     i64 finished) {
  Span spans[kTiles];
  for (i64 panel = 0; panel < t.panels; ++panel) {
    i64 count = 0;
    for (i64 i = 0; i < used; ++i) {
      if (panel < seen[i].first || panel >= seen[i].end) continue;
      weigh_seen(s, shape, tiles[i], t, seen[i], panel);
      spans[count++] = span_of(s, tiles[i], t, seen[i], panel);
      pace.step();
    }
    if (count > 0) add_queries(s, shape, head, spans, count, t, panel, finished);
  }
  for (i64 i = 0; head.dq && i < used; ++i) {
    if (!seen[i].none()) add_keys(s, shape, tiles[i], seen[i]);
  }
}

// Queries that see nothing weigh all keys alike.
static void add_blind(const State& s, const Shape& shape, const Head& head, Queries& x, const KeyTile& t) {
  const Panels all{0, 0, t.panels, t.panels};
  for (i64 panel = 0; panel < t.panels; ++panel) {
    weigh<2, Weigh::even>(s, shape, x, 0, t, panel);
    const Span span{x.weights, x.dscores + panel * kRows * kWide, x.q, x.dy, x.count};
    add_queries(s, shape, head, &span, 1, t, panel, shape.keys);
  }
  if (head.dq) add_keys(s, shape, x, all);
}

static void copy_keys(const State& s, const Shape& shape, const Head& head, const KeyTile& t) {
  const i64 at = t.key * shape.features;
  copy_rows(head.k + at, shape.features, t.count, shape.size, s.k, shape.deep, kLog2e);
  copy_rows(head.v + at, shape.features, t.count, shape.size, s.v, shape.deep, 1.f);
}

// Keys that no query saw have gradients of zero.
static void clear_unseen(const State& s, const Shape& shape, const Head& head, i64 begin, i64 end) {
  for (i64 key = begin; key < end; ++key) {
    if (s.written[key / kRows]) continue;
    if (head.dk) __builtin_memset(head.dk + key * shape.features, 0, shape.size * sizeof(f32));
    if (head.dv) __builtin_memset(head.dv + key * shape.features, 0, shape.size * sizeof(f32));
  }
}

struct QueryBlock {
  i64 first, count;
  QueryBlock(const Shape& s, i64 index) : first(index * kQueries), count(smaller(kQueries, s.queries - first)) {}
};
struct KeyPart {
  i64 begin, end;
};

static void ask_for_tile(Prefetch& ahead, const Shape& shape, const Head& head, i64 key, i64 keys) {
  const i64 at = key * shape.features;
  ahead.add(head.k + at, keys), ahead.add(head.v + at, keys);
  if (head.dv && !head.around) ahead.add(head.dv + at, keys);
  if (head.dk && !head.around) ahead.add(head.dk + at, keys);
}

// What a block of queries begins with.
static void ask_for_block(Prefetch& ahead, const Shape& shape, const Head& head, const AttentionMask& mask, QueryBlock block, KeyPart part) {
  const i64 at = block.first * shape.features;
  ahead.add(head.q + at, block.count), ahead.add(head.dy + at, block.count), ahead.add(head.y + at, block.count);
  const i64 tile = larger(part.begin, mask.first_seen(block.first, shape.keys) / kKeyTile * kKeyTile), keys = smaller(kKeyTile, part.end - tile);
  ask_for_tile(ahead, shape, head, tile, keys);
}

// What the tile of keys after `t` needs.
static Prefetch ask_for_keys(const Shape& shape, const Head& head, const KeyTile& t, KeyPart part) {
  Prefetch ahead(shape);
  const i64 next = t.key + t.count;
  ask_for_tile(ahead, shape, head, next, smaller(kKeyTile, part.end - next));
  return ahead;
}

// A tile of keys by all tiles of queries.
static void add_tile(const State& s, const Shape& shape, const Head& head, Queries* tiles, i64 used, const KeyTile& t, KeyPart part, Prefetch* after,
                     i64 finished) {
  Panels panels[kTiles];
  i64 steps = 0;
  bool blind = false;
  for (i64 i = 0; i < used; ++i) {
    panels[i] = seen(tiles[i], t);
    steps += panels[i].count();
    blind |= tiles[i].blind;
  }
  if (steps == 0 && !blind) return;
  Pace pace{ask_for_keys(shape, head, t, part), after};
  pace.keys.pace(steps);
  copy_keys(s, shape, head, t);
  if (steps > 0) add_seen(s, shape, head, tiles, used, t, panels, pace, blind ? shape.keys : finished);
  for (i64 i = 0; blind && i < used; ++i) {
    if (tiles[i].blind) add_blind(s, shape, head, tiles[i], t);
  }
}

// A block of queries by a part of the keys.
static void add_block(const State& s, const Shape& shape, const Head& head, const AttentionMask& mask, QueryBlock block, KeyPart part,
                      Prefetch& after) {
  const i64 first = block.first, count = block.count, end = part.end;
  Queries tiles[kTiles];
  const i64 used = ceil_div(count, kWide);
  bool blind = false;
  for (i64 i = 0; i < used; ++i) {
    tiles[i].start(s, shape, head, mask, first, i * kWide, smaller(kWide, count - i * kWide));
    blind |= tiles[i].blind;
  }
  if (head.dq && head.dq_step == shape.features && !head.around) after.add(head.dq + first * shape.features, count);
  after.pace(last_steps(count));
  for (i64 key = part.begin; key < end && (blind || key <= mask.limit(first + count - 1)); key += kKeyTile) {
    const KeyTile t(mask, key, smaller(kKeyTile, end - key));
    add_tile(s, shape, head, tiles, used, t, part, key + kKeyTile > mask.limit(first) ? &after : nullptr, first == 0 ? 0 : mask.limit(first - 1) + 1);
  }
  after.rest();
  for (i64 i = 0; head.dq && i < used; ++i) {
    if (!tiles[i].started) __builtin_memset(tiles[i].dq, 0, kWide * shape.deep * sizeof(f32));
    for (i64 l = 0; l < tiles[i].count; l += kLanes) {
      turn_out(tiles[i].dq + l, shape.size, smaller<i64>(kLanes, tiles[i].count - l), splat(shape.scale * kLn2),
               head.dq + (tiles[i].query + l) * head.dq_step, head.dq_step, head.around);
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
  i64 tasks() const { return count * heads; }
  KeyPart part(const Shape& s, i64 task) const { return {task / heads * keys, smaller((task / heads + 1) * keys, s.keys)}; }
};

static Head head_of(const Call& c, const Shape& s, i64 head) {
  const i64 row = head / s.heads, column = head % s.heads * s.size;
  const i64 q = row * s.queries * s.features + column, k = row * s.keys * s.features + column;
  const auto column_of = [&c](int output, i64 at) { return c.out<f32>(output) ? c.out<f32>(output) + at : nullptr; };
  return {c.in<f32>(0) + q, c.in<f32>(1) + k, c.in<f32>(2) + k, c.in<f32>(6) + q, c.in<f32>(8) + q, c.in<f32>(7) + head * s.queries,
          column_of(0, q), column_of(1, k), column_of(2, k), s.features, false};
}

// Results that are together larger than the last cache of most machines.
static bool goes_around(const Call& c, const Shape& s) {
  i64 floats = 0;
  for (int output = 0; output < 3; ++output) floats += c.out<f32>(output) ? c.outs[output].size() : 0;
  return floats * static_cast<i64>(sizeof(f32)) >= 2 * kAroundBytes && s.size % kLanes == 0;
}

static AttentionMask mask_of(const Call& c, const Shape& s, i64 head) {
  const i64 row = head / s.heads;
  return {c.in<i32>(3) + row * s.queries, c.in<i32>(4) + row * s.keys, *c.in<i32>(5)};
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
  const bool around = grad::goes_around(c, shape);
  const i64 each = grad::State::floats(shape), blocks = ceil_div(shape.queries, grad::kQueries);
  f32* scratch = reinterpret_cast<f32*>(c.scratch);
  f32* sums = scratch + c.threads() * each;
  c.parallel(parts.tasks(), [&](i64 task, i32 worker) {
    const i64 index = task % parts.heads;
    grad::Head head = grad::head_of(c, shape, index);
    if (head.dq && parts.count > 1) head.dq = sums + task * shape.queries * shape.size, head.dq_step = shape.size;
    head.around = around && parts.count == 1;
    const attention::AttentionMask mask = grad::mask_of(c, shape, index);
    const grad::State s(shape, scratch + worker * each);
    const grad::KeyPart part = parts.part(shape, task);
    __builtin_memset(s.written, 0, static_cast<size_t>(ceil_div(shape.keys, attention::kRows)));
    for (i64 b = blocks - 1; b >= 0; --b) {  // the last queries see most keys: what the others add to has been written
      attention::Prefetch after(shape);
      const i64 next = task + c.threads();  // the likeliest
      if (b > 0) {
        grad::ask_for_block(after, shape, head, mask, {shape, b - 1}, part);
      } else if (next < parts.tasks()) {
        const i64 other = next % parts.heads;
        grad::ask_for_block(after, shape, grad::head_of(c, shape, other), grad::mask_of(c, shape, other), {shape, blocks - 1},
                            parts.part(shape, next));
      }
      grad::add_block(s, shape, head, mask, {shape, b}, part, after);
    }
    grad::clear_unseen(s, shape, head, part.begin, part.end);
    settle(head.around);
  });
  if (c.out<f32>(0) && parts.count > 1) grad::join_parts(c, shape, parts, sums);
}

}  // namespace openmoe::OPENMOE_ISA
