// bf16, the upper half of an f32: vectors of it are widened when loaded and rounded to the nearest even when stored.
#pragma once
#include "vector-math.h"

namespace openmoe::OPENMOE_ISA {

typedef u16 vh __attribute__((vector_size(kLanes * 2), may_alias));
typedef u16 vhu __attribute__((vector_size(kLanes * 2), may_alias, aligned(2)));
typedef uint32_t vw __attribute__((vector_size(kLanes * 4), may_alias));

// f32 → the bits of the nearest bf16; a NaN stays one.
inline vh round_bf16(vf x) {
#if defined(__AVX512BF16__)
  return (vh)_mm512_cvtneps_pbh((__m512)x);  // and what is below the smallest normal number becomes zero
#else
  const vw bits = (vw)x;
  const vw rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const vw quiet = (bits >> 16) | 0x40;
  return __builtin_convertvector(x == x ? rounded : quiet, vh);
#endif
}
inline vf widen_bf16(vh x) { return (vf)(__builtin_convertvector(x, vw) << 16); }

inline vf load(const bf16* p) { return widen_bf16(*reinterpret_cast<const vhu*>(p)); }
inline void store(bf16* p, vf v) { *reinterpret_cast<vhu*>(p) = round_bf16(v); }

// The first n lanes; nothing beyond them is touched, and lanes beyond are zero.
inline vf load_part(const bf16* p, i64 n) {
  if (n >= kLanes) return load(p);
  vh v{};
  for (i64 i = 0; i < n; ++i) v[i] = p[i].bits;
  return widen_bf16(v);
}
inline void store_part(bf16* p, vf v, i64 n) {
  if (n >= kLanes) return store(p, v);
  const vh rounded = round_bf16(v);
  for (i64 i = 0; i < n; ++i) p[i].bits = rounded[i];
}

}  // namespace openmoe::OPENMOE_ISA
