// The register tile of attention: sums of kRows rows by one or two vectors. The left operand is read one element at a time and may
// have any strides (that costs nothing: 99 % of the FMA peak of a Zen 5 core at a depth of 32), so only what stands on the side of
// the vectors is ever turned.
#pragma once
#include "lanes.h"
#include "pack.h"

namespace openmoe::OPENMOE_ISA {
namespace attention {

// Enough sums to hide the latency of a multiply-add on two units; half as many where there are 16 registers.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRows = 8;
#else
constexpr int kRows = 4;
#endif
constexpr int kVectors = 2;
constexpr i64 kWide = kVectors * kLanes;

constexpr f32 kLog2e = 1.44269504088896341f, kLn2 = 0.693147180559945309f;

// The operands' shape, as attention and its gradient have it.
struct Shape {
  i64 queries, keys, features, heads, size, deep;  // size: features of a head; deep: rounded up to whole rows of a tile
  f32 scale;
  explicit Shape(const Call& c)
      : queries(c.dim(0, 1)), keys(c.dim(1, 1)), features(c.dim(0, 2)), heads(c.index_attr(0)), size(features / heads),
        deep(round_up(size, kRows)), scale(c.attr(1)) {}
};

template <int Vectors> struct Sums {
  vf at[kRows][Vectors];

  template <class F> inline __attribute__((always_inline)) void each(F f) {
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; ++j) f(at[i][j], i, j);
    }
  }
  inline __attribute__((always_inline)) void clear() {
    each([](vf& sum, int, int) { sum = vf{}; });
  }
  inline __attribute__((always_inline)) void take(const f32* c, i64 step) {
    each([=](vf& sum, int i, int j) { sum = load(c + i * step + j * kLanes); });
  }
  inline __attribute__((always_inline)) void put(f32* c, i64 step) {
    each([=](vf& sum, int i, int j) { store(c + i * step + j * kLanes, sum); });
  }
  // The vectors First … Last − 1 += Σ_k a(i, k) · b[k·b_step …].
  template <int First = 0, int Last = Vectors> inline __attribute__((always_inline)) void multiply(i64 depth, Left a, const f32* b, i64 b_step) {
    i64 k = depth;
    for (; k >= kUnroll; k -= kUnroll) {
#pragma GCC unroll 4
      for (int u = 0; u < kUnroll; ++u, a.data += a.step, b += b_step) add<First, Last>(a, b);
    }
    for (; k > 0; --k, a.data += a.step, b += b_step) add<First, Last>(a, b);
  }

 private:
  static constexpr int kUnroll = 4;  // loops so short that their end is foreseen
  template <int First, int Last> inline __attribute__((always_inline)) void add(Left a, const f32* b) {
    vf row[Vectors];
#pragma GCC unroll 2
    for (int j = First; j < Last; ++j) row[j] = load(b + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const vf x = splat(a.data[i * a.row]);
#pragma GCC unroll 2
      for (int j = First; j < Last; ++j) at[i][j] += x * row[j];
    }
  }
};

// `rows` rows of `size` floats, times `scale`, next to each other, `deep` from one to the next; zeros up to `deep` and in the rows up
// to a tile.
inline void copy_rows(const f32* src, i64 step, i64 rows, i64 size, f32* dst, i64 deep, f32 scale) {
  const bool whole = size % kLanes == 0 && size == deep;
  for (i64 i = 0; i < rows; ++i, src += step, dst += deep) {
    if (whole) {
      for (i64 d = 0; d < size; d += kLanes) store(dst + d, load(src + d) * scale);
    } else {
      for (i64 d = 0; d < deep; d += kLanes) store_part(dst + d, load_part(src + d, larger<i64>(0, size - d)) * scale, deep - d);
    }
  }
  __builtin_memset(dst, 0, (round_up(rows, kRows) - rows) * deep * sizeof(f32));
}

// dst[i·step + d] = x[d·kWide + i] · scale[i] for i < rows <= kLanes and d < size.
inline void turn_out(const f32* x, i64 size, i64 rows, vf scale, f32* dst, i64 step, bool around = false) {
  for (i64 d = 0; d < size; d += kLanes) {
    const i64 lanes = smaller<i64>(kLanes, size - d);
    vf v[kLanes];
#pragma GCC unroll 16
    for (int l = 0; l < kLanes; ++l) v[l] = load(x + smaller<i64>(d + l, size - 1) * kWide) * scale;
    pack::transpose<1>(v);
    if (lanes == kLanes && rows == kLanes && around) {
#pragma GCC unroll 16
      for (int l = 0; l < kLanes; ++l) put(dst + l * step + d, v[l], Around{});
    } else if (lanes == kLanes && rows == kLanes) {
#pragma GCC unroll 16
      for (int l = 0; l < kLanes; ++l) store(dst + l * step + d, v[l]);
    } else {
#pragma GCC unroll 16
      for (int l = 0; l < kLanes; ++l) {
        if (l < rows) store_part(dst + l * step + d, v[l], lanes);
      }
    }
  }
}

// Σ a·b of each of `rows` <= kLanes rows.
inline vf dots(const f32* a, const f32* b, i64 step, i64 rows, i64 size) {
  vf sum[kLanes] = {};
  for (i64 i = 0; i < rows; ++i) {
    vf row{};
    for (i64 d = 0; d < size; d += kLanes) row += load_part(a + i * step + d, size - d) * load_part(b + i * step + d, size - d);
    sum[i] = row;
  }
  pack::transpose<1>(sum);
  for (i64 half = kLanes / 2; half > 0; half /= 2) {
    for (i64 i = 0; i < half; ++i) sum[i] += sum[i + half];
  }
  return sum[0];
}

}  // namespace attention
}  // namespace openmoe::OPENMOE_ISA
