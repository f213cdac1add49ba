// adafactor, factored and not. Bound by memory: gradient and parameter are read twice and the parameter is written once. Counted
// as once each, 68–81 % of update bandwidth where a matrix stays in the caches between both (16×256×1024), 30–39 % where it does not
// (32128×768), of the 60 % that five passes for three allow (Zen 5, two threads).
// Many matrices (experts) are shared out whole, so that the later reads come from the cache of the thread that made the first; few
// are done one after another by all threads.
// All sums run over blocks of fixed size whose partial results are added in order.
#include "../../native/lanes.h"

namespace openmoe::OPENMOE_ISA {
namespace adafactor_detail {

constexpr i64 kEntries = 65536;  // of a block of whole matrix rows
constexpr i64 kTogether = 4;     // rows whose squares are added to the columns at once
struct Together {
  constexpr operator i64() const { return kTogether; }
};
constexpr i64 kWide = 16384;    // columns beyond which so many rows would not stay in the second-level cache
constexpr i64 kColumns = 1024;  // of a strip
inline i64 block_rows(i64 C) { return larger<i64>(kTogether, kEntries / larger<i64>(1, C)); }
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
  const i64 blocks = ceil_div(R, block_rows(C));
  return round_up(sizeof(double) * (2 * blocks + ceil_div(C, kColumns)) + sizeof(f32) * (2 * blocks * C + 2 * (C + R)), 64);
}
inline size_t factored_scratch(const Call& c) {
  return matrix_scratch(c.index_attr(1), c.index_attr(2)) * (c.index_attr(0) >= kMany ? c.threads() : 1);
}
inline size_t plain_scratch(const Call& c) {
  const i64 N = c.ins[0].size() / larger<i64>(1, c.index_attr(0));
  return sizeof(double) * 2 * ceil_div(N, kBlock) + sizeof(f32) * N;
}

// Lanes beyond a row's end must not count: the square of nothing is eps1.
inline vf only(vf v, Whole) { return v; }
inline vf only(vf v, i64 n) {
  for (i64 k = n; k < kLanes; ++k) v[k] = 0;
  return v;
}

// One matrix of R × C. each(count, f) calls f(index) for all indices, on this thread or on all.
template <class Each> void update_matrix(const Call& c, i64 b, char* scratch, Each each) {
  const i64 R = c.index_attr(1), C = c.index_attr(2), high = block_rows(C), blocks = ceil_div(R, high), strips = ceil_div(C, kColumns);
  const Limits limits{c.attr(3), c.attr(4), c.attr(5)};
  const f32 lr = c.in<f32>(4)[0], keep = c.in<f32>(5)[0];
  double* w_squares = reinterpret_cast<double*>(scratch);  // [blocks]
  double* row_sums = w_squares + blocks;                   // [blocks] of row statistics
  double* y_squares = row_sums + blocks;                   // [strips]
  f32* columns = reinterpret_cast<f32*>(y_squares + strips);  // [blocks][2][C] sums by column of g² and of g² ÷ row statistic
  f32* col_scale = columns + 2 * blocks * C;
  f32* row_scale = col_scale + C;
  const f32 *w = c.in<f32>(0) + b * R * C, *g = c.in<f32>(1) + b * R * C;
  f32* row_stat = c.out<f32>(1) ? c.out<f32>(1) + b * R : row_scale + R;  // statistics that nobody reads still shape the update
  f32* col_stat = c.out<f32>(2) ? c.out<f32>(2) + b * C : row_scale + 2 * R;
  const f32 *old_row = c.in<f32>(2) + b * R, *old_col = c.in<f32>(3) + b * C;
  const bool updates = c.out<f32>(0) != nullptr;
  const i64 together = C > kWide ? 1 : kTogether;

  // Pass 1, of gradient and parameter: a row's statistic is known after the row, while it is still in the nearest cache.
  each(blocks, [=](i64 block) {
    f32 *sums = columns + 2 * block * C, *scaled = sums + C;
    for (i64 d = 0; d < 2 * C; ++d) sums[d] = 0;
    double of_w = 0, of_rows = 0;
    for (i64 r = block * high; r < smaller(R, (block + 1) * high); r += together) {
      const i64 count = smaller(together, smaller(R, (block + 1) * high) - r);
      f32 inverse[kTogether];
      const auto by_row = [&](auto rows) {
        vf total[kTogether] = {}, parameter[kTogether] = {};
        each_lanes(C, [&](i64 d, auto lanes) {
          for (i64 k = 0; k < rows; ++k) {
            const vf x = fetch(g + (r + k) * C + d, lanes), p = fetch(w + (r + k) * C + d, lanes);
            total[k] += only(x * x + limits.eps1, lanes);
            parameter[k] += p * p;
          }
        });
        for (i64 k = 0; k < rows; ++k) {
          const f32 stat = keep * old_row[r + k] + (1 - keep) * (hsum(total[k]) / static_cast<f32>(C));
          row_stat[r + k] = stat;
          inverse[k] = 1 / stat;
          of_rows += stat;
          of_w += hsum(parameter[k]);
        }
      };
      const auto by_column = [&](auto rows) {
        each_lanes(C, [&](i64 d, auto lanes) {
          vf sum = get(sums + d, lanes), weighted = get(scaled + d, lanes);
          for (i64 k = 0; k < rows; ++k) {
            const vf x = get(g + (r + k) * C + d, lanes), square = x * x;
            sum += square + limits.eps1;
            weighted += square * inverse[k];
          }
          put(sums + d, sum, lanes);
          put(scaled + d, weighted, lanes);
        });
      };
      if (count == kTogether) by_row(Together{}), by_column(Together{});
      else by_row(count), by_column(count);
    }
    w_squares[block] = of_w;
    row_sums[block] = of_rows;
  });
  double of_w = 0, of_rows = 0, of_y = 0;
  for (i64 block = 0; block < blocks; ++block) {
    of_w += w_squares[block];
    of_rows += row_sums[block];
  }
  const f32 row_mean = static_cast<f32>(of_rows / static_cast<double>(R));
  // Σ y² = mean of the row statistics · Σ_columns (Σ_rows g² ÷ row statistic) ÷ column statistic.
  each(strips, [=](i64 strip) {
    const i64 first = strip * kColumns, width = smaller(kColumns, C - first);
    double squares = 0;
    each_lanes(width, [&](i64 i, auto lanes) {
      const i64 d = first + i;
      vf sum{}, weighted{};
      for (i64 block = 0; block < blocks; ++block) {
        sum += get(columns + 2 * block * C + d, lanes);
        weighted += get(columns + (2 * block + 1) * C + d, lanes);
      }
      const vf stat = keep * get(old_col + d, lanes) + (1 - keep) * (sum / static_cast<f32>(R));
      put(col_stat + d, stat, lanes);
      put(col_scale + d, 1.0f / vsqrt(stat), lanes);
      squares += hsum(only(weighted / stat, lanes));
    });
    y_squares[strip] = squares;
  });
  if (!updates) return;
  for (i64 strip = 0; strip < strips; ++strip) of_y += y_squares[strip];
  const f32 size = step_size(lr, of_w, of_y * row_mean, R * C, limits);

  // Pass 2: the update, from the end, where most is still in the caches.
  f32* to = c.out<f32>(0) + b * R * C;
  each(blocks, [=](i64 index) {
    const i64 block = blocks - 1 - index;
    for (i64 r = block * high; r < smaller(R, (block + 1) * high); ++r) {
      const f32 scale = size / __builtin_sqrtf(row_stat[r] / row_mean);
      each_lanes(C, [&](i64 d, auto lanes) {
        put(to + r * C + d, fetch(w + r * C + d, lanes) - fetch(g + r * C + d, lanes) * (scale * get(col_scale + d, lanes)), lanes);
      });
    }
  });
}

}  // namespace adafactor_detail

