// What this machine can do at this moment: register arithmetic and memory bandwidth.
#pragma once
#include "kernel.h"

namespace openmoe {

// Best GFLOP/s of multiply-adds in registers, on all threads of the team at once, over about that many seconds: of f32, or of bf16
// with f32 sums; where the processor has no instruction for that, bf16 is multiplied as f32.
double probe_peak(Team* team, bool bf16, double seconds);
struct Bandwidth {
  double read;    // GB/s of reads
  double update;  // GB/s of reads and writes in place
};
// Over that many bytes in all, again and again: what fits a cache is read at the speed of that cache. read is 0 when memory cannot be had.
Bandwidth probe_bandwidth(Team* team, size_t bytes, double seconds);

}  // namespace openmoe
