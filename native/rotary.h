// The angles of rotary positions, in double precision.
#pragma once
#include "vector-math.h"

namespace openmoe::OPENMOE_ISA {

// θ^(−j/n): powers of step = θ^(−1/n), which bisection finds to the last bit of a double.
inline void frequencies(f32* to, i64 n, double theta) {
  double low = 0, high = 1 > 1 / theta ? 1 : 1 / theta;
  for (int i = 0; i < 64; ++i) {
    const double mid = (low + high) / 2;
    double power = 1;
    for (i64 j = 0; j < n; ++j) power *= mid;
    (power > 1 / theta ? high : low) = mid;
  }
  const double step = (low + high) / 2;
  double value = 1;
  for (i64 j = 0; j < n; ++j) {
    to[j] = static_cast<f32>(value);
    value *= step;
  }
}

// sin and cos of x by reduction to [−π/4, π/4] in double precision and Taylor's polynomials.
inline void sine_cosine(double x, f32* s, f32* co) {
  const double turns = x * 0.63661977236758134308;  // 2/π
  const double nearest = __builtin_floor(turns + 0.5);
  const i64 quadrant = static_cast<i64>(nearest) & 3;
  const double r = (x - nearest * 1.57079632679489655800) - nearest * 6.12323399573676603587e-17;
  const double q = r * r;
  const double sine = r * (1 + q * (-1.0 / 6 + q * (1.0 / 120 + q * (-1.0 / 5040 + q * (1.0 / 362880 - q / 39916800)))));
  const double cosine = 1 + q * (-0.5 + q * (1.0 / 24 + q * (-1.0 / 720 + q * (1.0 / 40320 - q / 3628800))));
  const double ss = quadrant & 1 ? cosine : sine, cc = quadrant & 1 ? sine : cosine;
  *s = static_cast<f32>(quadrant & 2 ? -ss : ss);
  *co = static_cast<f32>(quadrant == 1 || quadrant == 2 ? -cc : cc);
}

}  // namespace openmoe::OPENMOE_ISA
