// The register tile of the matrix product: sums of a few rows by a few vectors of columns, over the whole depth. Bound by the multipliers:
// 95–98 % of the FMA peak of a Zen 5 core on operands in L2; strides of the left operand cost nothing.
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

// The left operand, of which a tile reads one number at a time: element (i, k) is data[i·row + k·step].
struct Left {
  const f32* data;
  i64 row, step;
};

// Memory that is needed soon, fetched a cache line at a time while a tile computes: `runs` runs of `lines` lines, then nothing new.
struct Ahead {
  static constexpr i64 kLine = 64;
  const char* at;
  i64 left, lines, jump, runs;
  const Ahead* then = nullptr;
  Ahead() : at(reinterpret_cast<const char*>(this)), left(1), lines(1), jump(-kLine), runs(1) {}
  template <class S> Ahead(const S* data, i64 count, i64 step, i64 times) : at(reinterpret_cast<const char*>(data)), runs(times) {
    left = lines = ceil_div(count * static_cast<i64>(sizeof(S)), kLine);
    jump = step * static_cast<i64>(sizeof(S)) - lines * kLine;
  }
  void fetch() {
#if !defined(__wasm__)  // there is nothing to fetch with
    __builtin_prefetch(at, 0, 2);  // into L2: in L1 it would push out the panels in use
    at += kLine;
    if (--left == 0) {
      at += jump;
      left = lines;
      if (--runs == 0) *this = then ? *then : Ahead();
    }
#endif
  }
};

// c[i][j] (+)= Σ_k a(i, k) · b[k·kTileCols + j] for the rows of the kernel and j < cols <= kTileCols. Where `rounded` is given, the
// result goes there in bf16 instead.
struct Tile {
  i64 depth;  // of packed numbers
  Left a;
  f32* b;           // packed, or where the tile packs `raw` to
  const void* raw;  // an unpacked b, whole pairs of rows where the product pairs them; null where b is packed
  i64 raw_step;
  f32* c;
  i64 c_step, cols;
  bool add;
  const f32* soon = nullptr;  // the tile of c that comes next, fetched meanwhile
  bf16* rounded = nullptr;
  i64 rounded_step = 0;
  bool around = false;  // stores go around the caches: whole registers, aligned, nothing added to
};

// What a tile does besides multiplying: fetch memory that is needed soon, or pack its b from elements of type S for the tiles below.
struct Fetch {};
template <class S> struct PackFrom {
  using Source = S;
};
constexpr i64 kRowsAhead = 16;  // rows of an unpacked b on their way into L1

// Sums on their way to where they are wanted, for all but the plain case: cut off at the right edge, rounded, or around the caches. Once for
// every height of tile, as unrolled for each it would be most of the engine's code.
static __attribute__((noinline)) void store_sums(const Tile& t, i64 rows, const vf* sums) {
  const auto each = [&](auto f) {
    for (i64 i = 0; i < rows; ++i, sums += kTileVectors) {
#pragma GCC unroll 4
      for (int j = 0; j < kTileVectors; ++j) {
        if (j * kLanes < t.cols) f(i, j * kLanes, sums[j]);
      }
    }
  };
  if (t.cols == kTileCols && !t.add && t.around) {
    if (t.rounded) return each([&](i64 i, i64 j, vf sum) { put(t.rounded + i * t.rounded_step + j, sum, Around{}); });
    return each([&](i64 i, i64 j, vf sum) { put(t.c + i * t.c_step + j, sum, Around{}); });
  }
  each([&](i64 i, i64 j, vf sum) {
    const i64 lanes = t.cols - j;
    f32* c = t.c + i * t.c_step + j;
    if (t.add) sum += load_part(c, lanes);
    if (t.rounded) {
      store_part(t.rounded + i * t.rounded_step + j, sum, lanes);
    } else {
      store_part(c, sum, lanes);
    }
  });
}

// Where a tile finds its b unpacked, if it does.
template <class Also> struct Source {
  explicit Source(const Tile&) {}
};
template <class S> struct Source<PackFrom<S>> {
  const S* at;
  i64 step;
  explicit Source(const Tile& t) : at(static_cast<const S*>(t.raw)), step(t.raw_step) {}
  template <class P> inline __attribute__((always_inline)) void take(vf (&row)[kTileVectors]) {
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) {
      row[j] = P::across(at + j * kLanes, at + step + j * kLanes, kLanes);
#pragma GCC unroll 2
      for (int d = 0; d < P::kDeep; ++d) {
        if (j * kLanes * sizeof(S) % 64 == 0) __builtin_prefetch(at + (kRowsAhead + d) * step + j * kLanes);
      }
    }
    at += P::kDeep * step;
  }
};

