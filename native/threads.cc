// Threads that take tasks from one counter. A call opens a job, whoever is awake joins it and takes tasks until none is left; the
// caller closes it and waits for those inside only: on a busy machine a thread that was never scheduled must not hold up the rest.
// Waiting spins briefly and then sleeps in the kernel: on shared cores a long spin would steal the time it waits for.
// Between a short spin and sleep a thread offers its core to others again and again: to be woken takes longer than a decoded token's
// instructions, and a core that nobody else wants costs nothing.
// A worker that loses its core in the middle of a short job holds up the caller for a thousand times as long as it helps: after such
// a stall the caller works alone for a while, longer each time that stalls follow each other.
#include "threads.h"

#include <atomic>
#include <new>
#if !defined(__wasm__)
#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#endif

#include "system.h"

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace openmoe {
namespace {

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Time in units of the processor's own clock.
uint64_t ticks() {
#if defined(__x86_64__)
  return __rdtsc();
#elif defined(__aarch64__)
  uint64_t t;
  asm volatile("mrs %0, cntvct_el0" : "=r"(t));
  return t;
#else
  return static_cast<uint64_t>(now());
#endif
}

// About 20 µs: longer than the gap between two kernels of a step, shorter than a time slice. WebAssembly cannot pause a processor.
#if defined(__wasm__)
constexpr int kSpins = 20000;
#else
constexpr int kSpins = 2000;
// Nanoseconds: what JavaScript does between two tokens is over by then.
constexpr double kOffering = 1e6;
#endif

// A word that threads wait on until it differs from what they saw.
struct Signal {
  std::atomic<uint32_t> value{0};
  std::atomic<int> sleepers{0};
#if !defined(__linux__) && !defined(__wasm__)
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
#endif

  // Whether it took longer than the spin.
  bool wait(uint32_t seen) {
    for (int i = 0; i < kSpins; ++i) {
      if (value.load(std::memory_order_acquire) != seen) return false;
      relax();
    }
#if !defined(__wasm__)
    for (const double end = now() + kOffering; now() < end; sched_yield())
      if (value.load(std::memory_order_acquire) != seen) return true;
#endif
    sleepers.fetch_add(1);
#if defined(__linux__)
    while (value.load() == seen) syscall(SYS_futex, &value, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
#elif defined(__wasm__)
    while (value.load() == seen) __builtin_wasm_memory_atomic_wait32(word(), static_cast<int>(seen), -1);
#else
    pthread_mutex_lock(&mutex);
    while (value.load(std::memory_order_acquire) == seen) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
#endif
    sleepers.fetch_sub(1);
    return true;
  }
  // Raises the value and wakes those who sleep; spinning threads see it by themselves.
  void raise() {
    value.fetch_add(1);
    if (sleepers.load() == 0) return;
#if defined(__linux__)
    syscall(SYS_futex, &value, FUTEX_WAKE_PRIVATE, 1 << 30, nullptr, nullptr, 0);
#elif defined(__wasm__)
    __builtin_wasm_memory_atomic_notify(word(), 1u << 30);
#else
    pthread_mutex_lock(&mutex);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
#endif
  }
#if defined(__wasm__)
  int* word() { return reinterpret_cast<int*>(&value); }
#endif
};

// A stall is a wait beyond the spin that took so many times as long as the caller's own part; then it goes without help for as long
// as the wait, twice as long when the last stall is not long past, and so on up to so many times.
constexpr uint64_t kStall = 8, kAlone = 16;

}  // namespace

struct Pool {
  Team team;  // first: the kernel's Team& is the Pool
#if !defined(__wasm__)
  pthread_t* threads = nullptr;
#endif
  int started = 0;
  Signal job;       // grows by one with each job
  Signal finished;  // grows by one when the last worker leaves a job that is closed
  std::atomic<int64_t> next{0};
  std::atomic<uint32_t> gate{0};  // kOpen while a job may be joined, plus the number of workers inside
  std::atomic<bool> stop{false};
  int64_t count = 0;
  void (*task)(void*, i64, i32) = nullptr;
  void* context = nullptr;
  Recording* recording = nullptr;
  // Only the caller's thread reads and writes these.
  bool busy = false;
  uint64_t alone_until = 0;
  uint64_t patience = 1;  // waits to go without help for after the last stall
};

namespace {

constexpr uint32_t kOpen = 1u << 31;

void take(Pool& pool, i32 worker) {
  Recording* const recording = pool.recording;
  const double begin = recording ? now() : 0;
  int64_t taken = 0;
  for (;; ++taken) {
    const int64_t index = pool.next.fetch_add(1, std::memory_order_relaxed);
    if (index >= pool.count) break;
    pool.task(pool.context, index, worker);
  }
  if (recording && taken > 0) recording->add(worker, begin, now());
}

void work(Pool& pool, int worker) {
  const FlushDenormals flush;
  uint32_t seen = 0;
  for (;;) {
    pool.job.wait(seen);
    seen = pool.job.value.load(std::memory_order_acquire);
    if (pool.stop.load(std::memory_order_acquire)) return;
    // What the caller wrote before it opened the gate is visible to whoever passes it.
    uint32_t gate = pool.gate.load(std::memory_order_acquire);
    while ((gate & kOpen) && !pool.gate.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel)) relax();
    if (!(gate & kOpen)) continue;
    take(pool, worker);
    if (pool.gate.fetch_sub(1, std::memory_order_acq_rel) == 1) pool.finished.raise();
  }
}

void run(Team& team, i64 count, void (*task)(void*, i64, i32), void* context) {
  Pool& pool = reinterpret_cast<Pool&>(team);
  const uint64_t begin = ticks();
  if (pool.started == 0 || count <= 1 || pool.busy || begin < pool.alone_until) {
    const bool recorded = pool.recording && !pool.busy && count > 0;
    const double from = recorded ? now() : 0;
    for (i64 i = 0; i < count; ++i) task(context, i, 0);
    if (recorded) pool.recording->add(0, from, now());
    return;
  }
  pool.busy = true;
  pool.task = task;
  pool.context = context;
  pool.count = count;
  pool.next.store(0, std::memory_order_relaxed);
  const uint32_t before = pool.finished.value.load(std::memory_order_acquire);
  pool.gate.store(kOpen, std::memory_order_release);
  pool.job.raise();
  take(pool, 0);
  const uint64_t own = ticks() - begin;
  if (pool.gate.fetch_and(~kOpen, std::memory_order_acq_rel) != kOpen && pool.finished.wait(before)) {
    const uint64_t end = ticks(), waited = end - begin - own;
    if (waited > kStall * own) {
      const bool again = begin - pool.alone_until < kAlone * waited;
      pool.patience = !again ? 1 : pool.patience < kAlone ? 2 * pool.patience : kAlone;
      pool.alone_until = end + pool.patience * waited;
    }
  }
  pool.busy = false;
}

}  // namespace

#if defined(__wasm__)

Pool* pool_create(int threads) {
  Pool* pool = new (std::nothrow) Pool;
  if (!pool) return nullptr;
  pool->team = {run, threads};
  pool->started = threads - 1;
  return pool;
}

void pool_work(Pool* pool, int worker) { work(*pool, worker); }

void pool_stop(Pool* pool) {
  pool->stop.store(true, std::memory_order_release);
  pool->job.raise();
}

#else

namespace {

struct Start {
  Pool* pool;
  int worker;
};

void* begin(void* argument) {
  const Start start = *static_cast<Start*>(argument);
  delete static_cast<Start*>(argument);
  work(*start.pool, start.worker);
  return nullptr;
}

}  // namespace

Pool* pool_create(int threads) {
  Pool* pool = new (std::nothrow) Pool;
  if (!pool) return nullptr;
  pool->team.run = run;
  pool->threads = new (std::nothrow) pthread_t[threads > 0 ? threads : 1];
  for (int i = 1; pool->threads && i < threads; ++i) {
    Start* start = new (std::nothrow) Start{pool, i};
    if (!start || pthread_create(&pool->threads[pool->started], nullptr, begin, start) != 0) {
      delete start;
      break;
    }
    ++pool->started;
  }
  pool->team.threads = pool->started + 1;
  return pool;
}

void pool_destroy(Pool* pool) {
  if (!pool) return;
  pool->stop.store(true, std::memory_order_release);
  pool->job.raise();
  for (int i = 0; i < pool->started; ++i) pthread_join(pool->threads[i], nullptr);
  delete[] pool->threads;
  delete pool;
}

#endif

Team* pool_team(Pool* pool) { return &pool->team; }
void pool_record(Pool* pool, Recording* recording) { pool->recording = recording; }

#if defined(__x86_64__)
FlushDenormals::FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(static_cast<unsigned>(saved_) | 0x8040); }
FlushDenormals::~FlushDenormals() { _mm_setcsr(static_cast<unsigned>(saved_)); }
#elif defined(__aarch64__)
FlushDenormals::FlushDenormals() {
  asm volatile("mrs %0, fpcr" : "=r"(saved_));
  asm volatile("msr fpcr, %0" ::"r"(saved_ | (1ull << 24)));
}
FlushDenormals::~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }
#else
FlushDenormals::FlushDenormals() : saved_(0) {}
FlushDenormals::~FlushDenormals() {}
#endif

}  // namespace openmoe
