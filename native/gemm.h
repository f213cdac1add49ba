// The blocked matrix product c = a·b (+ c) in f32, or of bf16 with sums in f32: packed panels, one register tile, sums over K in
// ascending order.
// What is lost beside the tile, of one Zen 5 core: 1–3 % to the first touch of a and b, 1–2 % to packing b (4 % to turning bᵀ), 1 % to c.
// An element's bits depend on its row of a, its column of b and K alone: not on its neighbours, the blocks or the threads.
#pragma once
#include "pack.h"

namespace openmoe::OPENMOE_ISA {

// A block of a (rows × depth) stays in a core's L2 cache, of 1 MB where there is AVX-512 and of half as much elsewhere, while
// panels of b (depth × kTileCols) pass through L1. The depth is of packed numbers: bf16 pairs are twice as deep.
constexpr i64 kBlockDepth = kLanes == 16 ? 768 : 384, kBlockNumbers = 210 * kBlockDepth;
constexpr i64 kBlockRows = 560, kBlockCols = kTileCols * (1024 / kTileCols);

// The depth is cut into equal parts, by itself alone.
template <class P = F32> inline i64 block_depth(i64 depth) {
  constexpr i64 unit = kLanes * P::kDeep;
  return larger(unit, round_up(ceil_div(depth, larger<i64>(1, ceil_div(depth, kBlockDepth * P::kDeep))), unit));
}
// As many rows as a block may have: the flatter the more.
template <class P = F32> inline i64 block_rows(i64 depth) {
  return smaller(kBlockRows, kBlockNumbers / ceil_div(block_depth<P>(depth), P::kDeep));
}

// The tile of c on its way from memory while one computes: a shallow one is done before memory answers.
constexpr i64 kTilesAhead = 3;

// Rows times one panel of columns; c is the tile at the upper left, which packs its b if that is not packed yet. The `first` panel of
// columns finds rows as they lie in memory, takes them in and has the next ones fetched.
template <class P, class A, class B> inline void multiply_panel(const LeftBlock<P, A>& a, const Tile& c, bool first, Ahead next) {
  for (i64 p = 0; p < a.split.panels; ++p) {
    const i64 i = a.split.begin(p), soon = p + kTilesAhead, beside = soon - a.split.panels;
    Ahead rows;
    if (first) {
      a.take(p);
      rows = a.lines(p + 1);
      rows.then = &next;
    }
    Tile t = c;
    t.a = a.panel(p);
    t.c += i * t.c_step;
    t.soon = beside < 0 ? c.c + a.split.begin(soon) * t.c_step : beside < a.split.panels ? c.soon + a.split.begin(beside) * t.c_step : c.soon;
    if (t.rounded) t.rounded += i * t.rounded_step;
    if (p > 0) t.raw = nullptr;
    multiply_rows<P, B>(a.split.height(p), t, first ? &rows : &next);
  }
}

// Floats of scratch that one worker needs in multiply(): copied rows, a panel of columns, and the sums of a block whose result is in
// bf16, which are needed where the depth is cut.
constexpr i64 kSumsStep = kBlockCols + kLanes;  // off a power of two: else the rows of a tile share a cache set
constexpr i64 kCopiedRows = copied_numbers(kBlockNumbers, kBlockRows, kBlockDepth), kPackedCols = kTileCols * kBlockDepth + kLanes;
constexpr i64 kSums = 2 * kBlockNumbers / kBlockDepth * kSumsStep;
constexpr i64 kMultiplyScratch = (kPackedCols + kCopiedRows + kSums + 15) / 16 * 16;

// What is read after the panel at (k, j) of b (depth × cols): the panel to its right, or the first one of the next block of depth.
template <class S> inline Ahead panel_after(ViewOf<S> b, i64 cols, i64 depth, i64 k, i64 j, i64 block_depth) {
  j += kTileCols;
  if (j >= cols) {
    j = 0;
    k += block_depth;
  }
  const i64 width = smaller(kTileCols, cols - j), deep = smaller(block_depth, depth - k);
  if (deep <= 0) return Ahead();
  const S* data = b.at(k, j).data;
  return b.col == 1 ? Ahead(data, width, b.row, deep) : Ahead(data, deep, b.col, width);
}

// Where the tiles of a block go: C is f32, or bf16 by way of sums in f32 for all but the last stretch of the depth.
inline void aim(Tile& t, f32* c, i64 c_step, f32*, bool) {
  t.c = c;
  t.c_step = c_step;
}
inline void aim(Tile& t, bf16* c, i64 c_step, f32* sums, bool last) {
  t.c = sums;
  t.c_step = kSumsStep;
  t.rounded = last ? c : nullptr;
  t.rounded_step = c_step;
}

// Lets the first tile read a panel of b where it lies and pack it meanwhile, or packs it where that cannot be.
template <class P, class S> inline void take_panel(Tile& t, ViewOf<S> b, i64 depth) {
  if (b.col == 1 && t.cols == kTileCols && depth % P::kDeep == 0) {
    t.raw = b.data;
    t.raw_step = b.row;
  } else {
    pack_panel<P>(b.data, b.col, b.row, t.cols, depth, t.b, kTileCols);
  }
}

// c (rows × cols, c_step elements from row to row) = a·b, or c += a·b, on the calling thread. Any number of rows, any depth, zeros
// included; at most kBlockCols columns where c is bf16, and then nothing is added to. `around`: c is large, aligned and not read soon.
// What is read `after` is fetched at the end.
template <class P = F32, class A, class B, class C>
inline void multiply(i64 rows, i64 cols, i64 depth, ViewOf<A> a, ViewOf<B> b, C* c, i64 c_step, bool add, f32* scratch,
                     bool around = false, const Ahead* after = nullptr) {
  f32 *packed_cols = scratch, *rows_memory = scratch + kPackedCols, *sums = rows_memory + kCopiedRows;
  const i64 most_deep = block_depth<P>(depth), most_high = block_rows<P>(depth);
  if (depth == 0 && !add) {
    for (i64 i = 0; i < rows; ++i) __builtin_memset(c + i * c_step, 0, cols * sizeof(C));
  }
  for (i64 i = 0; i < rows; i += most_high) {
    const i64 high = smaller(most_high, rows - i);
    for (i64 k = 0; k < depth; k += most_deep) {
      const i64 deep = smaller(most_deep, depth - k);
      const LeftBlock<P, A> left(a.at(i, k), high, deep, rows_memory);
      i64 j = 0;
      if constexpr (__is_same(P, F32)) {
        const i64 strip = strip_vectors(rows) * kLanes;
        if (rows <= kTileRows && b.col == 1 && strip <= cols) {
          left.take(0);
          for (; j + strip <= cols; j += strip) {
            multiply_strip_rows(rows, {deep, left.panel(0), nullptr, b.at(k, j).data, b.row, c + j, c_step, strip, add || k > 0});
          }
        }
      }
      const i64 packed = j;
      for (; j < cols; j += kTileCols) {
        Tile t{left.numbers, {}, packed_cols, nullptr, 0, nullptr, 0, smaller(kTileCols, cols - j), add || k > 0};
        take_panel<P>(t, b.at(k, j), deep);
        aim(t, c + i * c_step + j, c_step, sums + j, k + deep == depth);
        t.around = around && !t.add && deep == depth;
        t.soon = j + kTileCols < cols ? t.c + kTileCols : t.c;
        Ahead next = panel_after(b, cols, depth, k, j, most_deep), rows_after;
        if (j + kTileCols >= cols && k + deep < depth) {
          rows_after = LeftBlock<P, A>(a.at(i, k + deep), high, smaller(most_deep, depth - k - deep), rows_memory).lines(0);
          next.then = &rows_after;
        }
        if (after && i + high == rows && j + kTileCols >= cols && k + deep == depth) next = *after;
        multiply_panel<P, A, B>(left, t, j == packed, next);
      }
    }
  }
}

// An even split of a length into parts of at most `limit`, each but the last a multiple of `unit`.
struct Split {
  i64 length, step, count;
  Split(i64 n, i64 limit, i64 unit) : length(n) {
    step = larger<i64>(1, round_up(ceil_div(n, larger<i64>(1, ceil_div(n, limit))), unit));
    count = ceil_div(n, step);
  }
  i64 begin(i64 p) const { return p * step; }
  i64 size(i64 p) const { return smaller(step, length - p * step); }
};

// A product cut into blocks of like height and width for several threads to take: high ones, as each packs its own b, but wide ones
// where rows of a lie `across`, which cost more to copy; and as many as keep threads from waiting for each other at the end.
struct Grid {
  Split high, wide;
  Grid(i64 rows, i64 cols, i64 most_rows, bool across_rows) : high(rows, most_rows, 1), wide(cols, kBlockCols, kTileCols) {
    i64 down = larger<i64>(1, high.count), across = larger<i64>(1, wide.count);
    const auto cut = [&](i64& parts, i64 length, i64 least, i64 tasks) {
      while (down * across < tasks && length / parts >= 2 * least) parts *= 2;
    };
    if (across_rows) cut(down, rows, 8 * kTileRows, 16);
    cut(across, cols, 12 * kTileCols, 16);
    cut(down, rows, 16 * kTileRows, 16);
    cut(across, cols, 4 * kTileCols, 8);
    cut(down, rows, 8 * kTileRows, 8);
    if (down * across > 1) (down > 1 ? down : across) += down * across % 2;  // or one of two threads would be idle at the end
    high = Split(rows, larger<i64>(1, ceil_div(rows, down)), 1);
    wide = Split(cols, larger<i64>(1, ceil_div(cols, across)), kTileCols);
  }
  i64 count() const { return high.count * wide.count; }
};

// One block of the grid of c = a·b, or c += a·b.
template <class P = F32, class A, class B, class C>
inline void multiply_block(const Grid& g, i64 block, i64 depth, ViewOf<A> a, ViewOf<B> b, C* c, i64 c_step, bool add, f32* scratch,
                           bool around = false) {
  const i64 p = block % g.high.count, q = block / g.high.count, i = g.high.begin(p), j = g.wide.begin(q);
  multiply<P>(g.high.size(p), g.wide.size(q), depth, a.at(i, 0), b.at(0, j), c + i * c_step + j, c_step, add, scratch,
              around);
}

}  // namespace openmoe::OPENMOE_ISA
