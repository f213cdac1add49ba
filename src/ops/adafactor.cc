// adafactor, factored and not. Bound by memory: the gradient is read three times, the parameter twice and written once. Many
// matrices (experts) are shared out whole, so that the later reads come from the cache of the thread that made the first; few are
// done one after another by all threads.
// All sums run over blocks of fixed size whose partial results are added in order.
#include "../../native/vector-math.h"

namespace openmoe::OPENMOE_ISA {
namespace adafactor_detail {

constexpr i64 kRows = 16;     // matrix rows of a block
constexpr i64 kBlock = 4096;  // entries of a block of an unfactored parameter

struct Limits {
  f32 eps1, eps2, clip;
};

// lr · max(rms(w), eps2) ÷ max(1, rms(y) ÷ clip)
inline f32 step_size(f32 lr, double w_squares, double y_squares, i64 n, const Limits& l) {
  const f32 w = static_cast<f32>(__builtin_sqrt(w_squares / static_cast<double>(n)));
  const f32 y = static_cast<f32>(__builtin_sqrt(y_squares / static_cast<double>(n)));
  return lr * larger(w, l.eps2) / larger(1.0f, y / l.clip);
}

// From so many matrices on each thread does whole ones.
constexpr i64 kMany = 8;

// Bytes of scratch of one matrix.
inline size_t matrix_scratch(i64 R, i64 C) {
  const i64 blocks = ceil_div(R, kRows);
  return round_up(sizeof(f32) * (blocks * C + 2 * (C + R)) + sizeof(double) * 2 * blocks, 64);
}
inline size_t factored_scratch(const Call& c) {
  return matrix_scratch(c.index_attr(1), c.index_attr(2)) * (c.index_attr(0) >= kMany ? c.threads() : 1);
}
inline size_t plain_scratch(const Call& c) {
  const i64 N = c.ins[0].size() / larger<i64>(1, c.index_attr(0));
  return sizeof(double) * 2 * ceil_div(N, kBlock) + sizeof(f32) * N;
}

// One matrix of R × C. each(count, f) calls f(index) for all indices, on this thread or on all.
template <class Each> void update_matrix(const Call& c, i64 b, char* scratch, Each each) {
  const i64 R = c.index_attr(1), C = c.index_attr(2), blocks = ceil_div(R, kRows);
  const Limits limits{c.attr(3), c.attr(4), c.attr(5)};
  const f32 lr = c.in<f32>(4)[0], keep = c.in<f32>(5)[0];
  double* squares = reinterpret_cast<double*>(scratch);  // [blocks][2]: of w, of the update
  f32* columns = reinterpret_cast<f32*>(squares + 2 * blocks);  // [blocks][C] sums of g² by column
  f32* col_scale = columns + blocks * C;
  f32* row_scale = col_scale + C;
  const f32 *w = c.in<f32>(0) + b * R * C, *g = c.in<f32>(1) + b * R * C;
  f32* row_stat = c.out<f32>(1) ? c.out<f32>(1) + b * R : row_scale + R;  // statistics that nobody reads still shape the update
  f32* col_stat = c.out<f32>(2) ? c.out<f32>(2) + b * C : row_scale + 2 * R;
  const f32 *old_row = c.in<f32>(2) + b * R, *old_col = c.in<f32>(3) + b * C;

  // Pass 1: squared gradients by row and, per block, by column.
  each(blocks, [&](i64 block) {
    f32* sums = columns + block * C;
    for (i64 d = 0; d < C; ++d) sums[d] = 0;
    for (i64 r = block * kRows; r < smaller(R, (block + 1) * kRows); ++r) {
      vf total{};
      for (i64 d = 0; d < C; d += kLanes) {
        const vf x = load_part(g + r * C + d, C - d);
        const vf square = x * x + limits.eps1;
        const i64 n = C - d;
        store_part(sums + d, load_part(sums + d, n) + square, n);
        if (n >= kLanes) total += square;
        else
          for (i64 k = 0; k < n; ++k) total[k] += square[k];
      }
      row_stat[r] = keep * old_row[r] + (1 - keep) * (hsum(total) / static_cast<f32>(C));
    }
  });
  for (i64 block = 1; block < blocks; ++block)
    for (i64 d = 0; d < C; ++d) columns[d] += columns[block * C + d];
  double mean = 0;
  for (i64 r = 0; r < R; ++r) mean += row_stat[r];
  const f32 row_mean = static_cast<f32>(mean / static_cast<double>(R));
  for (i64 d = 0; d < C; ++d) {
    col_stat[d] = keep * old_col[d] + (1 - keep) * (columns[d] / static_cast<f32>(R));
    col_scale[d] = 1 / __builtin_sqrtf(col_stat[d]);
  }
  for (i64 r = 0; r < R; ++r) row_scale[r] = 1 / __builtin_sqrtf(row_stat[r] / row_mean);
  if (!c.out<f32>(0)) return;
  f32* to = c.out<f32>(0) + b * R * C;

  // Pass 2: sizes of the parameter and of the update.
  each(blocks, [&](i64 block) {
    double of_w = 0, of_y = 0;
    for (i64 r = block * kRows; r < smaller(R, (block + 1) * kRows); ++r) {
      vf sw{}, sy{};
      for (i64 d = 0; d < C; d += kLanes) {
        const vf x = load_part(w + r * C + d, C - d);
        const vf y = load_part(g + r * C + d, C - d) * row_scale[r] * load_part(col_scale + d, C - d);
        sw += x * x;
        sy += y * y;
      }
      of_w += hsum(sw);
      of_y += hsum(sy);
    }
    squares[2 * block] = of_w;
    squares[2 * block + 1] = of_y;
  });
  double of_w = 0, of_y = 0;
  for (i64 block = 0; block < blocks; ++block) {
    of_w += squares[2 * block];
    of_y += squares[2 * block + 1];
  }
  const f32 size = step_size(lr, of_w, of_y, R * C, limits);

  // Pass 3: the update.
  each(blocks, [&](i64 block) {
    for (i64 r = block * kRows; r < smaller(R, (block + 1) * kRows); ++r)
      for (i64 d = 0; d < C; d += kLanes) {
        const i64 n = C - d, at = r * C + d;
        const vf y = load_part(g + at, n) * row_scale[r] * load_part(col_scale + d, n);
        store_part(to + at, load_part(w + at, n) - y * size, n);
      }
  });
}

}  // namespace adafactor_detail

KERNEL_WITH_SCRATCH(adafactor_factored, adafactor_detail::factored_scratch) {
  using namespace adafactor_detail;
  const i64 B = c.index_attr(0);
  const auto on_all = [&](i64 count, auto f) { c.parallel(count, [&](i64 index, i32) { f(index); }); };
  const auto here = [](i64 count, auto f) {
    for (i64 i = 0; i < count; ++i) f(i);
  };
  if (B >= kMany) {
    const size_t own = matrix_scratch(c.index_attr(1), c.index_attr(2));
    return c.parallel(B, [&](i64 b, i32 worker) { update_matrix(c, b, c.scratch + worker * own, here); });
  }
  for (i64 b = 0; b < B; ++b) update_matrix(c, b, c.scratch, on_all);
}

KERNEL_WITH_SCRATCH(adafactor, adafactor_detail::plain_scratch) {
  using namespace adafactor_detail;
  const i64 B = c.index_attr(0);
  const Limits limits{c.attr(1), c.attr(2), c.attr(3)};
  if (c.ins[0].size() == 0) return;
  const i64 N = c.ins[0].size() / B, blocks = ceil_div(N, kBlock);
  const f32 lr = c.in<f32>(3)[0], keep = c.in<f32>(4)[0];
  double* squares = reinterpret_cast<double*>(c.scratch);
  f32* unread = reinterpret_cast<f32*>(squares + 2 * blocks);
  for (i64 b = 0; b < B; ++b) {
    const f32 *w = c.in<f32>(0) + b * N, *g = c.in<f32>(1) + b * N, *old = c.in<f32>(2) + b * N;
    f32* v = c.out<f32>(1) ? c.out<f32>(1) + b * N : unread;
    c.parallel(blocks, [&](i64 block, i32) {
      vf sw{}, sy{};
      const i64 end = smaller(N, (block + 1) * kBlock);
      for (i64 i = block * kBlock; i < end; i += kLanes) {
        const i64 n = end - i;
        const vf x = load_part(w + i, n), grad = load_part(g + i, n);
        const vf stat = load_part(old + i, n) * keep + (grad * grad + limits.eps1) * (1 - keep);
        store_part(v + i, stat, n);
        sw += x * x;
        if (n >= kLanes) sy += grad * grad / stat;
        else
          for (i64 k = 0; k < n; ++k) sy[k] += grad[k] * grad[k] / stat[k];
      }
      squares[2 * block] = hsum(sw);
      squares[2 * block + 1] = hsum(sy);
    });
    double of_w = 0, of_y = 0;
    for (i64 block = 0; block < blocks; ++block) {
      of_w += squares[2 * block];
      of_y += squares[2 * block + 1];
    }
    if (!c.out<f32>(0)) continue;
    f32* to = c.out<f32>(0) + b * N;
    const f32 size = step_size(lr, of_w, of_y, N, limits);
    c.parallel(blocks, [&](i64 block, i32) {
      for (i64 i = block * kBlock; i < smaller(N, (block + 1) * kBlock); ++i) to[i] = w[i] - size * (g[i] / __builtin_sqrtf(v[i]));
    });
  }
}

}  // namespace openmoe::OPENMOE_ISA
