// What the machine takes from the system it runs on: memory and the time. system.cc has them for POSIX, wasm.cc for WebAssembly.
#pragma once
#include <stddef.h>

// What the address sanitizer lets the program touch; nothing in other builds.
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define FORBID(memory, bytes) ASAN_POISON_MEMORY_REGION(memory, bytes)
#define PERMIT(memory, bytes) ASAN_UNPOISON_MEMORY_REGION(memory, bytes)
#else
#define FORBID(memory, bytes)
#define PERMIT(memory, bytes)
#endif

namespace openmoe {

// Memory for big arrays: zeroed, aligned to 2 MB where that helps, on huge pages where the system gives them. Null when there is none.
char* map_memory(size_t bytes, size_t* mapped);
void unmap_memory(char* memory, size_t mapped);

// Nanoseconds on a clock that only goes forward, the same for all threads.
double now();

}  // namespace openmoe
