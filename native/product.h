// What a matrix product multiplies: f32, or bf16 with sums in f32. Packed panels hold numbers of four bytes; a policy says how many
// elements along the depth are one of them, how they are made from either type in memory, and how a register of them is multiplied.
#pragma once
#include "bf16.h"
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace openmoe::OPENMOE_ISA {

struct F32 {
  static constexpr i64 kDeep = 1;
  static constexpr bool kAsStored = true;  // a packed number is what stands in memory
  // The first n lanes from memory; `high` is the next row along the depth, for policies that pair two, or null after the last.
  static vf across(const f32* low, const f32*, i64 n) { return load_part(low, n); }
  // kLanes packed numbers of n elements that are contiguous along the depth.
  static vf along(const f32* p, i64 n) { return load_part(p, n); }
  static vf broadcast(const f32* p) { return splat(*p); }
  static vf multiply_add(vf a, vf b, vf sum) { return sum + a * b; }
};

#if defined(__AVX512BF16__)
// Two elements along the depth in one number, multiplied and added by vdpbf16ps, which flushes denormals.
struct Bf16 {
  static constexpr i64 kDeep = 2;
  static constexpr bool kAsStored = false;

  static vf across(const f32* low, const f32* high, i64 n) {
    return interleave((__m512i)_mm512_cvtne2ps_pbh(high ? (__m512)load_part(high, n) : __m512{}, (__m512)load_part(low, n)));
  }
  static vf across(const bf16* low, const bf16* high, i64 n) {
    const __mmask16 lanes = n >= kLanes ? 0xffff : static_cast<__mmask16>((1u << n) - 1);
    const __m256i first = _mm256_maskz_loadu_epi16(lanes, low);
    const __m256i second = high ? _mm256_maskz_loadu_epi16(lanes, high) : __m256i{};
    return interleave(_mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1));
  }
  static vf along(const f32* p, i64 n) {
    if (n >= 2 * kLanes) return (vf)_mm512_cvtne2ps_pbh((__m512)load(p + kLanes), (__m512)load(p));
    return (vf)_mm512_cvtne2ps_pbh((__m512)load_part(p + kLanes, larger<i64>(0, n - kLanes)), (__m512)load_part(p, n));
  }
  static vf along(const bf16* p, i64 n) {
    if (n >= 2 * kLanes) return (vf)_mm512_loadu_si512(p);
    return (vf)_mm512_maskz_loadu_epi16(static_cast<__mmask32>((1u << n) - 1), p);
  }
  static vf broadcast(const f32* p) { return (vf)_mm512_set1_epi32(*reinterpret_cast<const Bits*>(p)); }
  static vf multiply_add(vf a, vf b, vf sum) { return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }

 private:
  typedef i32 Bits __attribute__((may_alias));
  // Sixteen elements of each of two rows → sixteen pairs.
  static vf interleave(__m512i rows) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return (vf)_mm512_permutexvar_epi16(order, rows);
  }
};
#else
// Without an instruction for it: f32 products of rounded operands, which are exact.
struct Bf16 : F32 {
  static constexpr bool kAsStored = false;
  static vf across(const f32* low, const f32*, i64 n) { return round(load_part(low, n)); }
  static vf across(const bf16* low, const bf16*, i64 n) { return load_part(low, n); }
  static vf along(const f32* p, i64 n) { return round(load_part(p, n)); }
  static vf along(const bf16* p, i64 n) { return load_part(p, n); }

 private:
  static vf round(vf x) { return widen_bf16(round_bf16(x)); }
};
#endif

}  // namespace openmoe::OPENMOE_ISA
