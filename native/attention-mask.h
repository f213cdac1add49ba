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
  Range segments;

  void start(const AttentionMask& mask, i64 first, i64 queries) {
    query = first, count = queries;
    for (i64 i = 0; i < kWide; i += kLanes) {
      const vi theirs = load_part(mask.query_segments + first + i, larger<i64>(0, queries - i));
      store(segment + i, theirs > 0 ? theirs : vi{} - 1);
      store(limit + i, lane_numbers() + mask.limit(first + i));
    }
    segments = range_of(segment, queries);
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

// Panels first … end − 1 of a tile of keys; those from `middle` on lie beyond what the first vector of queries may see.
struct Panels {
  i64 first, middle, end;
  bool none() const { return first == end; }
};
inline Panels seen(const QueryTile& q, const KeyTile& k) {
  Panels p{0, 0, k.panels};
  while (p.first < p.end && sight(q, k, p.first) == Sight::none) ++p.first;
  while (p.first < p.end && sight(q, k, p.end - 1) == Sight::none) --p.end;
  p.middle = p.first;
  while (p.middle < p.end && k.key + p.middle * kRows <= q.limit[kLanes - 1]) ++p.middle;
  return p;
}

// The lanes of register j of queries that see key i of a panel.
inline auto sees(const QueryTile& q, i64 lane, const KeyTile& k, i64 j) {
  return (load(q.limit + lane) >= static_cast<i32>(k.key + j)) & (load(q.segment + lane) == k.segment[j]);
}

}  // namespace attention
}  // namespace openmoe::OPENMOE_ISA
