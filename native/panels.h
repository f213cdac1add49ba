// Weights packed for inference, and dot products with them. A matrix [K,N] is stored as panels of 16 columns, each a run of blocks
// of 64 rows, so that one product reads each weight once and straight through. Bound by reading weights for few rows.
// A block, by bits of a weight (docs/formats.md):
//   16: 32 words for each pair of rows: bf16 of row 2k below that of row 2k + 1
//    8: 16 words for each four rows: bytes w + 128; then 16 words of scales: bf16 of the first 32 rows below that of the others
//    4: 16 words for each eight rows: byte j holds row j in its low and row j + 4 in its high half, w + 8; then the same scales
// A word belongs to one column. Sums run over rows in ascending order, one chain a column (two of bf16 pairs, even and odd): bits do not
// depend on how many rows of x are multiplied together.
#pragma once
#include "product.h"

namespace openmoe::OPENMOE_ISA {
namespace panels {

constexpr i64 kCols = 16, kDeep = 64, kGroup = 32, kVectors = kCols / kLanes;
constexpr i64 block_bytes(i64 bits) { return kCols * kDeep * bits / 8 + (bits < 16 ? kCols * 4 : 0); }
constexpr i64 panel_bytes(i64 bits, i64 depth) { return (depth + kDeep - 1) / kDeep * block_bytes(bits); }

// Rows of x as products read them: bf16 pairs, or bytes with a scale and −offset·Σ for each group of 32, padded with zeros.
struct Rows {
  i8* data;
  i64 step, depth;  // step: bytes from row to row; depth: padded
  Rows(i64 bits, i64 k, char* memory) : data(reinterpret_cast<i8*>(memory)), depth(round_up(k, kDeep)) {
    step = bits == 16 ? 2 * depth : depth + depth / kGroup * 8;
  }
  const i32* words(i64 row) const { return reinterpret_cast<const i32*>(data + row * step); }
  f32* scales(i64 row) const { return reinterpret_cast<f32*>(data + row * step + depth); }
  i32* starts(i64 row) const { return reinterpret_cast<i32*>(scales(row) + depth / kGroup); }
};
constexpr i64 row_bytes(i64 bits, i64 k) {
  const i64 depth = (k + kDeep - 1) / kDeep * kDeep;
  return bits == 16 ? 2 * depth : depth + depth / kGroup * 8;
}

typedef i8 vb __attribute__((vector_size(kLanes), may_alias, aligned(1)));

inline i32 fold_sum(vi v) {
  i32 total = 0;
  for (int i = 0; i < kLanes; ++i) total += v[i];
  return total;
}
inline i32 fold_max(vi v) {
  i32 top = v[0];
  for (int i = 1; i < kLanes; ++i) top = larger(top, i32{v[i]});
  return top;
}

inline void prepare_bf16(const f32* x, i64 k, const Rows& rows, i64 row) {
  bf16* to = reinterpret_cast<bf16*>(rows.data + row * rows.step);
  for (i64 i = 0; i < rows.depth; i += kLanes) store(to + i, i < k ? load_part(x + i, k - i) : vf{});
}

// A group is scaled so that its largest magnitude is 127. A NaN makes the scale NaN, infinity makes it infinite.
inline void prepare_bytes(const f32* x, i64 k, i32 offset, const Rows& rows, i64 row) {
  i8* to = rows.data + row * rows.step;
  f32* scales = rows.scales(row);
  i32* starts = rows.starts(row);
  for (i64 g = 0; g < rows.depth / kGroup; ++g) {
    constexpr int parts = kGroup / kLanes;
    vf v[parts];
    vi top{};
    for (int p = 0; p < parts; ++p) {
      const i64 at = g * kGroup + p * kLanes;
      v[p] = at < k ? load_part(x + at, k - at) : vf{};
      const vi magnitude = (vi)vabs(v[p]);  // in the order of the numbers, NaN above all
      top = magnitude > top ? magnitude : top;
    }
    const i32 bits = fold_max(top);
    f32 most;
    __builtin_memcpy(&most, &bits, 4);
    const f32 inverse = most > 0 ? 127.f / most : 0.f;
    vi sum{};
    for (int p = 0; p < parts; ++p) {
      vf q = v[p] * inverse;
      q = q < 127.f ? q : splat(127.f);
      q = q > -127.f ? q : splat(-127.f);
      const vi whole = (vi)(q + 12582912.f) - 0x4b400000;  // 1.5·2^23: rounds to the nearest, ties to even
      sum += whole;
      *reinterpret_cast<vb*>(to + g * kGroup + p * kLanes) = __builtin_convertvector(whole, vb);
    }
    scales[g] = most / 127.f;
    starts[g] = -offset * fold_sum(sum);
  }
}

template <int Bits> inline void prepare(const f32* x, i64 k, const Rows& rows, i64 row) {
  if constexpr (Bits == 16)
    prepare_bf16(x, k, rows, row);
  else
    prepare_bytes(x, k, Bits == 8 ? 128 : 8, rows, row);
}

// sum + two bf16 of each lane times the same two of x, which all lanes hold.
inline vf dot_pairs(vf sum, vi w, vi x) {
#if defined(__AVX512BF16__) || defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
  return dot_both(sum, (vf)w, (vf)x);
#else
  sum += (vf)(w << 16) * (vf)(x << 16);
  return sum + (vf)(w & (i32)0xffff0000) * (vf)(x & (i32)0xffff0000);
#endif
}

// sum + four unsigned bytes of each lane times the same four signed ones of x.
inline vi dot_bytes(vi sum, vi w, i32 x) {
#if defined(__AVX512VNNI__)
  return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, _mm512_set1_epi32(x));
#elif defined(__ARM_FEATURE_MATMUL_INT8)
  return (vi)vusdotq_s32((int32x4_t)sum, (uint8x16_t)w, (int8x16_t)(x - vi{}));
#elif defined(__AVX512BW__)
  const __m512i v = _mm512_set1_epi32(x), mask = _mm512_set1_epi16(255);
  const __m512i even = _mm512_srai_epi16(_mm512_slli_epi16(v, 8), 8), odd = _mm512_srai_epi16(v, 8);
  const __m512i low = _mm512_madd_epi16(_mm512_and_si512((__m512i)w, mask), even);
  return sum + (vi)_mm512_add_epi32(low, _mm512_madd_epi16(_mm512_srli_epi16((__m512i)w, 8), odd));
#elif defined(__AVX2__)
  const __m256i v = _mm256_set1_epi32(x), mask = _mm256_set1_epi16(255);
  const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8), odd = _mm256_srai_epi16(v, 8);
  const __m256i low = _mm256_madd_epi16(_mm256_and_si256((__m256i)w, mask), even);
  return sum + (vi)_mm256_add_epi32(low, _mm256_madd_epi16(_mm256_srli_epi16((__m256i)w, 8), odd));
#else
  for (int j = 0; j < 4; ++j) sum += ((w >> 8 * j) & 255) * static_cast<i32>(static_cast<i8>(x >> 8 * j));
  return sum;
#endif
}

