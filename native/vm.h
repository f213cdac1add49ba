// The machine that executes programs: a flat list of instructions over one arena and the caller's buffers.
#pragma once
#include <atomic>
#include <string>
#include <vector>

#include "kernel.h"
#include "recording.h"

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

// Layout of an encoded program, all numbers doubles (src/exec/cpu/encode.ts writes it):
//   magic, arena bytes, A arguments, W values, I instructions, C copies
//   A × bytes
//   W × dtype, place (0 arena, 1 argument), offset or argument, rank, dims[6]
//   I × name, inputs, outputs, attrs; values in…; values out… (−1: nobody reads it); attrs…
//   C × value, argument: results to copy at the end
constexpr double kMagic = 20260001;
constexpr double kMaxBytes = 1e13;

struct Isa {
  const char* name;
  bool present;  // this processor has it
  const Kernel* const* kernels;
  const BlockOp* const* block_ops;
};
// The instruction sets compiled in, best first.
const std::vector<Isa>& isas();

class Machine {
 public:
  ~Machine();
  // Checks everything that can be checked before the first run. Returns an error text, or an empty string.
  std::string load(const double* words, size_t count, const std::vector<std::string>& names, const Isa& isa, int threads);

  // Was it loaded for such an engine? Scratch memory is sized for the number of threads.
  bool fits(const Isa& isa, int threads) const { return isa_ == &isa && threads_ == threads; }

  // Forgets an earlier cancel: what is cancelled from now on is the next run.
  void ready() { cancelled_.store(false); }
  // Runs once with the arguments' memory bound, and records that when asked to. False when cancelled.
  bool run(const std::vector<void*>& arguments, Team* team, Recording* recording = nullptr);
  // Gives the memory back; the machine cannot run any more.
  void release();
  void cancel() { cancelled_.store(true); }

  char* arena() const { return arena_; }
  size_t arena_bytes() const { return arena_bytes_; }
  size_t scratch_bytes() const { return scratch_bytes_; }
  const std::vector<size_t>& argument_bytes() const { return argument_bytes_; }
  // Nanoseconds that each instruction has taken so far, and how often the program ran.
  const std::vector<double>& spent() const { return spent_; }
  double runs() const { return runs_; }
  size_t steps() const { return steps_.size(); }

 private:
  struct Place {
    int argument;  // −1: arena
    size_t offset;
    size_t bytes;
  };
  struct Step {
    const Kernel* kernel;
    std::vector<Array> ins, outs;
    std::vector<int> in_values, out_values;  // −1: unread
    std::vector<double> attrs;
  };
  struct Copy {
    int value, argument;
  };
  void* address(int value, const std::vector<void*>& arguments) const;
  std::string allocate();
  void fence(const Step& step, const Call& call);

  std::vector<Array> values_;
  std::vector<Place> places_;
  std::vector<Step> steps_;
  std::vector<Copy> copies_;
  std::vector<size_t> argument_bytes_;
  std::vector<const BlockOp*> block_ops_;
  std::vector<double> spent_;
  double runs_ = 0;
  const Isa* isa_ = nullptr;
  int threads_ = 0;
  char* arena_ = nullptr;
  size_t arena_bytes_ = 0, arena_mapped_ = 0;
  char* scratch_ = nullptr;
  size_t scratch_bytes_ = 0, scratch_mapped_ = 0;
  std::atomic<bool> cancelled_{false};
};

// Memory for big arrays: zeroed, aligned to 2 MB where that helps, on huge pages where the system gives them. Null when there is none.
char* map_memory(size_t bytes, size_t* mapped);
void unmap_memory(char* memory, size_t mapped);

}  // namespace openmoe
