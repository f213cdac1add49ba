// Memory and the time from a POSIX system.
#include "system.h"

#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

namespace openmoe {

static constexpr size_t kHugePage = size_t{2} << 20;

char* map_memory(size_t bytes, size_t* mapped) {
  *mapped = (bytes + 2 * kHugePage - 1) / kHugePage * kHugePage;
  void* memory = mmap(nullptr, *mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  // Trim to alignment, so that whole huge pages fit.
  char* start = static_cast<char*>(memory);
  const size_t skip = (kHugePage - reinterpret_cast<uintptr_t>(start) % kHugePage) % kHugePage;
  if (skip) munmap(start, skip);
  *mapped -= skip;
#if defined(MADV_HUGEPAGE)
  if (bytes >= kHugePage) madvise(start + skip, *mapped, MADV_HUGEPAGE);
#endif
  return start + skip;
}

void unmap_memory(char* memory, size_t mapped) {
  if (!memory) return;
  PERMIT(memory, mapped);
  munmap(memory, mapped);
}

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

}  // namespace openmoe
