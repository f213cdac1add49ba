// One run as a timeline: who worked on which instruction, from when to when. A run records only when it is given one of these.
#pragma once
#include <atomic>

#include "kernel.h"

namespace openmoe {

struct Span {
  double worker;  // −1: the instruction as a whole
  double step;    // its place among the instructions
  double begin, end;  // nanoseconds of the monotonic clock
};

struct Recording {
  Span* spans;
  i64 room;
  i32 step = 0;  // the instruction that runs now; written between jobs only
  std::atomic<i64> count{0};  // of all spans, those without room included

  void add(i32 worker, double begin, double end) {
    const i64 at = count.fetch_add(1, std::memory_order_relaxed);
    if (at < room) spans[at] = {static_cast<double>(worker), static_cast<double>(step), begin, end};
  }
};

}  // namespace openmoe
