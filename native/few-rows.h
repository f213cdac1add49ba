// Products of matrices that are large beside the rows they meet, as experts' are: a matrix is read, or written, once and in the order in
// which it lies, while what belongs to the rows stays in the caches.
// The same bits as multiply() in gemm.h gives: one chain over each block of the depth, blocks added in ascending order.
#pragma once
#include "gemm.h"

namespace openmoe::OPENMOE_ISA {
namespace few {

// Memory that is needed soon, and what follows it: `rate` cache lines a step of a tile.
struct Feed {
  Ahead ahead;
  i64 rate = 0;
  Feed(const Ahead& first, i64 steps) : ahead(first) {
#if !defined(__wasm__)  // there is nothing to fetch with
    if (steps <= 0) return;
    for (const Ahead* a = &first; a; a = a->then) rate += a->lines * a->runs;
    rate = ceil_div(rate, steps);
#endif
  }
  void step(i64 lines) {
    for (; lines > 0; --lines) ahead.fetch();
  }
};

template <class P, int Rows, int Vectors> struct Sums {
  vf at[Rows][Vectors];
  void clear() {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < Vectors; ++j) at[i][j] = vf{};
  }
  // Adds one number of each row, `step` apart, times the vectors of b.
  __attribute__((always_inline)) void add(const f32* a, i64 step, const vf (&b)[Vectors]) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const vf x = P::broadcast(a + i * step);
#pragma GCC unroll 4
      for (int j = 0; j < Vectors; ++j) at[i][j] = P::multiply_add(x, b[j], at[i][j]);
    }
  }
};

// ---- packing

constexpr i64 kPacked = 140 << 10;  // numbers that stay in the second-level cache beside what else is there

// Panels of rows one behind the other, each with its rows side by side.
template <class P, class S> inline void pack_rows(ViewOf<S> a, i64 rows, i64 depth, f32* dst) {
  const RowPanels split(rows);
  // Where a panel's rows lie along memory, its neighbours share its cache lines: all panels then take turns, a few lines at a time.
  const i64 turn = a.row == 1 ? 8 : depth;
  for (i64 k = 0; k < depth; k += turn) {
    for (i64 p = 0; p < split.panels; ++p) {
      const i64 i = split.begin(p), height = split.height(p);
      f32* panel = dst + i * ceil_div(depth, P::kDeep) + height * (k / P::kDeep);
      pack_panel<P>(a.at(i, k).data, a.row, a.col, height, smaller(turn, depth - k), panel, height);
    }
  }
}

template <class P, class S> inline void pack_cols(ViewOf<S> b, i64 cols, i64 depth, f32* dst) {
  for (i64 j = 0; j < cols; j += kTileCols) {
    pack_panel<P>(b.data + j * b.col, b.col, b.row, smaller(kTileCols, cols - j), depth, dst + j * ceil_div(depth, P::kDeep), kTileCols);
  }
}

// ---- y = x·w, the rows of w one stretch after the other

constexpr i64 kStretch = 32;  // packed rows of w: a stretch and its sums stay in the second-level cache

struct Stretch {
  i64 depth;  // of packed numbers
  const f32* a;
  const f32* w;  // read and packed by the first tile of a panel
  i64 w_step;
  f32* packed;
  f32* sums;  // of Rows × kTileCols
  bool begins;
  Feed* feed;
};

template <class P, int Rows, bool First> void stretch_tile(const Stretch& s) {
  Sums<P, Rows, kTileVectors> sum;
  if (s.begins) {
    sum.clear();
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < kTileVectors; ++j) sum.at[i][j] = load(s.sums + i * kTileCols + j * kLanes);
  }
  Feed feed = *s.feed;
  const i64 lines = feed.rate;
  const f32 *a = s.a, *w = s.w;
  f32* packed = s.packed;
  for (i64 k = s.depth; k > 0; --k, a += Rows, packed += kTileCols) {
    feed.step(lines);
    vf row[kTileVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) {
      if constexpr (First) {
        row[j] = P::across(w + j * kLanes, w + s.w_step + j * kLanes, kLanes);
        store(packed + j * kLanes, row[j]);
      } else {
        row[j] = load(packed + j * kLanes);
      }
    }
    if constexpr (First) w += P::kDeep * s.w_step;
    sum.add(a, 1, row);
  }
  *s.feed = feed;
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) store(s.sums + i * kTileCols + j * kLanes, sum.at[i][j]);
}

