// WebAssembly shell: what node.cc is for Node, as plain functions over one shared memory; src/exec/wasm calls them.
// One thread alone allocates, loads and closes, so the C library's allocator needs no lock; programs run on workers.
#include <stdlib.h>
#include <string.h>

#include <new>

#include "probe.h"
#include "system.h"
#include "threads.h"
#include "vm.h"

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

// The library's own would print before they stop, and ask the host for files to print to.
[[noreturn]] void std::__libcpp_verbose_abort(const char*, ...) noexcept { __builtin_trap(); }
extern "C" [[noreturn]] void __abort_message(const char*, ...) { __builtin_trap(); }

namespace openmoe {

extern "C" __attribute__((import_module("openmoe"), import_name("now"))) double clock_now();
double now() { return clock_now(); }

char* map_memory(size_t bytes, size_t* mapped) {
  *mapped = bytes;
  // The C library takes sizes from 2 GB up for negative ones.
  if (bytes > PTRDIFF_MAX - 65536) return nullptr;
  void* memory = nullptr;
  if (posix_memalign(&memory, 64, bytes) != 0) return nullptr;
  memset(memory, 0, bytes);
  return static_cast<char*>(memory);
}
void unmap_memory(char* memory, size_t) { free(memory); }

namespace {

// A module has one instruction set; JavaScript chooses the module.
const Isa& isa() { return isas()[0]; }

std::string refused;  // why the last program was

std::vector<std::string> lines(const char* text) {
  std::vector<std::string> found;
  for (const char* end; *text; text = end + 1) {
    end = strchr(text, '\n');
    found.emplace_back(text, end);
  }
  return found;
}

}  // namespace

// Zeros, aligned for the kernels; null when there is no memory.
EXPORT(alloc) char* alloc(size_t bytes) {
  size_t mapped;
  return map_memory(bytes, &mapped);
}
EXPORT(release) void release(char* memory) { free(memory); }

// Names of the kernels and block operations, each on its line.
EXPORT(kernels) const char* kernels() {
  static std::string names;
  names.clear();
  for (const Kernel* k = *isa().kernels; k; k = k->next) names += std::string(k->op) + "\n";
  for (const BlockOp* b = *isa().block_ops; b; b = b->next) names += std::string(b->op) + "\n";
  return names.c_str();
}

EXPORT(pool) Pool* pool(int threads) { return pool_create(threads); }
EXPORT(work) void work(Pool* pool, int worker) { pool_work(pool, worker); }
EXPORT(stop) void stop(Pool* pool) { pool_stop(pool); }

// `names` are lines of text. Null when the program is refused: refusal() says why.
EXPORT(load) Machine* load(const double* words, size_t count, const char* names, int threads) {
  Machine* machine = new (std::nothrow) Machine;
  refused = machine ? machine->load(words, count, lines(names), isa(), threads) : "out of memory";
  if (refused.empty()) return machine;
  delete machine;
  return nullptr;
}
EXPORT(refusal) const char* refusal() { return refused.c_str(); }
EXPORT(unload) void unload(Machine* machine) { delete machine; }
EXPORT(arena) char* arena(const Machine* machine) { return machine->arena(); }
EXPORT(scratch_bytes) size_t scratch_bytes(const Machine* machine) { return machine->scratch_bytes(); }

// The caller has seen to it that each argument's memory is as large as the program says.
EXPORT(ready) void ready(Machine* machine) { machine->ready(); }
EXPORT(run) bool run(Machine* machine, void* const* arguments, Pool* pool) { return machine->run(arguments, pool); }
EXPORT(cancel) void cancel(Machine* machine) { machine->cancel(); }

// Runs so far, and nanoseconds of each instruction in them.
EXPORT(runs) double runs(const Machine* machine) { return machine->runs(); }
EXPORT(spent) const double* spent(const Machine* machine) { return machine->spent().data(); }

EXPORT(record) void record(Machine* machine) { machine->record(); }
EXPORT(span_count) size_t span_count(const Machine* machine) { return machine->spans().size(); }
EXPORT(spans) const Span* spans(const Machine* machine) { return machine->spans().data(); }

EXPORT(peak) double peak(Pool* pool, double seconds) { return probe_peak(pool_team(pool), false, seconds); }
EXPORT(bandwidth) void bandwidth(Pool* pool, size_t bytes, double seconds, double* read_and_update) {
  const Bandwidth measured = probe_bandwidth(pool_team(pool), bytes, seconds);
  read_and_update[0] = measured.read;
  read_and_update[1] = measured.update;
}

}  // namespace openmoe
