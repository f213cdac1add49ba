// The register tile of the matrix product: sums of a few rows by a few vectors of columns, over the whole depth.
#pragma once
#include "lanes.h"
#include "product.h"

namespace openmoe::OPENMOE_ISA {

// The register tile: rows × (vectors · lanes) sums, the vectors of b, and one broadcast element of a.
#if defined(__AVX512F__)
constexpr int kTileRows = 14, kTileVectors = 2;
#elif defined(__AVX2__)
constexpr int kTileRows = 6, kTileVectors = 2;
#elif defined(__wasm__)
constexpr int kTileRows = 3, kTileVectors = 3;  // 9 sums, 3 of b and 1 of a are what V8 keeps in registers: 8×3 is half as fast
#else
constexpr int kTileRows = 8, kTileVectors = 3;
#endif
constexpr i64 kTileCols = kTileVectors * kLanes;

// Memory that is needed soon, fetched a cache line at a time while a tile computes: `runs` runs of `lines` lines.
struct Ahead {
  static constexpr i64 kLine = 64;
  const char* at;
  i64 left, lines, jump, runs;
  Ahead() : at(nullptr), left(0), lines(0), jump(0), runs(0) {}
  template <class S> Ahead(const S* data, i64 count, i64 step, i64 times) : at(reinterpret_cast<const char*>(data)), runs(times) {
    left = lines = ceil_div(count * static_cast<i64>(sizeof(S)), kLine);
    jump = step * static_cast<i64>(sizeof(S)) - lines * kLine;
  }
  void fetch() {
    __builtin_prefetch(at, 0, 2);  // into L2: in L1 it would push out the panels in use
    at += kLine;
    if (--left == 0) {
      at += jump;
      left = lines;
      --runs;
    }
  }
};

// c[i][j] (+)= Σ_k a[k·a_step + i] · b[k·b_step + j] for the rows of the kernel and j < cols <= kTileCols. Where `rounded` is given,
// the result goes there in bf16 instead.
struct Tile {
  i64 depth;  // of packed numbers
  const f32* a;
  i64 a_step;
  const f32* b;  // kTileCols may be read of each row
  i64 b_step;
  f32* c;
  i64 c_step, cols;
  bool add;
  bf16* rounded = nullptr;
  i64 rounded_step = 0;
  f32* keep = nullptr;  // where the rows of b are packed, step kTileCols
  bool around = false;  // stores go around the caches: whole registers, aligned, nothing added to
};

// What a tile does besides multiplying: nothing, fetching memory that is needed soon, or packing its b for the tiles below.
enum class Aside { none, fetch, pack };
constexpr i64 kRowsAhead = 16;  // rows of an unpacked b on their way into L1

// Sums on their way to where they are wanted, for all but the plain case: cut off at the right edge, rounded, or around the caches. Once for
// every height of tile, as unrolled for each it would be most of the engine's code.
static __attribute__((noinline)) void store_sums(const Tile& t, i64 rows, const vf* sums) {
  for (i64 i = 0; i < rows; ++i) {
    for (i64 j = 0; j < kTileCols && j < t.cols; j += kLanes, ++sums) {
      const i64 lanes = t.cols - j;
      f32* c = t.c + i * t.c_step + j;
      if (t.around && lanes >= kLanes) {
        put(c, *sums, Around{});
        continue;
      }
      const vf sum = t.add ? load_part(c, lanes) + *sums : *sums;
      if (t.rounded) {
        store_part(t.rounded + i * t.rounded_step + j, sum, lanes);
      } else {
        store_part(c, sum, lanes);
      }
    }
    sums += kTileVectors - smaller<i64>(kTileVectors, ceil_div(t.cols, kLanes));
  }
}

template <class P, int Rows, Aside Also> void multiply_tile(const Tile& t, [[maybe_unused]] Ahead* next) {
  vf sum[Rows][kTileVectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
    if (t.rounded) __builtin_prefetch(t.rounded + i * t.rounded_step, 1);
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) {
      sum[i][j] = vf{};
      if (!t.around && !t.rounded) __builtin_prefetch(t.c + i * t.c_step + j * kLanes, 1);
    }
  }
  const f32 *a = t.a, *b = t.b;
  const i64 a_step = t.a_step, b_step = t.b_step;
  [[maybe_unused]] Ahead ahead;
  [[maybe_unused]] f32* keep = t.keep;
  if constexpr (Also == Aside::fetch) ahead = *next;
  for (i64 k = t.depth; k > 0; --k, a += a_step, b += b_step) {
    if constexpr (Also == Aside::fetch) ahead.fetch();
    vf row[kTileVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) {
      row[j] = load(b + j * kLanes);
      if constexpr (Also == Aside::pack) {
        store(keep + j * kLanes, row[j]);
        if (j * kLanes % 16 == 0) __builtin_prefetch(b + kRowsAhead * b_step + j * kLanes);
      }
    }
    if constexpr (Also == Aside::pack) keep += kTileCols;
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const vf x = P::broadcast(a + i);
#pragma GCC unroll 4
      for (int j = 0; j < kTileVectors; ++j) sum[i][j] = P::multiply_add(x, row[j], sum[i][j]);
    }
  }
  if constexpr (Also == Aside::fetch) *next = ahead;
  if (t.rounded || t.around || t.cols != kTileCols) return store_sums(t, Rows, &sum[0][0]);
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) {
      f32* c = t.c + i * t.c_step + j * kLanes;
      store(c, t.add ? load(c) + sum[i][j] : sum[i][j]);
    }
  }
}