template <class P, int... I> inline void run_stretch(i64 rows, bool first, const Stretch& s, Sequence<I...>) {
  static constexpr void (*reading[])(const Stretch&) = {stretch_tile<P, I + 1, true>...};
  static constexpr void (*packed[])(const Stretch&) = {stretch_tile<P, I + 1, false>...};
  (first ? reading : packed)[rows - 1](s);
}

// Sums of a tile over a block of the depth, added to those of the blocks before: kept as totals, or the result.
template <class Y> inline void end_block(i64 rows, const f32* sums, const f32* before, f32* totals, Y* y, i64 y_step) {
  for (i64 i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (i64 at = 0; at < kTileCols; at += kLanes) {
      vf sum = load(sums + i * kTileCols + at);
      if (before) sum = load(before + i * kTileCols + at) + sum;
      if (totals) store(totals + i * kTileCols + at, sum);
      else store(y + i * y_step + at, sum);
    }
  }
}

// ---- x·wᵀ, turned: the rows of w are broadcast where they lie side by side, and the rows of x stand in the lanes

constexpr i64 kRowStep = kBlockDepth + kLanes;  // off a power of two: else the rows of a tile share a cache set
constexpr i64 kTurn = kTileRows * kLanes;       // rows of w whose results are turned together

template <class P, int Vectors>
void turned_tile(i64 depth, const f32* a, const f32* b, f32* to, i64 to_step, bool add, Feed* next) {
  Sums<P, kTileRows, Vectors> sum;
  sum.clear();
  Feed feed = *next;
  const i64 lines = feed.rate;
  for (i64 k = depth; k > 0; --k, ++a, b += Vectors * kLanes) {
    feed.step(lines);
    vf row[Vectors];
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) row[j] = load(b + j * kLanes);
    sum.add(a, kRowStep, row);
  }
  *next = feed;
#pragma GCC unroll 16
  for (int i = 0; i < kTileRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) {
      f32* t = to + i * to_step + j * kLanes;
      store(t, add ? load(t) + sum.at[i][j] : sum.at[i][j]);
    }
}

template <class P, int... I>
inline void run_turned(i64 vectors, i64 depth, const f32* a, const f32* b, f32* to, i64 to_step, bool add, Feed* next, Sequence<I...>) {
  static constexpr void (*tiles[])(i64, const f32*, const f32*, f32*, i64, bool, Feed*) = {turned_tile<P, I + 1>...};
  tiles[vectors - 1](depth, a, b, to, to_step, add, next);
}

// One row as packed numbers side by side.
template <class P> inline void pack_row(const f32* w, i64 depth, f32* to) {
  i64 k = 0;
  for (; k + kLanes * P::kDeep <= depth; k += kLanes * P::kDeep, to += kLanes) store(to, P::along(w + k, kLanes * P::kDeep));
  if (k < depth) store(to, P::along(w + k, depth - k));
}

// ---- xᵀ·y with few rows: much is written and little is read

template <class P, int Rows, class Lanes> void shallow_tile(i64 depth, const f32* a, const f32* b, f32* c, i64 c_step) {
  Sums<P, Rows, kTileVectors> sum;
  sum.clear();
  for (i64 k = depth; k > 0; --k, a += Rows, b += kTileCols) {
    vf row[kTileVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) row[j] = load(b + j * kLanes);
    sum.add(a, 1, row);
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) put(c + i * c_step + j * kLanes, sum.at[i][j], Lanes{});
}

template <class P, int... I>
inline void run_shallow(i64 rows, bool around, i64 depth, const f32* a, const f32* b, f32* c, i64 c_step, Sequence<I...>) {
  static constexpr void (*whole[])(i64, const f32*, const f32*, f32*, i64) = {shallow_tile<P, I + 1, Whole>...};
  static constexpr void (*past[])(i64, const f32*, const f32*, f32*, i64) = {shallow_tile<P, I + 1, Around>...};
  (around ? past : whole)[rows - 1](depth, a, b, c, c_step);
}

}  // namespace few

