// The engine's own threads: they wait briefly by spinning, then sleep until called.
#pragma once
#include "kernel.h"
#include "recording.h"

namespace openmoe {

// Starts a team of that many threads, the caller included. Null when threads cannot be started.
struct Pool;
Pool* pool_create(int threads);
#if defined(__wasm__)
// WebAssembly starts no threads: JavaScript has workers 1, 2, … enter here, each with a stack of its own. They return once the pool
// is stopped; who is late or never comes is missed by nobody.
void pool_work(Pool*, int worker);
void pool_stop(Pool*);
#else
void pool_destroy(Pool*);
#endif
Team* pool_team(Pool*);
// From now on each thread's part in each job is recorded; null: no more. Only between jobs.
void pool_record(Pool*, Recording*);

// While it lives, denormal numbers are zero on this thread, as they are on the pool's: the same bits whoever computes.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();

 private:
  unsigned long long saved_;
};

}  // namespace openmoe
