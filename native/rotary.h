// The angles of rotary positions, in double precision.
#pragma once
#include "vector-math.h"

namespace openmoe::OPENMOE_ISA {

// base^count by squaring.
inline double power(double base, i64 count) {
  double result = 1;
  for (; count > 0; count >>= 1, base *= base) {
    if (count & 1) result *= base;
  }
  return result;
}

// θ^(−j/n): powers of step = θ^(−1/n), which bisection finds to the last bits of a double.
inline void frequencies(f32* to, i64 n, double theta) {
  double low = 0, high = 1 > 1 / theta ? 1 : 1 / theta;
  for (int i = 0; i < 64; ++i) {
    const double mid = (low + high) / 2;
    (power(mid, n) > 1 / theta ? high : low) = mid;
  }
  const double step = (low + high) / 2;
  double value = 1;
  for (i64 j = 0; j < n; ++j) {
    to[j] = static_cast<f32>(value);
    value *= step;
  }
}

// Half as many doubles as a register has lanes of 4 bytes.
typedef double vd __attribute__((vector_size(kLanes * 4)));
typedef i64 vl __attribute__((vector_size(kLanes * 4)));
typedef f32 half_vf __attribute__((vector_size(kLanes * 2)));
constexpr i64 kDoubles = kLanes / 2;

// sin and cos of x by reduction to [−π/4, π/4] in double precision and Taylor's polynomials; |x| below 2^50.
inline void sine_cosine(vd x, f32* sines, f32* cosines) {
  const vd shifted = x * 0.63661977236758134308 + 6755399441055744.0;  // 2/π; 1.5·2^52: the low bits of the sum hold the quadrant
  const vl quadrant = (vl)shifted;
  const vd nearest = shifted - 6755399441055744.0;
  const vd r = (x - nearest * 1.57079632679489655800) - nearest * 6.12323399573676603587e-17;
  const vd q = r * r;
  const vd sine = r * (1 + q * (-1.0 / 6 + q * (1.0 / 120 + q * (-1.0 / 5040 + q * (1.0 / 362880 - q / 39916800)))));
  const vd cosine = 1 + q * (-0.5 + q * (1.0 / 24 + q * (-1.0 / 720 + q * (1.0 / 40320 - q / 3628800))));
  const auto odd = (quadrant & 1) != 0;
  const vd s = odd ? cosine : sine, co = odd ? sine : cosine;
  const half_vf narrow_s = __builtin_convertvector((quadrant & 2) != 0 ? -s : s, half_vf);
  const half_vf narrow_c = __builtin_convertvector(((quadrant + 1) & 2) != 0 ? -co : co, half_vf);
  __builtin_memcpy(sines, &narrow_s, sizeof narrow_s);
  __builtin_memcpy(cosines, &narrow_c, sizeof narrow_c);
}

// Sines and cosines of position·inverse[j] for j < n.
inline void angles_of(double position, const f32* inverse, i64 n, f32* sines, f32* cosines) {
  for (i64 j = 0; j < n; j += kDoubles) {
    const size_t bytes = static_cast<size_t>(smaller(kDoubles, n - j)) * sizeof(f32);
    half_vf frequency{};
    f32 s[kDoubles], co[kDoubles];
    __builtin_memcpy(&frequency, inverse + j, bytes);
    sine_cosine(position * __builtin_convertvector(frequency, vd), s, co);
    __builtin_memcpy(sines + j, s, bytes);
    __builtin_memcpy(cosines + j, co, bytes);
  }
}

}  // namespace openmoe::OPENMOE_ISA