// The same for few rows, where packing b would cost as much as the product: b is read where it lies, in strips as wide as the
// registers allow.
constexpr int strip_vectors(i64 rows) {
  const int vectors = kTileRows * kTileVectors / static_cast<int>(rows);
  return vectors < 16 ? vectors : 16;
}

template <int Rows> void multiply_strip(const Tile& t) {
  constexpr int vectors = strip_vectors(Rows);
  constexpr i64 ahead = 12;  // rows of b on their way from memory
  vf sum[Rows][vectors] = {};
  const f32 *a = t.a, *b = t.b;
  for (i64 k = 0; k < t.depth; ++k, a += t.a_step, b += t.b_step) {
#pragma GCC unroll 16
    for (int j = 0; j < vectors; ++j) {
      const vf row = load(b + j * kLanes);
      if (j * kLanes % 16 == 0) __builtin_prefetch(b + ahead * t.b_step + j * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) sum[i][j] += splat(a[i]) * row;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < vectors; ++j) {
      f32* c = t.c + i * t.c_step + j * kLanes;
      store(c, t.add ? load(c) + sum[i][j] : sum[i][j]);
    }
  }
}

namespace tile {

template <class P, int... I> inline void run(i64 rows, const Tile& t, Ahead* next, Sequence<I...>) {
#if defined(__wasm__)
  next = nullptr;  // there is nothing to fetch with
#endif
  static constexpr void (*kernels[])(const Tile&, Ahead*) = {multiply_tile<P, I + 1, Aside::none>...};
  static constexpr void (*fetching[])(const Tile&, Ahead*) = {multiply_tile<P, I + 1, Aside::fetch>...};
  if constexpr (P::kAsStored) {
    static constexpr void (*packing[])(const Tile&, Ahead*) = {multiply_tile<P, I + 1, Aside::pack>...};
    if (t.keep) return packing[rows - 1](t, next);
  }
  (next && next->runs > 0 ? fetching : kernels)[rows - 1](t, next);
}

template <int... I> inline void run_strip(i64 rows, const Tile& t, Sequence<I...>) {
  static constexpr void (*kernels[])(const Tile&) = {multiply_strip<I + 1>...};
  kernels[rows - 1](t);
}

}  // namespace tile

// 1 <= rows <= kTileRows. Fetches `next` meanwhile, if there is such.
template <class P = F32> inline void multiply_rows(i64 rows, const Tile& t, Ahead* next = nullptr) {
  tile::run<P>(rows, t, next, CountTo<kTileRows>::type{});
}

// cols must be strip_vectors(rows) · kLanes.
inline void multiply_strip_rows(i64 rows, const Tile& t) { tile::run_strip(rows, t, CountTo<kTileRows>::type{}); }

}  // namespace openmoe::OPENMOE_ISA
