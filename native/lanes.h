// Rows of kernels that are bound by memory: whole registers and a rest, and stores that go around the caches.
#pragma once
#include "bf16.h"

namespace openmoe::OPENMOE_ISA {

// How many lanes a load or store touches: all, all with stores around the caches, or the first n.
struct Whole {};
struct Around {};

template <class T> inline vf get(const T* p, Whole) { return load(p); }
template <class T> inline vf get(const T* p, Around) { return load(p); }
template <class T> inline vf get(const T* p, i64 n) { return load_part(p, n); }
template <class T> inline void put(T* p, vf v, Whole) { store(p, v); }
template <class T> inline void put(T* p, vf v, i64 n) { store_part(p, v, n); }
#if defined(__AVX512F__)
inline void put(f32* p, vf v, Around) { _mm512_stream_ps(p, (__m512)v); }
inline void put(bf16* p, vf v, Around) { _mm256_stream_si256(reinterpret_cast<__m256i*>(p), (__m256i)round_bf16(v)); }
#elif defined(__AVX2__)
inline void put(f32* p, vf v, Around) { _mm256_stream_ps(p, (__m256)v); }
inline void put(bf16* p, vf v, Around) { _mm_stream_si128(reinterpret_cast<__m128i*>(p), (__m128i)round_bf16(v)); }
#else
template <class T> inline void put(T* p, vf v, Around) { store(p, v); }
#endif

// p = v and p += v, in the caches whatever the lanes say: sums are read again.
inline void keep(f32* p, vf v, i64 n) { store_part(p, v, n); }
template <class N> inline void keep(f32* p, vf v, N) { store(p, v); }
inline void add_to(f32* p, vf v, i64 n) { store_part(p, load_part(p, n) + v, n); }
template <class N> inline void add_to(f32* p, vf v, N) { store(p, load(p) + v); }

// For the first read of a large operand: kernels that compute more than a few operations per number fill the processor's window of
// instructions before it has seen enough loads, and row by row the hardware's own prefetching starts over.
constexpr i64 kAhead = 512;  // numbers
template <class T, class N> inline vf fetch(const T* p, N lanes) {
  __builtin_prefetch(p + kAhead);
  return get(p, lanes);
}

// Results of so many bytes do not stay in the caches until they are read again. A plain store would first read the line it
// overwrites: a third more traffic than needed where as much is read as written.
constexpr i64 kAroundBytes = i64{16} << 20;
// Is a result, written in runs of `width`, stored around the caches? Not where it overwrites an operand, whose lines are at hand.
inline bool goes_around(const Call& c, int out, i64 width) {
  const Array& y = c.outs[out];
  for (i32 n = 0; n < c.in_count; ++n)
    if (c.ins[n].data == y.data) return false;
  return y.data && y.size() * kDTypeBytes[static_cast<i32>(y.dtype)] >= kAroundBytes && width % kLanes == 0;
}
// Stores around the caches are seen by others only after a fence: at the end of each task that made some.
inline void settle(bool around) {
#if defined(__AVX2__)
  if (around) _mm_sfence();
#endif
}

// f(i, lanes) for i = 0, kLanes, … below n.
template <class F> inline void each_lanes(i64 n, F f) {
  i64 i = 0;
  for (; i + kLanes <= n; i += kLanes) f(i, Whole{});
  if (i < n) f(i, n - i);
}
template <class F> inline void each_lanes(i64 n, bool around, F f) {
  if (!around) return each_lanes(n, f);
  for (i64 i = 0; i < n; i += kLanes) f(i, Around{});
}

}  // namespace openmoe::OPENMOE_ISA
