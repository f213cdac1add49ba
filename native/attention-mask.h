// Who sees whom in attention: query i sees key j when j <= i + start and both lie in the same positive segment.
#pragma once
#include "vector-math.h"

namespace openmoe::OPENMOE_ISA {

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

  // What `queries` from q on see of `keys` from k on, both at least one.
  Sight sight(i64 q, i64 queries, i64 k, i64 keys) const {
    if (k > limit(q + queries - 1)) return Sight::none;
    const Range mine = range_of(query_segments + q, queries), theirs = range_of(key_segments + k, keys);
    if (mine.high <= 0 || mine.high < theirs.low || theirs.high < mine.low) return Sight::none;
    const bool one_segment = mine.low == mine.high && theirs.low == theirs.high && mine.low == theirs.low;
    return one_segment && k + keys - 1 <= limit(q) ? Sight::all : Sight::some;
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

}  // namespace openmoe::OPENMOE_ISA