// The part of w that a stretch reads: rows long enough for memory to follow, few enough bytes for two such parts in the second-level cache.
inline Split streamed_cols(i64 cols) { return Split(cols, 512, kTileCols); }
template <class P, class W> inline Ahead streamed_part(const W* w, i64 w_step, i64 cols, i64 depth) {
  return Ahead(w, cols, w_step, smaller(few::kStretch * P::kDeep, depth));
}

// Is w worth reading row by row? Sums go to the second-level cache and back once a stretch: in f32 that costs more than it saves from 40
// rows on, in bf16, where packing counts twice, from 80. Where the rows of a panel share a few cache sets, what is fetched early does not
// stay: then it pays for more of them.
template <class P> inline bool streams(i64 rows, i64 cols, i64 depth, i64 w_step) {
  const bool whole = depth > 0 && depth % P::kDeep == 0 && cols > 0 && cols % kTileCols == 0;
  const i64 most = w_step * static_cast<i64>(sizeof(f32)) % 4096 == 0 ? 64 : 40;
  return whole && rows <= most * P::kDeep && rows * (kBlockDepth + 2 * cols) + kTileCols * few::kStretch + 2 * kLanes <= kMultiplyScratch;
}

// y = x·w for a w of `cols` columns, w_step from row to row. Fetches what comes `after` at the end.
template <class P, class X, class Y>
inline void multiply_streamed(i64 rows, i64 cols, i64 depth, ViewOf<X> x, const f32* w, i64 w_step, Y* y, i64 y_step, f32* scratch,
                              const Ahead& after) {
  const i64 most_deep = block_depth<P>(depth);
  constexpr i64 stretch = few::kStretch * P::kDeep;
  const RowPanels split(rows);
  const Split wide = streamed_cols(cols);
  f32 *panel = scratch, *packed = panel + kTileCols * few::kStretch, *sums = packed + round_up(rows * kBlockDepth + kLanes, kLanes);
  f32* totals = sums + rows * cols;
  for (i64 k = 0; k < depth; k += most_deep) {
    const i64 deep = smaller(most_deep, depth - k), packed_depth = deep / P::kDeep;
    few::pack_rows<P>(x.at(0, k), rows, deep, packed);
    for (i64 q = 0; q < wide.count; ++q) {
      const i64 left = wide.begin(q), width = wide.size(q);
      for (i64 s = 0; s < deep; s += stretch) {
        const i64 high = smaller(stretch, deep - s);
        const bool ends = s + high == deep, last = k + deep == depth;
        const auto next = [&] {
          if (!ends) return streamed_part<P>(w + (k + s + high) * w_step + left, w_step, width, deep - s - high);
          if (q + 1 < wide.count) return streamed_part<P>(w + k * w_step + wide.begin(q + 1), w_step, wide.size(q + 1), deep);
          return last ? after : streamed_part<P>(w + (k + deep) * w_step, w_step, wide.size(0), depth - k - deep);
        };
        few::Feed feed(next(), high / P::kDeep * split.panels * (width / kTileCols));
        for (i64 j = left; j < left + width; j += kTileCols) {
          for (i64 p = 0; p < split.panels; ++p) {
            const i64 i = split.begin(p), height = split.height(p);
            f32 *sum = sums + (j - left) * rows + i * kTileCols, *total = totals + j * rows + i * kTileCols;
            Y* to = y + i * y_step + j;
            if (ends && last)
              for (i64 r = 0; r < height; ++r) __builtin_prefetch(to + r * y_step, 1);
            few::run_stretch<P>(height, p == 0,
                                {high / P::kDeep, packed + i * packed_depth + s / P::kDeep * height, w + (k + s) * w_step + j, w_step, panel,
                                 sum, s == 0, &feed},
                                CountTo<kTileRows>::type{});
            if (ends) few::end_block(height, sum, k > 0 ? total : nullptr, last ? nullptr : total, to, y_step);
          }
        }
      }
    }
  }
}

// Rows of x stand in lanes: worth it for few, where packing w costs most, and in f32 for more of them where lanes stay full.
template <class P> inline bool turns(i64 rows, i64 depth) {
  const i64 lanes = round_up(rows, kLanes);
  const bool full = P::kDeep == 1 && rows <= 128 && 15 * lanes <= 16 * rows;
  return depth > 0 && (rows <= 32 || full) && lanes * ceil_div(depth, P::kDeep) <= few::kPacked;
}

