// Peak: independent multiply-adds that never leave the registers, of f32 or of pairs of bf16. Bandwidth: sums and increments over the bytes asked for.
#include "probe.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "system.h"

namespace openmoe {
namespace {

// Enough to hide a latency of 4 cycles on two units, few enough for 16 registers; V8 keeps some of those to itself.
#if defined(__wasm__)
constexpr int kChains = 10;
#define EACH_CHAIN(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9)
#else
constexpr int kChains = 14;
#define EACH_CHAIN(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13)
#endif
constexpr int kRounds = 200000;

// Chains are named, not an array: compilers keep an array in memory, and stores would halve the result. The barrier stops the
// compiler from folding the loop.
#define START(i) V x##i = V{} + 1.0f + 0.001f * i;
#if defined(__wasm_relaxed_simd__)
#define MULTIPLY_ADD(i) x##i = __builtin_wasm_relaxed_madd_f32x4(x##i, a, b);
#else
#define MULTIPLY_ADD(i) x##i = x##i * a + b;
#endif
#define MULTIPLY_ADD_PAIRS(i) x##i = reinterpret_cast<V>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(x##i), reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b)));
#define IN_REGISTER(i) asm volatile("" : "+" REG(x##i));
#define ADD_LANE(i) +x##i[0]
#define BURN(width, multiply_add)                         \
  typedef float V __attribute__((vector_size(width)));    \
  const V a = V{} + 0.9999f, b = V{} + 0.0001f;           \
  EACH_CHAIN(START)                                       \
  for (int r = 0; r < kRounds; ++r) {                     \
    EACH_CHAIN(multiply_add)                              \
    EACH_CHAIN(IN_REGISTER)                               \
  }                                                       \
  return 0 EACH_CHAIN(ADD_LANE);

#if defined(__x86_64__)
#define REG "v"
__attribute__((target("avx512f"))) float burn512() { BURN(64, MULTIPLY_ADD) }
__attribute__((target("avx512f,avx512bf16"))) float burn_pairs512() { BURN(64, MULTIPLY_ADD_PAIRS) }
#undef REG
#define REG "x"
__attribute__((target("avx2,fma"))) float burn256() { BURN(32, MULTIPLY_ADD) }
float burn(bool bf16, int* lanes) {
  if (bf16 && __builtin_cpu_supports("avx512bf16")) return *lanes = 32, burn_pairs512();
  if (__builtin_cpu_supports("avx512f")) return *lanes = 16, burn512();
  return *lanes = 8, burn256();
}
#else
#if defined(__wasm__)
#define REG "r"
#else
#define REG "w"
#endif
float burn128() { BURN(16, MULTIPLY_ADD) }
float burn(bool, int* lanes) { return *lanes = 4, burn128(); }
#endif

volatile float sink;

struct Stream {
  float* data;
  i64 floats;
  i64 rounds;
  bool write;
};
// Memory gives the same to vectors of any width, caches do not.
#define STREAM                                                        \
  typedef float Wide __attribute__((vector_size(64), may_alias));     \
  Wide* p = reinterpret_cast<Wide*>(s.data + part * s.floats);        \
  const i64 n = s.floats / 16;                                        \
  Wide sum[4] = {};                                                   \
  for (i64 round = 0; round < s.rounds; ++round) {                    \
    if (s.write) {                                                    \
      for (i64 i = 0; i < n; ++i) p[i] = p[i] + 1.0f;                 \
    } else {                                                          \
      for (i64 i = 0; i + 4 <= n; i += 4)                             \
        for (int k = 0; k < 4; ++k) sum[k] += p[i + k];               \
    }                                                                 \
    asm volatile("" ::: "memory");                                    \
  }                                                                   \
  sink = sum[0][0] + sum[1][1] + sum[2][2] + sum[3][3];

#if defined(__x86_64__)
__attribute__((target("avx512f"))) void stream512(const Stream& s, i64 part) { STREAM }
__attribute__((target("avx2"))) void stream256(const Stream& s, i64 part) { STREAM }
void stream(const Stream& s, i64 part) { __builtin_cpu_supports("avx512f") ? stream512(s, part) : stream256(s, part); }
#else
void stream(const Stream& s, i64 part) { STREAM }
#endif

}  // namespace

double probe_peak(Team* team, bool bf16, double seconds) {
  struct Burning {
    bool bf16;
    int lanes;
  } burning{bf16, 0};
  double best = 0;
  const double end = now() + 1e9 * seconds;
  do {
    const double start = now();
    team->run(*team, team->threads, [](void* c, i64, i32) {
      Burning* b = static_cast<Burning*>(c);
      int lanes = 0;
      sink = burn(b->bf16, &lanes);
      __atomic_store_n(&b->lanes, lanes, __ATOMIC_RELAXED);
    }, &burning);
    const double flops = 2.0 * burning.lanes * kChains * kRounds * team->threads;
    const double rate = flops / (now() - start);
    if (rate > best) best = rate;
  } while (now() < end);
  return best;
}

Bandwidth probe_bandwidth(Team* team, size_t bytes, double seconds) {
  // Whole lines for each thread, and never so little that starting the threads is what is measured.
  constexpr i64 kLeast = 1 << 14, kLine = 64;
  i64 floats = static_cast<i64>(bytes / sizeof(float)) / team->threads / kLine * kLine;
  if (floats < kLeast) floats = kLeast;
  size_t mapped = 0;
  char* memory = map_memory(sizeof(float) * floats * team->threads, &mapped);
  if (!memory) return {0, 0};
  // Small parts are gone through several times in a call.
  Stream s{reinterpret_cast<float*>(memory), floats, 1 + (i64{1} << 20) / floats, true};
  const auto once = [&] {
    const double start = now();
    team->run(*team, team->threads, [](void* c, i64 part, i32) { stream(*static_cast<Stream*>(c), part); }, &s);
    const double moved = sizeof(float) * static_cast<double>(floats * s.rounds * team->threads) * (s.write ? 2.0 : 1.0);
    return moved / (now() - start);
  };
  Bandwidth best{0, 0};
  once();  // touches every page
  const double end = now() + 1e9 * seconds;
  do {
    s.write = true;
    const double update = once();
    s.write = false;
    const double read = once();
    if (update > best.update) best.update = update;
    if (read > best.read) best.read = read;
  } while (now() < end);
  unmap_memory(memory, mapped);
  return best;
}

}  // namespace openmoe
