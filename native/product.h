// What a matrix product multiplies: f32, or bf16 with sums in f32. Packed panels hold numbers of four bytes; a policy says how many
// elements along the depth are one of them, how they are made from either type in memory, and how a register of them is multiplied.
// bf16 pairs through the tile of 14 × 32: 80–91 % of the bf16 peak of a Zen 5 core for 18 training shapes, packing and rounding included.
#pragma once
#include "bf16.h"
#if defined(__AVX512BF16__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#include <arm_neon.h>
#endif

namespace openmoe::OPENMOE_ISA {

struct F32 {
  static constexpr i64 kDeep = 1;
  template <class S> static constexpr bool kAsStored = true;  // packed numbers are what stands in memory
  // The first n lanes from memory; `high` is the next row along the depth, for policies that pair two, or null after the last.
  static vf across(const f32* low, const f32*, i64 n) { return load_part(low, n); }
  // kLanes packed numbers of n elements that are contiguous along the depth.
  static vf along(const f32* p, i64 n) { return load_part(p, n); }
  static vf broadcast(const f32* p) { return splat(*p); }
  static vf multiply_add(vf a, vf b, vf sum) { return sum + a * b; }
};

#if defined(__AVX512BF16__) || defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
typedef u16 Both __attribute__((vector_size(kLanes * 4), may_alias));  // two elements a lane

#if defined(__AVX512BF16__)
// The lanes of one register rounded, then those of another.
inline Both round_both(vf first, vf second) { return (Both)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first); }
// n <= 2 · kLanes of them from memory.
inline Both load_both(const bf16* p, i64 n) {
  return (Both)(n >= 2 * kLanes ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16(static_cast<__mmask32>((1u << n) - 1), p));
}
inline vh load_halves(const bf16* p, i64 n) {
  return n >= kLanes ? *reinterpret_cast<const vhu*>(p) : (vh)_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << n) - 1), p);
}
inline vf dot_both(vf sum, vf a, vf b) { return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }
#else
inline Both round_both(vf first, vf second) {
  return (Both)vcvtq_high_bf16_f32(vcvtq_low_bf16_f32((float32x4_t)first), (float32x4_t)second);
}
inline Both load_both(const bf16* p, i64 n) {
  typedef u16 Unaligned __attribute__((vector_size(kLanes * 4), may_alias, aligned(2)));
  if (n >= 2 * kLanes) return *reinterpret_cast<const Unaligned*>(p);
  Both v{};
  for (i64 i = 0; i < n; ++i) v[i] = p[i].bits;
  return v;
}
inline vh load_halves(const bf16* p, i64 n) {
  if (n >= kLanes) return *reinterpret_cast<const vhu*>(p);
  vh v{};
  for (i64 i = 0; i < n; ++i) v[i] = p[i].bits;
  return v;
}
inline vf dot_both(vf sum, vf a, vf b) { return (vf)vbfdotq_f32((float32x4_t)sum, (bfloat16x8_t)a, (bfloat16x8_t)b); }
#endif

// Two elements along the depth in one number, multiplied and added by vdpbf16ps or bfdot, which flush denormals.
struct Bf16 {
  static constexpr i64 kDeep = 2;
  template <class S> static constexpr bool kAsStored = __is_same(S, bf16);  // along the depth

  static vf across(const f32* low, const f32* high, i64 n) {
    return interleave(round_both(load_part(low, n), high ? load_part(high, n) : vf{}), Lanes{});
  }
  static vf across(const bf16* low, const bf16* high, i64 n) {
    return interleave(load_halves(low, n), high ? load_halves(high, n) : vh{}, Lanes{});
  }
  static vf along(const f32* p, i64 n) {
    if (n >= 2 * kLanes) return (vf)round_both(load(p), load(p + kLanes));
    return (vf)round_both(load_part(p, n), load_part(p + kLanes, larger<i64>(0, n - kLanes)));
  }
  static vf along(const bf16* p, i64 n) { return (vf)load_both(p, n); }
  static vf broadcast(const f32* p) { return (vf)(*reinterpret_cast<const Bits*>(p) - vi{}); }
  static vf multiply_add(vf a, vf b, vf sum) { return dot_both(sum, a, b); }

 private:
  typedef i32 Bits __attribute__((may_alias));
  // A row and the next → pairs.
  using Lanes = typename CountTo<2 * kLanes>::type;
  template <int... I> static vf interleave(Both rows, Sequence<I...>) {
    return (vf)__builtin_shufflevector(rows, rows, (I / 2 + I % 2 * kLanes)...);
  }
  template <int... I> static vf interleave(vh low, vh high, Sequence<I...>) {
    return (vf)__builtin_shufflevector(low, high, (I / 2 + I % 2 * kLanes)...);
  }
};
#else
// Without an instruction for it: f32 products of rounded operands, which are exact.
struct Bf16 : F32 {
  template <class S> static constexpr bool kAsStored = false;
  static vf across(const f32* low, const f32*, i64 n) { return round(load_part(low, n)); }
  static vf across(const bf16* low, const bf16*, i64 n) { return load_part(low, n); }
  static vf along(const f32* p, i64 n) { return round(load_part(p, n)); }
  static vf along(const bf16* p, i64 n) { return load_part(p, n); }

 private:
  static vf round(vf x) { return widen_bf16(round_bf16(x)); }
};
#endif

// One bf16 operand makes the product one of bf16; only then may the result be bf16.
template <class P, class TA, class TB, class TC> struct ProductType {
  using Product = P;
  using A = TA;
  using B = TB;
  using C = TC;
};
template <class F> inline void by_product_type(const Array& a, const Array& b, const Array& y, F f) {
  const auto by_result = [&](auto ta, auto tb) {
    using A = decltype(ta);
    using B = decltype(tb);
    if (y.dtype == DType::bf16) {
      f(ProductType<Bf16, A, B, bf16>{});
    } else {
      f(ProductType<Bf16, A, B, f32>{});
    }
  };
  const bool half_a = a.dtype == DType::bf16, half_b = b.dtype == DType::bf16;
  if (half_a && half_b) return by_result(bf16{}, bf16{});
  if (half_a) return by_result(bf16{}, f32{});
  if (half_b) return by_result(f32{}, bf16{});
  f(ProductType<F32, f32, f32, f32>{});
}

}  // namespace openmoe::OPENMOE_ISA