// y[rows, high] = x[rows, depth] · wᵀ for w[high, depth], w_step from row to row. Fetches what comes `after` at the end.
template <class P, class X, class Y>
inline void multiply_turned(i64 rows, i64 high, i64 depth, ViewOf<X> x, const f32* w, i64 w_step, Y* y, i64 y_step, f32* scratch,
                            const Ahead& after) {
  const i64 most_deep = block_depth<P>(depth);
  const i64 lanes = round_up(rows, kLanes), packed_depth = ceil_div(depth, P::kDeep);
  f32 *a = scratch, *t = a + kTileRows * few::kRowStep, *b = t + few::kTurn * lanes;
  for (i64 q = 0; q < rows; q += kTileCols) {
    const i64 step = smaller(kTileCols, lanes - q);
    pack_panel<P>(x.at(q, 0).data, x.row, 1, smaller(kTileCols, rows - q), depth, b + q * packed_depth, step);
  }
  for (i64 d = 0; d < high; d += few::kTurn) {
    const i64 turned = smaller(few::kTurn, high - d);
    for (i64 i = 0; i < turned; i += kTileRows) {
      const i64 tall = smaller<i64>(kTileRows, turned - i);
      const i64 next = d + i + tall;
      few::Feed feed(next < high ? Ahead(w + next * w_step, depth, w_step, smaller<i64>(kTileRows, high - next)) : after,
                     packed_depth * ceil_div(rows, kTileCols));
      for (i64 k = 0; k < depth; k += most_deep) {
        const i64 deep = smaller(most_deep, depth - k);
        for (i64 r = 0; r < tall; ++r) few::pack_row<P>(w + (d + i + r) * w_step + k, deep, a + r * few::kRowStep);
        for (i64 q = 0; q < rows; q += kTileCols) {
          const i64 step = smaller(kTileCols, lanes - q);
          few::run_turned<P>(step / kLanes, ceil_div(deep, P::kDeep), a, b + q * packed_depth + k / P::kDeep * step, t + i * lanes + q, lanes,
                             k > 0, &feed, CountTo<kTileVectors>::type{});
        }
      }
    }
    for (i64 q = 0; q < rows; q += kLanes) {
      for (i64 i = 0; i < turned; i += kLanes) {
        vf square[kLanes];
#pragma GCC unroll 16
        for (int r = 0; r < kLanes; ++r) square[r] = load(t + (i + r) * lanes + q);
        pack::transpose<1>(square);
        for (i64 r = 0; r < smaller<i64>(kLanes, rows - q); ++r) {
          store_part(y + (q + r) * y_step + d + i, square[r], turned - i);
        }
      }
    }
  }
}

// Are sums so short that storing them is what counts, and does y stay in the second-level cache? From 128 numbers deep on, packing y
// before anything is multiplied costs more than writing w in its own order saves.
template <class P> inline bool is_shallow(i64 rows, i64 high, i64 cols) {
  const i64 depth = ceil_div(rows, P::kDeep);
  return cols % kTileCols == 0 && depth <= 96 && depth * cols <= few::kPacked && depth * (high + cols) + kLanes <= kMultiplyScratch;
}

// w[high, cols] = x·y for x[high, rows] and y[rows, cols], w_step from row to row; stored around the caches if so asked.
template <class P, class X, class Y>
inline void multiply_shallow(i64 rows, i64 high, i64 cols, ViewOf<X> x, ViewOf<Y> y, f32* w, i64 w_step, f32* scratch, bool around) {
  const RowPanels split(high);
  const i64 depth = ceil_div(rows, P::kDeep);
  f32 *a = scratch, *b = a + depth * high;
  few::pack_cols<P>(y, cols, rows, b);
  few::pack_rows<P>(x, high, rows, a);
  for (i64 p = 0; p < split.panels; ++p) {
    const i64 i = split.begin(p), height = split.height(p);
    for (i64 j = 0; j < cols; j += kTileCols) {
      few::run_shallow<P>(height, around, depth, a + i * depth, b + j * depth, w + i * w_step + j, w_step, CountTo<kTileRows>::type{});
    }
  }
}

}  // namespace openmoe::OPENMOE_ISA
