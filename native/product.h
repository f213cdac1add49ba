// What a matrix product multiplies: f32, or bf16 with sums in f32. Packed panels hold numbers of four bytes; a policy says how many
// elements along the depth are one of them, how they are made from either type in memory, and how a register of them is multiplied.
// bf16 pairs through the tile of 14 × 32: 81–87 % of the bf16 peak of a Zen 5 core for 16 training shapes, packing and rounding included.
#pragma once
#include "bf16.h"
#if defined(__AVX512BF16__)
#include <immintrin.h>
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

#if defined(__AVX512BF16__)
// Two elements along the depth in one number, multiplied and added by vdpbf16ps, which flushes denormals.
struct Bf16 {
  static constexpr i64 kDeep = 2;
  template <class S> static constexpr bool kAsStored = __is_same(S, bf16);  // along the depth

  static vf across(const f32* low, const f32* high, i64 n) {
    const __m512 first = (__m512)load_part(low, n), second = high ? (__m512)load_part(high, n) : __m512{};
    return interleave((Both)_mm512_cvtne2ps_pbh(second, first), Lanes{});
  }
  static vf across(const bf16* low, const bf16* high, i64 n) {
    return interleave(halves(low, n), high ? halves(high, n) : vh{}, Lanes{});
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
  static vh halves(const bf16* p, i64 n) {
    if (n >= kLanes) return *reinterpret_cast<const vhu*>(p);
    return (vh)_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << n) - 1), p);
  }
  // A row and the next → pairs.
  typedef u16 Both __attribute__((vector_size(64)));
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