constexpr i64 kAhead = 2048;  // bytes of a panel fetched before they are needed

// y[r][p·16 …] = rows `first` … first + R − 1 of x times P panels that begin `panel_step` bytes apart.
template <int Bits, int P, int R>
inline void dot_block(const i8* w, i64 panel_step, const Rows& x, i64 first, f32* y, i64 y_step) {
  vf sum[P * kVectors][R] = {}, other[P * kVectors][R] = {};
  const i64 blocks = x.depth / kDeep;
  for (i64 b = 0; b < blocks; ++b, w += block_bytes(Bits)) {
    if constexpr (R < 4) {  // more rows find panels in a cache, where fetching them again costs as much as multiplying
      for (int p = 0; p < P; ++p)
        for (i64 line = 0; line < block_bytes(Bits); line += 64) __builtin_prefetch(w + p * panel_step + kAhead + line);
    }
    const auto word = [&](int pv, i64 at) {
      return *reinterpret_cast<const viu*>(w + pv / kVectors * panel_step + (at * kCols + pv % kVectors * kLanes) * 4);
    };
    if constexpr (Bits == 16) {
      for (i64 k = 0; k < kDeep / 2; k += 2)
        for (int r = 0; r < R; ++r) {
          const i32* pairs = x.words(first + r) + b * (kDeep / 2) + k;
          const vi even = pairs[0] - vi{}, odd = pairs[1] - vi{};
          for (int pv = 0; pv < P * kVectors; ++pv) {
            sum[pv][r] = dot_pairs(sum[pv][r], word(pv, k), even);
            other[pv][r] = dot_pairs(other[pv][r], word(pv, k + 1), odd);
          }
        }
    } else {
      for (int g = 0; g < 2; ++g) {
        const i64 group = b * 2 + g;
        vi whole[P * kVectors][R];
        for (int pv = 0; pv < P * kVectors; ++pv)
          for (int r = 0; r < R; ++r) whole[pv][r] = x.starts(first + r)[group] - vi{};
        for (i64 k = 0; k < kGroup / 4; k += 8 / Bits)
          for (int pv = 0; pv < P * kVectors; ++pv) {
            const vi v = word(pv, (g * kGroup * Bits / 32) + k * Bits / 8);
            for (int r = 0; r < R; ++r) {
              const i32* q = x.words(first + r) + group * (kGroup / 4) + k;
              if constexpr (Bits == 8) {
                whole[pv][r] = dot_bytes(whole[pv][r], v, q[0]);
              } else {
                whole[pv][r] = dot_bytes(whole[pv][r], v & 0x0f0f0f0f, q[0]);
                whole[pv][r] = dot_bytes(whole[pv][r], (v >> 4) & 0x0f0f0f0f, q[1]);
              }
            }
          }
        for (int pv = 0; pv < P * kVectors; ++pv) {
          const vi pair = word(pv, kDeep * Bits / 32);
          const vf scale = (vf)(g == 0 ? pair << 16 : pair & (i32)0xffff0000);
          for (int r = 0; r < R; ++r)
            sum[pv][r] += __builtin_convertvector(whole[pv][r], vf) * (scale * x.scales(first + r)[group]);
        }
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int pv = 0; pv < P * kVectors; ++pv) store(y + r * y_step + pv * kLanes, Bits == 16 ? sum[pv][r] + other[pv][r] : sum[pv][r]);
}

// From so many rows on panels are multiplied beside each other, and the next ones fetched meanwhile; fewer rows are quickest with a
// single stream of weights, eight of them at a time.
constexpr i64 kManyRows = 16, kRows = 4, kFewRows = 8;

template <int R> struct Count {
  static constexpr int rows = R;
};
// f(row, Count<R>) for all rows from `row` on.
template <class F> inline void by_rows(i64 row, i64 end, bool many, F f) {
  if (!many)
    for (; row + kFewRows <= end; row += kFewRows) f(row, Count<kFewRows>{});
  for (; row + kRows <= end; row += kRows) f(row, Count<kRows>{});
  for (; row + 2 <= end; row += 2) f(row, Count<2>{});
  if (row < end) f(row, Count<1>{});
}

// The share of the n-th group of rows in fetching `bytes` that the groups after these will read.
inline void fetch_share(const i8* w, i64 bytes, i64 group, i64 groups) {
  const i64 share = ceil_div(bytes / 64, groups) * 64;
  for (i64 at = group * share; at < smaller(bytes, (group + 1) * share); at += 64) __builtin_prefetch(w + at, 0, 2);
}

// Rows of x are made ready in tasks of this many.
constexpr i64 kPrepared = 16;
template <int Bits> inline void prepare_all(const Call& c, const f32* from, i64 step, i64 depth, i64 count, const Rows& to) {
  const auto some = [&](i64 task, i32) {
    for (i64 row = task * kPrepared; row < smaller(count, (task + 1) * kPrepared); ++row) prepare<Bits>(from + row * step, depth, to, row);
  };
  if (count > kPrepared) return c.parallel(ceil_div(count, kPrepared), some);
  if (count > 0) some(0, 0);
}

// A product shared by threads: runs of panels of about this many bytes, an even number of them while there are few.
constexpr i64 kTaskBytes = 64 << 10;
inline i64 tasks_of(i64 panels, i64 bytes) {
  const i64 wanted = larger<i64>(2, round_up(panels * bytes / kTaskBytes, 2));
  return smaller(panels, smaller<i64>(wanted, 256));
}

// Which task is taken as the index-th, so that threads who take turns each go through a stretch of their own: a stream that is never
// broken off is read 4–7 % faster, and what it fetches ahead is its own.
inline i64 in_turns(i64 index, i64 count, i64 threads) {
  const i64 lane = index % threads, rest = count % threads;
  return lane * (count / threads) + smaller(lane, rest) + index / threads;
}

}  // namespace panels
}  // namespace openmoe::OPENMOE_ISA
