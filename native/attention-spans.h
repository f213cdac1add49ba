// What a panel of keys gets of all queries that see it: one sum in registers over tiles of queries, so that rows of dk and dv are
// touched once for a block of queries and not once for each tile.
#pragma once
#include "attention-tile.h"

namespace openmoe::OPENMOE_ISA {
namespace attention {

// The queries of a tile that may see a panel of keys.
struct Span {
  const f32 *weights, *dscores, *q, *dy;  // from the first of them on
  i64 queries;
};

// Rows of dk or dv: of a panel of keys.
struct Rows {
  f32* at;
  i64 step, count, size;
  bool begun, around;  // has anything been written there? is this the last time, and does it go around the caches?
};

// y (+)= Σ over spans of left·right for the features from d on: left [key][query] as weights lie, right the queries' rows of `wide` floats.
template <int Vectors, class LeftOf, class RightOf>
inline __attribute__((always_inline)) void add_spans_in(const Span* spans, i64 count, i64 d, i64 wide, Rows y, LeftOf left, RightOf right) {
  const bool whole = y.count == kRows && d + Vectors * kLanes <= y.size;
  const auto lanes = [&](int i, int j) { return i < y.count ? larger<i64>(0, y.size - d - j * kLanes) : 0; };
  f32* at = y.at + d;
  Sums<Vectors> sum;
  if (!y.begun) {
    sum.clear();
  } else if (whole) {
    sum.take(at, y.step);
  } else {
    sum.each([&](vf& v, int i, int j) { v = load_part(at + i * y.step + j * kLanes, lanes(i, j)); });
  }
  for (i64 n = 0; n < count; ++n) sum.multiply(spans[n].queries, {left(spans[n]), kWide, 1}, right(spans[n]) + d, wide);
  if (whole && y.around) {
    sum.each([=](vf& v, int i, int j) { put(at + i * y.step + j * kLanes, v, Around{}); });
  } else if (whole) {
    sum.put(at, y.step);
  } else {
    sum.each([&](vf& v, int i, int j) { store_part(at + i * y.step + j * kLanes, v, lanes(i, j)); });
  }
}
template <class LeftOf, class RightOf>
inline void add_spans(const Span* spans, i64 count, i64 wide, Rows y, LeftOf left, RightOf right) {
  i64 d = 0;
  for (; d + kWide <= wide; d += kWide) add_spans_in<2>(spans, count, d, wide, y, left, right);
  if (d < wide) add_spans_in<1>(spans, count, d, wide, y, left, right);
}

}  // namespace attention
}  // namespace openmoe::OPENMOE_ISA
