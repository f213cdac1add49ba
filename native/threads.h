// The engine's own threads: they wait briefly by spinning, then sleep until called.
#pragma once
#include "kernel.h"
#include "recording.h"

namespace openmoe {

// Starts a team of that many threads, the caller included. Null when threads cannot be started.
struct Pool;
Pool* pool_create(int threads);
void pool_destroy(Pool*);
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