// One number of each of several rows: a pointer for every four of them, so that the rest is in the addresses of the loads.
template <int Rows> struct LeftRows {
  static constexpr int kGroup = 4, kGroups = (Rows + kGroup - 1) / kGroup;
  const f32* at[kGroups];
  i64 row, step;
  inline __attribute__((always_inline)) explicit LeftRows(const Left& a) : row(a.row), step(a.step) {
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) at[g] = a.data + g * kGroup * row;
  }
  inline __attribute__((always_inline)) const f32* operator[](int i) const { return at[i / kGroup] + i % kGroup * row; }
  inline __attribute__((always_inline)) void advance() {
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      at[g] += step;
      asm("" : "+r"(at[g]));  // stays one pointer for each group: compilers prefer fourteen
    }
  }
};

template <class P, int Rows, class Also> void multiply_tile(const Tile& t, [[maybe_unused]] Ahead* next) {
  constexpr bool fetches = __is_same(Also, Fetch);
  vf sum[Rows][kTileVectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
    if (t.rounded) __builtin_prefetch(t.rounded + i * t.rounded_step, 1);
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) {
      sum[i][j] = vf{};
      if (!t.around && !t.rounded) __builtin_prefetch(t.soon + i * t.c_step + j * kLanes, 1);
    }
  }
  LeftRows<Rows> a(t.a);
  f32* b = t.b;
  Source<Also> raw(t);
  [[maybe_unused]] Ahead ahead;
  if constexpr (fetches) ahead = *next;
  for (i64 k = t.depth; k > 0; --k, a.advance(), b += kTileCols) {
    vf row[kTileVectors];
    if constexpr (fetches) {
      ahead.fetch();
#pragma GCC unroll 4
      for (int j = 0; j < kTileVectors; ++j) row[j] = load(b + j * kLanes);
    } else {
      raw.template take<P>(row);
#pragma GCC unroll 4
      for (int j = 0; j < kTileVectors; ++j) store(b + j * kLanes, row[j]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const vf x = P::broadcast(a[i]);
#pragma GCC unroll 4
      for (int j = 0; j < kTileVectors; ++j) sum[i][j] = P::multiply_add(x, row[j], sum[i][j]);
    }
  }
  if constexpr (fetches) *next = ahead;
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
  LeftRows<Rows> a(t.a);
  const f32* b = static_cast<const f32*>(t.raw);
  for (i64 k = 0; k < t.depth; ++k, a.advance(), b += t.raw_step) {
#pragma GCC unroll 16
    for (int j = 0; j < vectors; ++j) {
      const vf row = load(b + j * kLanes);
      if (j * kLanes % 16 == 0) __builtin_prefetch(b + ahead * t.raw_step + j * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) sum[i][j] += splat(*a[i]) * row;
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

template <class P, class S, int... I> inline void run(i64 rows, const Tile& t, Ahead* next, Sequence<I...>) {
  static constexpr void (*fetching[])(const Tile&, Ahead*) = {multiply_tile<P, I + 1, Fetch>...};
  static constexpr void (*packing[])(const Tile&, Ahead*) = {multiply_tile<P, I + 1, PackFrom<S>>...};
  (t.raw ? packing : fetching)[rows - 1](t, next);
}

template <int... I> inline void run_strip(i64 rows, const Tile& t, Sequence<I...>) {
  static constexpr void (*kernels[])(const Tile&) = {multiply_strip<I + 1>...};
  kernels[rows - 1](t);
}

}  // namespace tile

// 1 <= rows <= kTileRows; S: elements of b where it is not packed yet. Fetches `next` meanwhile, or packs.
template <class P, class S> inline void multiply_rows(i64 rows, const Tile& t, Ahead* next) {
  tile::run<P, S>(rows, t, next, CountTo<kTileRows>::type{});
}

// cols must be strip_vectors(rows) · kLanes.
inline void multiply_strip_rows(i64 rows, const Tile& t) { tile::run_strip(rows, t, CountTo<kTileRows>::type{}); }

}  // namespace openmoe::OPENMOE_ISA
