// Who sees whom in attention: query i sees key j when j <= i + start and both lie in the same positive segment. Tiles of scores are
// kRows keys high and kWide queries wide; what no query of a tile sees is not computed.
#pragma once
#include "attention-tile.h"

namespace openmoe::OPENMOE_ISA {
namespace attention {

enum class Sight { none, some, all };

struct Range {
  i32 low, high;
};
inline Range range_of(const i32* x, i64 n) {
  Range r{x[0], x[0]};
  for (i64 i = 1; i < n; ++i) r = {smaller(r.low, x[i]), larger(r.high, x[i])};
  return r;
}

// One row of the batch.
struct AttentionMask {
  const i32 *query_segments, *key_segments;
  i32 start;  // kept within ±2^30, so that positions never wrap

  AttentionMask(const i32* queries, const i32* keys, i32 first)
      : query_segments(queries), key_segments(keys), start(larger(-(1 << 30), smaller(1 << 30, first))) {}

  i32 limit(i64 query) const { return static_cast<i32>(query) + start; }

  // Where the keys of the query's segment begin that end with the last one it may see.
  i64 first_seen(i64 query, i64 keys) const {
    i64 j = larger<i64>(0, smaller<i64>(keys - 1, limit(query)));
    while (j > 0 && key_segments[j - 1] == query_segments[query]) --j;
    return j;
  }

  bool blind(i64 query, i64 keys) const {
    const i32 mine = query_segments[query];
    if (mine <= 0) return true;
    for (i64 j = smaller<i64>(keys - 1, limit(query)); j >= 0; --j) {  // the newest key is the likeliest
      if (key_segments[j] == mine) return false;
    }
    return true;
  }
};

// Queries query … query + count − 1: of each the last key that it may see and its segment (−1: none).
struct QueryTile {
  alignas(64) i32 limit[kWide];
  alignas(64) i32 segment[kWide];
  i64 query, count;
  Range segments, of_vector[kVectors];  // those of a vector of padding match no key's

  void start(const AttentionMask& mask, i64 first, i64 queries) {
    query = first, count = queries;
    for (i64 i = 0; i < kWide; i += kLanes) {
      const vi theirs = load_part(mask.query_segments + first + i, larger<i64>(0, queries - i));
      store(segment + i, theirs > 0 ? theirs : vi{} - 1);
      store(limit + i, lane_numbers() + mask.limit(first + i));
    }
    segments = range_of(segment, queries);
    for (i64 j = 0; j < kVectors; ++j) {
      const i64 lanes = smaller<i64>(kLanes, queries - j * kLanes);
      of_vector[j] = lanes > 0 ? range_of(segment + j * kLanes, lanes) : Range{-1, -1};
    }
  }
};

// Keys key … key + count − 1 in panels of kRows: the segment of each (−2: none).
constexpr i64 kKeyTile = 64, kPanels = kKeyTile / kRows;
struct KeyTile {
  alignas(64) i32 segment[kKeyTile];
  i64 key, count, panels;
  Range segments[kPanels];

  KeyTile(const AttentionMask& mask, i64 first, i64 keys) : key(first), count(keys), panels(ceil_div(keys, kRows)) {
    for (i64 j = 0; j < kKeyTile; j += kLanes) {
      const vi theirs = load_part(mask.key_segments + first + j, larger<i64>(0, keys - j));
      store(segment + j, theirs > 0 ? theirs : vi{} - 2);
    }
    for (i64 p = 0; p < panels; ++p) segments[p] = range_of(segment + p * kRows, kRows);
  }
};

inline Sight sight(const QueryTile& q, const KeyTile& k, i64 panel) {
  const i64 key = k.key + panel * kRows;
  const Range &mine = q.segments, &theirs = k.segments[panel];
  if (key > q.limit[q.count - 1] || mine.high < theirs.low || theirs.high < mine.low) return Sight::none;
  return mine.low == mine.high && theirs.low == theirs.high && key + kRows - 1 <= q.limit[0] ? Sight::all : Sight::some;
}

// May any query of vector j see any key of the panel?
inline bool may_see(const QueryTile& q, int j, const KeyTile& k, i64 panel) {
  const Range &mine = q.of_vector[j], &theirs = k.segments[panel];
  return k.key + panel * kRows <= q.limit[(j + 1) * kLanes - 1] && mine.low <= theirs.high && theirs.low <= mine.high;
}

// Panels first … end − 1 of a tile of keys: only the first vector of queries may see those up to `both`, only the second those
// from `late` on.
struct Panels {
  i64 first, both, late, end;
  bool none() const { return first == end; }
  i64 count() const { return end - first; }
  // The vector that sees a panel alone, else the first.
  i64 lane(i64 panel) const { return panel < late ? 0 : kLanes; }
  bool alone(i64 panel) const { return panel < both || panel >= late; }
};
inline Panels seen(const QueryTile& q, const KeyTile& k) {
  Panels p{0, 0, 0, k.panels};
  while (p.first < p.end && sight(q, k, p.first) == Sight::none) ++p.first;
  while (p.first < p.end && sight(q, k, p.end - 1) == Sight::none) --p.end;
  p.both = p.first, p.late = p.end;
  while (p.late > p.first && !may_see(q, 0, k, p.late - 1)) --p.late;
  while (p.both < p.late && !may_see(q, 1, k, p.both)) ++p.both;
  return p;
}

// The lanes of register j of queries that see key i of a panel.
inline auto sees(const QueryTile& q, i64 lane, const KeyTile& k, i64 j) {
  return (load(q.limit + lane) >= static_cast<i32>(k.key + j)) & (load(q.segment + lane) == k.segment[j]);
}

}  // namespace attention
}  // namespace openmoe::OPENMOE_ISA
