// Packing for the register tile: panels of rows or columns in the order in which a product reads them, from any strides.
#pragma once
#include "tile.h"

namespace openmoe::OPENMOE_ISA {

// A matrix in memory: element (i, j) is data[i·row + j·col]. A transpose swaps the strides.
struct View {
  const f32* data;
  i64 row, col;
  View at(i64 i, i64 j) const { return {data + i * row + j * col, row, col}; }
};
inline View transposed(View v) { return {v.data, v.col, v.row}; }

namespace pack {

// Swaps the off-diagonal halves of each 2·Step × 2·Step block; steps 1, 2, 4, … transpose the square of registers.
template <int Step, int... L> inline void exchange(vf& a, vf& b, Sequence<L...>) {
  const vf low = __builtin_shufflevector(a, b, ((L & Step) ? kLanes + L - Step : L)...);
  const vf high = __builtin_shufflevector(a, b, ((L & Step) ? kLanes + L : L + Step)...);
  a = low;
  b = high;
}

template <int Step> inline __attribute__((always_inline)) void transpose(vf (&v)[kLanes]) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (!(i & Step)) exchange<Step>(v[i], v[i + Step], typename CountTo<kLanes>::type{});
  }
  if constexpr (Step * 2 < kLanes) transpose<Step * 2>(v);
}

// kLanes rows of dst from `width` lanes of src that are contiguous along k (the last one stands in for lanes beyond); `keep` lanes
// of each row are written.
inline void square(const f32* src, i64 across, i64 width, i64 depth, f32* dst, i64 step, i64 keep) {
  vf v[kLanes];
  const i64 last = smaller<i64>(width, kLanes) - 1, lanes = smaller<i64>(depth, kLanes);
  if (lanes == kLanes) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) v[i] = load(src + smaller<i64>(i, last) * across);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) v[i] = load_part(src + smaller<i64>(i, last) * across, lanes);
  }
  transpose<1>(v);
  if (keep == kLanes && lanes == kLanes) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) store(dst + i * step, v[i]);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if (i < lanes) store_part(dst + i * step, v[i], keep);
    }
  }
}

}  // namespace pack

// dst[k·step + w] = src[w·across + k·along] for w < width; what stands in width <= w < step must not matter. Up to kLanes − 1
// floats after the panel are overwritten: pack panels in ascending order and leave that much room after the last.
inline void pack_panel(const f32* src, i64 across, i64 along, i64 width, i64 depth, f32* dst, i64 step) {
  if (across == 1) {
    for (i64 k = 0; k < depth; ++k) {
      for (i64 w = 0; w < step; w += kLanes) {
        const f32* s = src + k * along + w;
        store(dst + k * step + w, w + kLanes <= width ? load(s) : load_part(s, larger<i64>(0, width - w)));
      }
    }
  } else if (along == 1) {
    for (i64 k = 0; k < depth; k += kLanes) {
      for (i64 w = 0; w < step; w += kLanes) {
        const i64 keep = w == 0 ? kLanes : smaller<i64>(kLanes, step - w);  // later lanes must not spill onto packed ones
        const i64 row = smaller(w, width - 1);
        pack::square(src + row * across + k, across, width - row, depth - k, dst + k * step + w, step, keep);
      }
    }
  } else {
    for (i64 k = 0; k < depth; ++k) {
      for (i64 w = 0; w < step; ++w) dst[k * step + w] = w < width ? src[w * across + k * along] : 0.f;
    }
  }
}

// Rows are split evenly into panels of kTileRows or a little less, so that no row is padding.
struct RowPanels {
  i64 rows, panels;
  explicit RowPanels(i64 n) : rows(n), panels(ceil_div(n, kTileRows)) {}
  i64 begin(i64 p) const { return p * rows / panels; }
  i64 height(i64 p) const { return begin(p + 1) - begin(p); }
};

inline void pack_rows(View a, i64 rows, i64 depth, f32* dst) {
  const RowPanels split(rows);
  for (i64 p = 0; p < split.panels; ++p) {
    const i64 i = split.begin(p), height = split.height(p);
    pack_panel(a.data + i * a.row, a.row, a.col, height, depth, dst + i * depth, height);
  }
}

inline void pack_cols(View b, i64 cols, i64 depth, f32* dst) {
  for (i64 j = 0; j < cols; j += kTileCols) {
    pack_panel(b.data + j * b.col, b.col, b.row, smaller(kTileCols, cols - j), depth, dst + j * depth, kTileCols);
  }
}

}  // namespace openmoe::OPENMOE_ISA
