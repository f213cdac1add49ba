// Packing for the register tile: panels of rows or columns in the order in which a product reads them, from any strides.
#pragma once
#include "tile.h"

namespace openmoe::OPENMOE_ISA {

// A matrix in memory: element (i, j) is data[i·row + j·col]. A transpose swaps the strides.
template <class S> struct ViewOf {
  const S* data;
  i64 row, col;
  ViewOf at(i64 i, i64 j) const { return {data + i * row + j * col, row, col}; }
};
using View = ViewOf<f32>;
template <class S> inline ViewOf<S> transposed(ViewOf<S> v) { return {v.data, v.col, v.row}; }

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
template <class P, class S> inline void square(const S* src, i64 across, i64 width, i64 depth, f32* dst, i64 step, i64 keep) {
  vf v[kLanes];
  const i64 last = smaller<i64>(width, kLanes) - 1, lanes = smaller<i64>(ceil_div(depth, P::kDeep), kLanes);
  if (depth >= kLanes * P::kDeep) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) v[i] = P::along(src + smaller<i64>(i, last) * across, kLanes * P::kDeep);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) v[i] = P::along(src + smaller<i64>(i, last) * across, depth);
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

// dst[k·step + w] = src[w·across + k·along] for w < width; what stands in width <= w < step must not matter. A policy that pairs elements
// along the depth fills half as many rows, and a missing last element with zero. Where src is contiguous along the depth, up to
// kLanes − 1 numbers after the panel are overwritten: pack panels in ascending order and leave that much room after the last.
template <class P = F32, class S> inline void pack_panel(const S* src, i64 across, i64 along, i64 width, i64 depth, f32* dst, i64 step) {
  if (across == 1) {
    i64 k = 0;
    if (along >= round_up(step, kLanes)) {  // then all rows but the last have memory behind them, of src and of dst
      for (; k + P::kDeep < depth; k += P::kDeep, dst += step) {
        const S* s = src + k * along;
        for (i64 w = 0; w < step; w += kLanes) store(dst + w, P::across(s + w, s + along + w, kLanes));
      }
    }
    for (; k < depth; k += P::kDeep, dst += step) {
      const S* s = src + k * along;
      const bool pair = k + 1 < depth;
      for (i64 w = 0; w < step; w += kLanes) {
        const i64 lanes = larger<i64>(0, smaller<i64>(kLanes, width - w));
        store_part(dst + w, P::across(s + w, pair ? s + along + w : nullptr, lanes), step - w);
      }
    }
  } else if (along == 1) {
    constexpr i64 deep = kLanes * P::kDeep;
    for (i64 k = 0; k < depth; k += deep, dst += kLanes * step) {
      for (i64 w = 0; w < step; w += kLanes) {
        const i64 keep = w == 0 ? kLanes : smaller<i64>(kLanes, step - w);  // later lanes must not spill onto packed ones
        const i64 row = smaller(w, width - 1);
        pack::square<P>(src + row * across + k, across, width - row, depth - k, dst + w, step, keep);
      }
    }
  } else {
    for (i64 k = 0; k < depth; k += P::kDeep, dst += step) {
      for (i64 w = 0; w < width; ++w) {
        const S* s = src + w * across + k * along;
        store_part(dst + w, P::across(s, k + 1 < depth ? s + along : nullptr, 1), 1);
      }
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

template <class P = F32, class S = f32> inline void pack_rows(ViewOf<S> a, i64 rows, i64 depth, f32* dst) {
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

template <class P = F32, class S = f32> inline void pack_cols(ViewOf<S> b, i64 cols, i64 depth, f32* dst) {
  for (i64 j = 0; j < cols; j += kTileCols) {
    pack_panel<P>(b.data + j * b.col, b.col, b.row, smaller(kTileCols, cols - j), depth, dst + j * ceil_div(depth, P::kDeep), kTileCols);
  }
}

}  // namespace openmoe::OPENMOE_ISA
