// The machine that executes programs: a flat list of instructions over one arena and the caller's buffers.
#pragma once
#include <atomic>
#include <string>
#include <vector>

#include "kernel.h"
#include "system.h"
#include "threads.h"

namespace openmoe {

// Layout of an encoded program, all numbers doubles (src/exec/machine/encode.ts writes it):
//   magic, arena bytes, A arguments, W values, I instructions, C copies
//   A × bytes
//   W × dtype, place (0 arena, 1 argument), offset or argument, rank, dims[6]
//   I × name, inputs, outputs, attrs; values in…; values out… (−1: nobody reads it); attrs…
//   C × value, argument: results to copy at the end
constexpr double kMagic = 20260001;
constexpr double kMaxBytes = sizeof(size_t) < 8 ? 4e9 : 1e13;

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
  // Runs once with the arguments' memory bound. False when cancelled.
  bool run(void* const* arguments, Pool* pool);
  // The next run becomes a timeline; spans() is that of the run recorded last.
  void record();
  const std::vector<Span>& spans() const { return spans_; }
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

 private:
  struct Place {
    int argument;  // −1: arena
    size_t offset;
    size_t bytes;
  };
  // Its operands, inputs first, stand together in operands_, its attributes in attrs_: what runs is met in the order in which it lies.
  struct Step {
    const Kernel* kernel;
    size_t operand, attr;  // its first
    i32 ins, outs, attrs;
  };
  struct Copy {
    int value, argument;
  };
  void* address(int value, void* const* arguments) const;
  std::string allocate();
  Call call(const Step& step, Team* team) const;
  void bind(void* const* arguments);
  void fence(const Step& step, const Call& call);
  bool run(void* const* arguments, Team* team, Recording* recording);

  std::vector<Array> values_;
  std::vector<Place> places_;
  std::vector<Step> steps_;
  std::vector<Array> operands_;
  std::vector<int> operand_values_;  // −1: unread
  std::vector<double> attrs_;
  std::vector<void*> bound_;  // arguments that operands_ point to
  std::vector<Copy> copies_;
  std::vector<size_t> argument_bytes_;
  std::vector<const BlockOp*> block_ops_;
  std::vector<double> spent_;
  double runs_ = 0;
  bool recorded_ = false;  // the next run
  std::vector<Span> spans_;
  const Isa* isa_ = nullptr;
  int threads_ = 0;
  char* arena_ = nullptr;
  size_t arena_bytes_ = 0, arena_mapped_ = 0;
  char* scratch_ = nullptr;
  size_t scratch_bytes_ = 0, scratch_mapped_ = 0;
  std::atomic<bool> cancelled_{false};
};

}  // namespace openmoe
