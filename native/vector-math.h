// Elementary functions on a vector register: exp, log, tanh within 1.3 ulp, 2^x within 1.8 and sigmoid within 3.2 (measured on every
// 7th float), part loads and stores, and sums and maxima across lanes in a fixed order.
// Results below the smallest normal number are zero, as the engine's threads run with denormals flushed.
#pragma once
#include "kernel.h"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace openmoe::OPENMOE_ISA {

constexpr f32 kInfinity = __builtin_inff();
#if defined(__AVX512F__)
constexpr __mmask16 kAll = 0xffff;  // the unmasked intrinsics of GCC 12 warn about their own undefined operand
#endif

inline vi load(const i32* p) { return *reinterpret_cast<const viu*>(p); }
inline vf vmax(vf a, vf b) { return a > b ? a : b; }
inline vf vmin(vf a, vf b) { return a < b ? a : b; }
inline vf vsqrt(vf x) {
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_sqrt_ps(kAll, (__m512)x);
#elif defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)x);
#else
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}
inline vf vabs(vf x) { return (vf)((vi)x & 0x7fffffff); }

// The first n lanes from memory (all of them for n >= kLanes), zero in the others; nothing beyond p[n-1] is touched.
inline vf load_part(const f32* p, i64 n) {
  if (n >= kLanes) return load(p);
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#elif defined(__AVX2__)
  const vi lane{0, 1, 2, 3, 4, 5, 6, 7};
  return (vf)_mm256_maskload_ps(p, (__m256i)(lane < static_cast<i32>(n)));
#else
  vf v{};
  for (i64 i = 0; i < n; ++i) v[i] = p[i];
  return v;
#endif
}

inline void store_part(f32* p, vf v, i64 n) {
  if (n >= kLanes) return store(p, v);
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), (__m512)v);
#else
  for (i64 i = 0; i < n; ++i) p[i] = v[i];
#endif
}

inline vi load_part(const i32* p, i64 n) { return (vi)load_part(reinterpret_cast<const f32*>(p), n); }
inline void store(i32* p, vi v) { *reinterpret_cast<viu*>(p) = v; }
inline vi lane_numbers() {
  vi v;
  for (int l = 0; l < kLanes; ++l) v[l] = l;
  return v;
}

// 0, 1, …, N − 1 as template arguments: the lanes of a shuffle, the rows of a kernel.
template <int... I> struct Sequence {};
template <int N, int... I> struct CountTo : CountTo<N - 1, N - 1, I...> {};
template <int... I> struct CountTo<0, I...> { using type = Sequence<I...>; };

// Sum and maximum of all lanes: the upper half onto the lower half, until one is left.
template <int Half, int... L> inline vf swap_halves(vf v, Sequence<L...>) { return __builtin_shufflevector(v, v, (L ^ Half)...); }
template <int Half = kLanes / 2, class F> inline f32 fold_lanes(vf v, F f) {
  v = f(v, swap_halves<Half>(v, typename CountTo<kLanes>::type{}));
  if constexpr (Half > 1) return fold_lanes<Half / 2>(v, f);
  return v[0];
}
inline f32 hsum(vf v) {
  return fold_lanes(v, [](vf a, vf b) { return a + b; });
}
inline f32 hmax(vf v) {
  return fold_lanes(v, [](vf a, vf b) { return vmax(a, b); });
}

// x·log2(e) = n + f, |f| <= 1/2: exp(x) = 2^n · exp(r), r = x − n·ln 2 in two pieces (Cody and Waite 1980); the polynomial for
// exp(r) is the minimax one of Cephes' expf (S. Moshier, 1989), in pairs: a chain of products would take twice the latency.
inline vf vexp(vf x) {
#if defined(__AVX512F__)
  x = (vf)_mm512_maskz_max_ps(kAll, (__m512)splat(-88.f), _mm512_maskz_min_ps(kAll, (__m512)splat(89.f), (__m512)x));  // NaN passes through both
#endif
  const vf shifted = x * 1.44269504088896341f + 12582912.f;  // 1.5·2^23: the low bits of the sum hold n
  const vf n = shifted - 12582912.f;
  vf r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  const vf square = r * r;
  vf p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * square + (8.3334519073e-3f * r + 4.1665795894e-2f);
  p = p * square + (1.6666665459e-1f * r + 5.0000001201e-1f);
  p = p * square + (r + 1.f);
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_scalef_ps(kAll, (__m512)p, (__m512)n);
#else
  vf y = (vf)((vi)p + ((vi)shifted << 23));  // 2^n is added to the exponent bits
  y = x >= -87.3365447f ? y : vf{};
  return x <= 88.7228394f ? y : x * kInfinity;  // overflow, or NaN
#endif
}

// 2^x for x below 127, within 1.8 ulp: half the work of vexp, as its argument is n + f already. The polynomial is the minimax one in
// ulps with p(0) = 1 (Lawson's algorithm), so that whole powers are exact.
inline vf vexp2(vf x) {
  const vf shifted = x + 12582912.f;  // 1.5·2^23: rounds to n, in the low bits of the sum
  const vf n = shifted - 12582912.f, f = x - n;
  vf p = splat(1.322570606e-3f);
  p = p * f + 9.671762586e-3f;
  p = p * f + 5.550891533e-2f;
  p = p * f + 2.402223647e-1f;
  p = p * f + 6.931468248e-1f;
  p = p * f + 1.f;
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_scalef_ps(_mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(-126.f), _CMP_NLT_UQ), (__m512)p, (__m512)n);
#else
  return x < -126.f ? vf{} : p * (vf)(((vi)shifted << 23) + 0x3f800000);  // a product, so that NaN stays NaN
#endif
}

// x = 2^e · m with m in [√½, √2): log x = e·ln 2 + log m, the latter by Cephes' logf polynomial.
inline vf vlog(vf x) {
  const auto tiny = x < 1.17549435e-38f;
  const vf scaled = tiny ? x * 8388608.f : x;
  const vi bits = (vi)scaled;
  const vi e = ((bits - 0x3f3504f3) >> 23);  // 0x3f3504f3 = √½
  const vf m = (vf)(bits - (e << 23)) - 1.f;
  const vf k = __builtin_convertvector(e, vf) - (tiny ? splat(23.f) : vf{});
  const vf z = m * m;
  vf p = splat(7.0376836292e-2f);
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  vf y = p * m * z + k * -2.12194440e-4f - z * 0.5f;
  y = (m + y) + k * 0.693359375f;
  y = x < kInfinity ? y : x;                                  // +inf, NaN
  y = x > 0.f ? y : (x == 0.f ? splat(-kInfinity) : (x == x ? splat(__builtin_nanf("")) : x));
  return y;
}

inline vf vsigmoid(vf x) { return 1.f / (1.f + vexp(-x)); }

// Near zero an odd polynomial (Cephes' tanhf), elsewhere 1 − 2/(exp 2|x| + 1) with the sign of x.
inline vf vtanh(vf x) {
  const vf a = vabs(x);
  const vf z = x * x;
  vf p = splat(-5.70498872745e-3f);
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const vf near = p * z * x + x;
  const vf far = 1.f - 2.f / (vexp(a + a) + 1.f);
  const vi sign = (vi)x & (i32)0x80000000;
  const vf signed_far = (vf)((vi)far | sign);
  return a < 0.625f ? near : (x == x ? signed_far : x);
}

}  // namespace openmoe::OPENMOE_ISA