KERNEL_WITH_SCRATCH(adafactor_factored, adafactor_detail::factored_scratch) {
  using namespace adafactor_detail;
  const i64 B = c.index_attr(0);
  const auto on_all = [&](i64 count, auto f) { c.parallel(count, [=](i64 index, i32) { f(index); }); };
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
    c.parallel(blocks, [=](i64 block, i32) {
      vf sw{}, sy{};
      const i64 end = smaller(N, (block + 1) * kBlock);
      const i64 start = block * kBlock;
      each_lanes(end - start, [&](i64 d, auto lanes) {
        const i64 i = start + d;
        const vf x = fetch(w + i, lanes), grad = fetch(g + i, lanes);
        const vf stat = fetch(old + i, lanes) * keep + (grad * grad + limits.eps1) * (1 - keep);
        put(v + i, stat, lanes);
        sw += x * x;
        sy += only(grad * grad / stat, lanes);
      });
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
    c.parallel(blocks, [=](i64 block, i32) {
      const i64 start = block * kBlock;
      each_lanes(smaller(kBlock, N - start), [&](i64 d, auto lanes) {
        const i64 i = start + d;
        put(to + i, fetch(w + i, lanes) - size * (fetch(g + i, lanes) / vsqrt(fetch(v + i, lanes))), lanes);
      });
    });
  }
}

}  // namespace openmoe::OPENMOE_ISA
