// pack_weights: matrices [E,K,N] to panels of 16, 8 or 4 bits a weight (native/panels.h). Done once, when a model is opened.
// Bound by memory: it reads 4 bytes a weight and writes 2, 1.06 or 0.56.
#include "../../native/pack.h"
#include "../../native/panels.h"

namespace openmoe::OPENMOE_ISA {
namespace pack_detail {

using panels::kCols, panels::kDeep, panels::kGroup, panels::kVectors;

// kLanes columns of a block: rows beyond the matrix and columns beyond the section are zero.
template <class T> struct Source {
  const T* data;
  i64 step, rows, cols;
  vf at(i64 row) const { return row < rows && cols > 0 ? load_part(data + row * step, cols) : vf{}; }
};

inline void put(i8* word, vi v) { *reinterpret_cast<viu*>(word) = v; }

// A bf16 not smaller than x >= 0, so that nothing is cut off.
inline vi up_bf16(vf x) { return (((vi)x + 0xffff) >> 16) & 0xffff; }

// Whole numbers nearest to x between low and high; NaN becomes high.
inline vi whole(vf x, f32 low, f32 high) {
  x = x < high ? x : splat(high);
  x = x > low ? x : splat(low);
  return (vi)(x + 12582912.f) - 0x4b400000;
}

// Bits of the bf16 scale of each column of a group, and what to multiply its weights by.
template <int Bits, class T> inline vi scale_of(const Source<T>& w, i64 row, vf* inverse) {
  vf most{};
  for (i64 k = 0; k < kGroup; ++k) {
    const vf x = w.at(row + k);
    most = vabs(x) > vabs(most) || x != x ? x : most;
  }
  vi bits;
  if constexpr (Bits == 8) {
    bits = up_bf16(vabs(most) / 127.f);
  } else {  // the largest becomes −8, the end of the range that has a step more
    const vf wanted = most / -8.f;
    bits = up_bf16(vabs(wanted)) | (((vi)wanted >> 16) & 0x8000);
  }
  const vf scale = (vf)(bits << 16);
  *inverse = scale != 0.f ? 1.f / scale : vf{};
  return bits;
}

template <int Bits, class T> inline void pack_block(const Source<T>& w, i64 row, i8* to) {
  constexpr i64 line = kCols * 4;
  if constexpr (Bits == 16) {
    for (i64 k = 0; k < kDeep; k += 2, to += line) {
      const vi low = __builtin_convertvector(round_bf16(w.at(row + k)), vi), high = __builtin_convertvector(round_bf16(w.at(row + k + 1)), vi);
      put(to, low | high << 16);
    }
  } else {
    vi scales{};
    constexpr int per_word = 32 / Bits;
    for (int g = 0; g < 2; ++g) {
      vf inverse;
      scales |= scale_of<Bits>(w, row + g * kGroup, &inverse) << 16 * g;
      for (i64 k = 0; k < kGroup; k += per_word, to += line) {
        vi word{};
        for (int j = 0; j < per_word; ++j) {
          const vf x = w.at(row + g * kGroup + k + j) * inverse;
          if constexpr (Bits == 8)
            word |= (whole(x, -127.f, 127.f) + 128) << 8 * j;
          else
            word |= (whole(x, -8.f, 7.f) + 8) << (8 * (j & 3) + (j & 4));
        }
        put(to, word);
      }
    }
    put(to, scales);
  }
}

// The same block of a matrix that lies as [N,K]: w holds the rows that are the block's columns.
template <int Bits, class T> inline void pack_turned(const Source<T>& w, i64 k, i8* to) {
  f32 block[kDeep * kLanes];
  for (i64 row = 0; row < kDeep; row += kLanes) {
    vf square[kLanes];
#pragma GCC unroll 16
    for (int col = 0; col < kLanes; ++col) {
      const bool here = col < w.rows && k + row < w.cols;
      square[col] = here ? load_part(w.data + col * w.step + k + row, w.cols - k - row) : vf{};
    }
    pack::transpose<1>(square);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) store(block + (row + i) * kLanes, square[i]);
  }
  pack_block<Bits, f32>({block, kLanes, kDeep, kLanes}, 0, to);
}

template <int Bits, class T> void pack_all_turned(const Call& c) {
  const i64 cols = c.dim(0, 1), depth = c.dim(0, 2), sections = c.index_attr(1), count = c.outs[0].dims[1];
  const i64 bytes = panels::panel_bytes(Bits, depth), wide = cols / sections;
  c.parallel(c.dim(0, 0) * count, [&](i64 task, i32) {
    const i64 e = task / count, panel = task % count;
    for (i64 v = 0; v < kVectors; ++v) {
      const i64 col = panel / sections * kCols + v * kLanes;
      const Source<T> w{c.in<T>(0) + (e * cols + panel % sections * wide + col) * depth, depth, wide - col, depth};
      i8* to = c.out<i8>(0) + task * bytes + v * kLanes * 4;
      for (i64 k = 0; k < depth; k += kDeep, to += panels::block_bytes(Bits)) pack_turned<Bits, T>(w, k, to);
    }
  });
}

// Panels packed block by block beside each other: of each row whole runs of cache lines are read.
constexpr i64 kTogether = 8;

template <int Bits, class T> void pack_all(const Call& c) {
  if (c.attrs[2] != 0) return pack_all_turned<Bits, T>(c);
  const i64 depth = c.dim(0, 1), cols = c.dim(0, 2), sections = c.index_attr(1), count = c.outs[0].dims[1];
  const i64 bytes = panels::panel_bytes(Bits, depth), wide = cols / sections;
  const i64 together = kTogether * sections, runs = ceil_div(count, together);
  c.parallel(c.dim(0, 0) * runs, [&](i64 task, i32) {
    const i64 e = task / runs, begin = task % runs * together, end = smaller(count, begin + together);
    for (i64 row = 0; row < depth; row += kDeep) {
      for (i64 panel = begin; panel < end; ++panel) {
        const T* columns = c.in<T>(0) + e * depth * cols + panel % sections * wide;
        i8* to = c.out<i8>(0) + (e * count + panel) * bytes + row / kDeep * panels::block_bytes(Bits);
        for (i64 v = 0; v < kVectors; ++v) {
          const i64 col = panel / sections * kCols + v * kLanes;
          pack_block<Bits, T>({columns + col, cols, depth, wide - col}, row, to + v * kLanes * 4);
        }
      }
    }
  });
}

}  // namespace pack_detail

KERNEL(pack_weights) {
  using namespace pack_detail;
  const bool half = c.ins[0].dtype == DType::bf16;
  switch (c.index_attr(0)) {
    case 16: return (half ? pack_all<16, bf16> : pack_all<16, f32>)(c);
    case 8: return (half ? pack_all<8, bf16> : pack_all<8, f32>)(c);
    default: return (half ? pack_all<4, bf16> : pack_all<4, f32>)(c);
  }
}

}  // namespace openmoe::OPENMOE_ISA
