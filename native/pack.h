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

// dst[k·step + w] = src[w·across + k·along] for w < width, one of the two strides being 1; what stands in width <= w < step must not
// matter. A policy that pairs elements along the depth fills half as many rows, and a missing last element with zero. Where src is
// contiguous along the depth, up to kLanes − 1 numbers after the panel are overwritten: pack panels in ascending order and leave that
// much room after the last.
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
  } else {
    constexpr i64 deep = kLanes * P::kDeep;
    for (i64 k = 0; k < depth; k += deep, dst += kLanes * step) {
      for (i64 w = 0; w < step; w += kLanes) {
        const i64 keep = w == 0 ? kLanes : smaller<i64>(kLanes, step - w);  // later lanes must not spill onto packed ones
        const i64 row = smaller(w, width - 1);
        pack::square<P>(src + row * across + k, across, width - row, depth - k, dst + w, step, keep);
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

// A block of the left operand: read where it lies, or copied where that is no good. Copies keep the order, at a better distance.
constexpr i64 copied_step(i64 n) { return (n + kLanes - 1) / kLanes * kLanes + kLanes; }  // off a power of two
// What a block of so many numbers takes at most.
constexpr i64 copied_numbers(i64 numbers, i64 rows, i64 depth) { return numbers + 2 * kLanes * larger(rows, depth); }

template <class P, class S> struct LeftBlock {
  ViewOf<S> a;
  i64 depth, numbers;  // elements of a row, and numbers that they make
  f32* scratch;
  RowPanels split;
  bool in_place;
  LeftBlock(ViewOf<S> view, i64 rows, i64 deep, f32* memory)
      : a(view), depth(deep), numbers(ceil_div(deep, P::kDeep)), scratch(memory), split(rows), in_place(reads_in_place()) {}

  Left panel(i64 p) const {
    const i64 i = split.begin(p);
    if (in_place) return {reinterpret_cast<const f32*>(a.at(i, 0).data), a.row / P::kDeep, a.col};
    if (a.col == 1) return {scratch + i * copied_step(numbers), copied_step(numbers), 1};
    return {scratch + i, 1, copied_step(split.rows)};
  }
  // Panels are taken one after the other.
  void take(i64 p) const {
    if (in_place) return;
    if (a.col == 1) return copy_along(split.begin(p), split.height(p));
    if (p == 0) copy_across();  // at once, as panels share cache lines
  }
  // The lines of a panel; of rows that lie across, those that the panel before does not have.
  Ahead lines(i64 p) const {
    if (p >= split.panels) return Ahead();
    const i64 begin = split.begin(p), height = split.height(p);
    if (a.col == 1) return Ahead(a.at(begin, 0).data, depth, a.row, height);
    return in_place ? Ahead(a.at(begin + height - 1, 0).data, 1, a.col, depth) : Ahead();
  }

 private:
  // Not where rows fill the same few cache sets, nor where a last element is without its pair.
  bool reads_in_place() const {
    if constexpr (!P::template kAsStored<S>) return false;
    if (P::kDeep > 1 && (a.col != 1 || depth % P::kDeep != 0 || a.row % P::kDeep != 0)) return false;
    const i64 bytes = (a.col == 1 ? a.row : a.col) * static_cast<i64>(sizeof(S));
    return bytes % (a.col == 1 ? 4096 : 2048) != 0;
  }
  void copy_along(i64 begin, i64 height) const {
    const i64 step = copied_step(numbers);
    for (i64 i = begin; i < begin + height; ++i) {
      const S* src = a.at(i, 0).data;
      for (i64 k = 0; k < depth; k += kLanes * P::kDeep) store(scratch + i * step + k / P::kDeep, P::along(src + k, depth - k));
    }
  }
  void copy_across() const {
    constexpr i64 ahead = 16;  // short runs of memory far from each other: nobody else fetches them early
    const i64 rows = split.rows, step = copied_step(rows);
    f32* to = scratch;
    for (i64 k = 0; k < depth; k += P::kDeep, to += step) {
      const S *low = a.at(0, k).data, *high = k + 1 < depth ? low + a.col : nullptr;
      for (i64 i = 0; i < rows; i += kLanes) {
        if (i * sizeof(S) % 64 == 0) {
          for (i64 d = 0; d < P::kDeep; ++d) __builtin_prefetch(low + (ahead + d) * a.col + i);
        }
        store(to + i, P::across(low + i, high ? high + i : nullptr, rows - i));
      }
    }
  }
};

}  // namespace openmoe::OPENMOE_ISA
