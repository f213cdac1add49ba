// The blocked matrix product c = a·b (+ c) in f32, or of bf16 with sums in f32: packed panels, one register tile, sums over K in
// ascending order.
// An element's bits depend on its row of a, its column of b and K alone: not on its neighbours, the blocks or the threads.
#pragma once
#include "pack.h"

namespace openmoe::OPENMOE_ISA {

// A block of a (rows × depth) stays in a core's L2 cache, of 1 MB where there is AVX-512 and of half as much elsewhere, while
// panels of b (depth × kTileCols) pass through L1. The depth is of packed numbers: bf16 pairs are twice as deep.
constexpr i64 kBlockDepth = kLanes == 16 ? 512 : 256;
constexpr i64 kBlockRows = kTileRows * (268 / kTileRows), kBlockCols = kTileCols * (1024 / kTileCols);

// Packed rows times one panel of columns; c is the tile at the upper left, and its b is packed unless it has a place to be packed to.
template <class P = F32> inline void multiply_panel(i64 rows, const f32* a, const Tile& c, Ahead* next) {
  const RowPanels split(rows);
  for (i64 p = 0; p < split.panels; ++p) {
    const i64 i = split.begin(p), height = split.height(p);
    Tile t = c;
    t.a = a + i * t.depth;
    t.a_step = height;
    t.c += i * t.c_step;
    if (t.rounded) t.rounded += i * t.rounded_step;
    if (c.keep && p > 0) {  // the first tile packed it
      t.b = c.keep;
      t.b_step = kTileCols;
      t.keep = nullptr;
    }
    multiply_rows<P>(height, t, next);
  }
}

// Packed rows times packed columns.
inline void multiply_packed(i64 rows, i64 cols, i64 depth, const f32* a, const f32* b, f32* c, i64 c_step, bool add) {
  for (i64 j = 0; j < cols; j += kTileCols) {
    multiply_panel(rows, a, {depth, a, 0, b + j * depth, kTileCols, c + j, c_step, smaller(kTileCols, cols - j), add}, nullptr);
  }
}

// Floats of scratch that one worker needs in multiply(): packed panels, and the sums of a block whose result is in bf16.
constexpr i64 kPackedRows = kBlockRows * kBlockDepth, kPackedCols = kTileCols * kBlockDepth;
constexpr i64 kSumsStep = kBlockCols + kLanes;  // off a power of two: else the rows of a tile share a cache set
constexpr i64 kMultiplyScratch = (kPackedRows + kPackedCols + kLanes + kBlockRows * kSumsStep + 15) / 16 * 16;

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

// Lets the first tile read a panel of b where it lies and pack it meanwhile, if the panel can be multiplied as it is.
template <class P, class S> inline bool pack_by_tile(Tile& t, ViewOf<S> b, f32* packed) {
  if constexpr (P::kAsStored) {
    if (b.col != 1 || t.cols != kTileCols) return false;
    t.b = b.data;
    t.b_step = b.row;
    t.keep = packed;
    return true;
  }
  return false;
}

// c (rows × cols, c_step elements from row to row) = a·b, or c += a·b, on the calling thread. Any number of rows, any depth, zeros
// included; at most kBlockCols columns where c is bf16, and then nothing is added to. `around`: c is large, aligned and not read soon.
template <class P = F32, class A, class B, class C>
inline void multiply(i64 rows, i64 cols, i64 depth, ViewOf<A> a, ViewOf<B> b, C* c, i64 c_step, bool add, f32* scratch,
                     bool around = false) {
  f32 *packed_cols = scratch, *packed_rows = scratch + kPackedCols, *sums = packed_rows + kPackedRows + kLanes;
  constexpr i64 block_depth = kBlockDepth * P::kDeep;
  if (depth == 0 && !add) {
    for (i64 i = 0; i < rows; ++i) __builtin_memset(c + i * c_step, 0, cols * sizeof(C));
  }
  for (i64 i = 0; i < rows; i += kBlockRows) {
    const i64 high = smaller(kBlockRows, rows - i);
    for (i64 k = 0; k < depth; k += block_depth) {
      const i64 deep = smaller(block_depth, depth - k);
      pack_rows<P>(a.at(i, k), high, deep, packed_rows);
      i64 j = 0;
      if constexpr (P::kAsStored) {
        const i64 strip = strip_vectors(rows) * kLanes;
        for (; rows <= kTileRows && b.col == 1 && j + strip <= cols; j += strip) {
          multiply_strip_rows(rows, {deep, packed_rows, rows, b.at(k, j).data, b.row, c + j, c_step, strip, add || k > 0});
        }
      }
      for (; j < cols; j += kTileCols) {
        const i64 width = smaller(kTileCols, cols - j);
        Tile t{ceil_div(deep, P::kDeep), nullptr, 0, packed_cols, kTileCols, nullptr, 0, width, add || k > 0};
        if (!pack_by_tile<P>(t, b.at(k, j), packed_cols)) pack_panel<P>(b.at(k, j).data, b.col, b.row, width, deep, packed_cols, kTileCols);
        aim(t, c + i * c_step + j, c_step, sums + j, k + deep == depth);
        t.around = around && !t.add && deep == depth;
        Ahead next = panel_after(b, cols, depth, k, j, block_depth);
        multiply_panel<P>(high, packed_rows, t, &next);
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

// A product cut into blocks of like height and width, the cheapest to pack, for several threads to take: into 16 while blocks
// stay large, into 8 while they stay larger than a few tiles.
struct Grid {
  Split high, wide;
  Grid(i64 rows, i64 cols) : high(rows, kBlockRows, 1), wide(cols, kBlockCols, kTileCols) {
    i64 down = power_of_two(high.count), across = larger<i64>(1, wide.count);
    for (i64 tiles = 16; tiles >= 8; tiles /= 2) {
      while (down * across < tiles && (rows / down >= tiles * kTileRows || cols / across >= tiles * kTileCols)) {
        const bool flat = rows / down <= cols / across && cols / across >= tiles * kTileCols;
        (flat ? across : down) *= 2;
      }
    }
    high = Split(rows, larger<i64>(1, ceil_div(rows, down)), 1);
    wide = Split(cols, larger<i64>(1, ceil_div(cols, across)), kTileCols);
  }
  // Three blocks would leave one of two threads idle for a third of the time.
  static i64 power_of_two(i64 n) {
    i64 p = 1;
    while (p < n && n < 16) p *= 2;
    return larger(p, n);
  }
  i64 count() const { return high.count * wide.count; }
};

// One block of the grid of c = a·b, or c += a·b.
template <class P = F32, class A, class B, class C>
inline void multiply_block(const Grid& g, i64 block, i64 depth, ViewOf<A> a, ViewOf<B> b, C* c, i64 c_step, bool add, f32* scratch) {
  const i64 p = block % g.high.count, q = block / g.high.count, i = g.high.begin(p), j = g.wide.begin(q);
  multiply<P>(g.high.size(p), g.wide.size(q), depth, a.at(i, 0), b.at(0, j), c + i * c_step + j, c_step, add, scratch);
}

}  // namespace openmoe::OPENMOE_ISA
