// rms_norm and its gradient. Bound by memory: rows are read once from memory and a second time from the first-level cache. Out of place
// as fast as a bare copy, which reaches 42–60 % of the bandwidth of updates in place, in place 57 % in the second-level cache and all of
// it beyond; the gradient in place 50–67 % (one Zen 5 core).
// dscale sums over rows in blocks of fixed size whose partial sums are added in order.
#include "../../native/lanes.h"

namespace openmoe::OPENMOE_ISA {
namespace norm_detail {

constexpr i64 kRows = 64;

// Σ a·b over a row, in lanes of fixed order.
inline f32 inner(const f32* a, const f32* b, i64 n) {
  vf s0{}, s1{}, s2{}, s3{};
  i64 i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    s0 += fetch(a + i, Whole{}) * get(b + i, Whole{});
    s1 += fetch(a + i + kLanes, Whole{}) * get(b + i + kLanes, Whole{});
    s2 += fetch(a + i + 2 * kLanes, Whole{}) * get(b + i + 2 * kLanes, Whole{});
    s3 += fetch(a + i + 3 * kLanes, Whole{}) * get(b + i + 3 * kLanes, Whole{});
  }
  for (; i < n; i += kLanes) s0 += load_part(a + i, n - i) * load_part(b + i, n - i);
  return hsum((s0 + s1) + (s2 + s3));
}
inline size_t grad_scratch(const Call& c) { return sizeof(f32) * c.dim(0, 1) * ceil_div(c.dim(0, 0), kRows); }

template <class Y> void forward(const Call& c) {
  const i64 N = c.dim(0, 0), D = c.dim(0, 1);
  const f32 *x = c.in<f32>(0), *scale = c.in<f32>(1), eps = c.attr(0);
  const bool around = goes_around(c, 0, D);
  Y* y = c.out<Y>(0);
  c.parallel(ceil_div(N, kRows), [=](i64 task, i32) {
    for (i64 n = task * kRows; n < smaller(N, (task + 1) * kRows); ++n) {
      const f32* row = x + n * D;
      Y* to = y + n * D;
      // An error here turns the whole row one way, which later layers may amplify: rounded once.
      const vf inv = splat(static_cast<f32>(1 / __builtin_sqrt(static_cast<double>(inner(row, row, D)) / static_cast<double>(D) + eps)));
      each_lanes(D, around, [&](i64 d, auto lanes) { put(to + d, get(row + d, lanes) * inv * get(scale + d, lanes), lanes); });
    }
    settle(around);
  });
}

constexpr i64 kTogether = 4;  // rows that share the reads of the scale and the sums for its gradient
struct Together {
  constexpr operator i64() const { return kTogether; }
};

struct Gradient {
  const f32 *x, *scale;
  f32 eps;
  i64 width;
};

// With g = dy · scale: dx = inv · (g − x · (Σ g·x) · inv² ÷ D), and `sums` += Σ_rows dy · x · inv.
template <class Y, class R> inline void add_rows(const Gradient& g, R rows, const f32* x, const Y* dy, f32* dx, f32* sums, bool around) {
  const i64 D = g.width;
  vf squares[kTogether] = {}, products[kTogether] = {};
  each_lanes(D, [&](i64 d, auto lanes) {
    const vf scale = get(g.scale + d, lanes);
    for (i64 r = 0; r < rows; ++r) {
      const i64 at = r * D + d, next = at + rows * D;
      __builtin_prefetch(x + next), __builtin_prefetch(dy + next);
      const vf v = get(x + at, lanes);
      squares[r] += v * v;
      products[r] += get(dy + at, lanes) * scale * v;
    }
  });
  f32 inverse[kTogether], along[kTogether];
  for (i64 r = 0; r < rows; ++r) {
    inverse[r] = 1.0f / __builtin_sqrtf(hsum(squares[r]) / static_cast<f32>(D) + g.eps);
    along[r] = hsum(products[r]) * inverse[r] * inverse[r] / static_cast<f32>(D);
  }
  each_lanes(D, around, [&](i64 d, auto lanes) {
    const vf scale = get(g.scale + d, lanes);
    vf sum = get(sums + d, lanes);
    for (i64 r = 0; r < rows; ++r) {
      const vf v = get(x + r * D + d, lanes), grad = get(dy + r * D + d, lanes);
      sum += grad * v * inverse[r];
      if (dx) put(dx + r * D + d, (grad * scale - v * along[r]) * inverse[r], lanes);
    }
    keep(sums + d, sum, lanes);
  });
}

constexpr i64 kColumns = 128;

template <class Y> void backward(const Call& c) {
  const i64 N = c.dim(0, 0), D = c.dim(0, 1), blocks = ceil_div(N, kRows);
  const Gradient g{c.in<f32>(0), c.in<f32>(1), c.attr(0), D};
  const Y* dy = c.in<Y>(2);
  f32 *dx = c.out<f32>(0), *dscale = c.out<f32>(1);
  f32* partial = reinterpret_cast<f32*>(c.scratch);
  const bool around = goes_around(c, 0, D);
  c.parallel(blocks, [=](i64 task, i32) {
    f32* sums = partial + task * D;
    for (i64 d = 0; d < D; ++d) sums[d] = 0;
    const i64 end = smaller(N, (task + 1) * kRows);
    for (i64 n = task * kRows; n < end; n += kTogether) {
      const i64 at = n * D, rows = smaller(kTogether, end - n);
      f32* to = dx ? dx + at : nullptr;
      if (rows == kTogether) add_rows(g, Together{}, g.x + at, dy + at, to, sums, around);
      else add_rows(g, rows, g.x + at, dy + at, to, sums, around);
    }
    settle(around);
  });
  if (!dscale) return;
  c.parallel(ceil_div(D, kColumns), [=](i64 task, i32) {
    const i64 first = task * kColumns;
    each_lanes(smaller(kColumns, D - first), [&](i64 i, auto lanes) {
      vf sum{};
      for (i64 block = 0; block < blocks; ++block) sum += get(partial + block * D + first + i, lanes);
      put(dscale + first + i, sum, lanes);
    });
  });
}

}  // namespace norm_detail

KERNEL(rms_norm) { (c.outs[0].dtype == DType::bf16 ? norm_detail::forward<bf16> : norm_detail::forward<f32>)(c); }

KERNEL_WITH_SCRATCH(rms_norm_grad, norm_detail::grad_scratch) {
  (c.ins[2].dtype == DType::bf16 ? norm_detail::backward<bf16> : norm_detail::backward<f32>)(c);
}

}  // namespace openmoe::OPENMOE_ISA
