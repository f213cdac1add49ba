// Loading checks a program completely: kernels then trust shapes, offsets and counts, and only values remain unknown.
#include "vm.h"

#include <string.h>
#if defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#define DECLARE_ISA(isa)                    \
  namespace isa {                           \
  extern const Kernel* kernels;             \
  extern const BlockOp* block_ops;          \
  }

namespace openmoe {

#if defined(OPENMOE_HAS_AVX512_BF16)
DECLARE_ISA(avx512_bf16)
#endif
#if defined(OPENMOE_HAS_AVX512)
DECLARE_ISA(avx512)
#endif
#if defined(OPENMOE_HAS_AVX2)
DECLARE_ISA(avx2)
#endif
#if defined(OPENMOE_HAS_NEON_BF16)
DECLARE_ISA(neon_bf16)
#endif
#if defined(OPENMOE_HAS_NEON)
DECLARE_ISA(neon)
#endif
#if defined(OPENMOE_HAS_SIMD128)
DECLARE_ISA(simd128)
#endif
#if defined(OPENMOE_HAS_RELAXED)
DECLARE_ISA(relaxed)
#endif

#if defined(__aarch64__)
static bool has_neon_bf16() {
#if defined(__APPLE__)
  const auto has = [](const char* feature) {
    int yes = 0;
    size_t size = sizeof yes;
    return sysctlbyname(feature, &yes, &size, nullptr, 0) == 0 && yes != 0;
  };
  return has("hw.optional.arm.FEAT_BF16") && has("hw.optional.arm.FEAT_I8MM");
#else
  constexpr unsigned long kI8mm = 1ul << 13, kBf16 = 1ul << 14;  // HWCAP2 of Linux
  const unsigned long both = kI8mm | kBf16;
  return (getauxval(AT_HWCAP2) & both) == both;
#endif
}
#endif
#if defined(__x86_64__)
static bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
}
#endif

const std::vector<Isa>& isas() {
  static const std::vector<Isa> all = {
#if defined(OPENMOE_HAS_AVX512_BF16)
      {"avx512_bf16", has_avx512() && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni"), &avx512_bf16::kernels,
       &avx512_bf16::block_ops},
#endif
#if defined(OPENMOE_HAS_AVX512)
      {"avx512", has_avx512(), &avx512::kernels, &avx512::block_ops},
#endif
#if defined(OPENMOE_HAS_AVX2)
      {"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), &avx2::kernels, &avx2::block_ops},
#endif
#if defined(OPENMOE_HAS_NEON_BF16)
      {"neon_bf16", has_neon_bf16(), &neon_bf16::kernels, &neon_bf16::block_ops},
#endif
#if defined(OPENMOE_HAS_NEON)
      {"neon", true, &neon::kernels, &neon::block_ops},
#endif
#if defined(OPENMOE_HAS_SIMD128)
      {"wasm-simd128", true, &simd128::kernels, &simd128::block_ops},
#endif
#if defined(OPENMOE_HAS_RELAXED)
      {"wasm-relaxed", true, &relaxed::kernels, &relaxed::block_ops},
#endif
  };
  return all;
}

namespace {

// Reads numbers in order and remembers the first that is missing or not a whole number in range.
class Reader {
 public:
  Reader(const double* words, size_t count) : words_(words), count_(count) {}
  double number() {
    if (at_ >= count_) return fail("it ends too early"), 0;
    return words_[at_++];
  }
  int64_t whole(double low, double high, const char* what) {
    const double x = number();
    if (!(x >= low && x <= high) || x != static_cast<double>(static_cast<int64_t>(x))) return fail(what), static_cast<int64_t>(low);
    return static_cast<int64_t>(x);
  }
  void fail(const std::string& what) {
    if (error_.empty()) error_ = what + " at word " + std::to_string(at_);
  }
  bool ok() const { return error_.empty(); }
  bool done() const { return at_ == count_; }
  const std::string& error() const { return error_; }

 private:
  const double* words_;
  size_t count_, at_ = 0;
  std::string error_;
};

template <class T> const T* find(const T* list, const std::string& name) {
  for (; list; list = list->next)
    if (name == list->op) return list;
  return nullptr;
}

}  // namespace

Machine::~Machine() { release(); }

void Machine::release() {
  unmap_memory(arena_, arena_mapped_);
  unmap_memory(scratch_, scratch_mapped_);
  arena_ = scratch_ = nullptr;
}

std::string Machine::load(const double* words, size_t count, const std::vector<std::string>& names, const Isa& isa, int threads) {
  isa_ = &isa;
  threads_ = threads;
  Reader in(words, count);
  if (in.number() != kMagic) return "not a program of this version";
  arena_bytes_ = static_cast<size_t>(in.whole(0, kMaxBytes, "bad arena size"));
  const double limit = static_cast<double>(count);
  const int64_t arguments = in.whole(0, limit, "bad argument count"), values = in.whole(0, limit, "bad value count");
  const int64_t instructions = in.whole(0, limit, "bad instruction count"), copies = in.whole(0, limit, "bad copy count");
  for (int64_t i = 0; in.ok() && i < arguments; ++i) argument_bytes_.push_back(static_cast<size_t>(in.whole(0, kMaxBytes, "bad argument size")));

  for (int64_t i = 0; in.ok() && i < values; ++i) {
    Array array{};
    const int64_t dtype = in.whole(0, kDTypes - 1, "unknown dtype");
    array.dtype = static_cast<DType>(dtype);
    const bool argument = in.whole(0, 1, "unknown place") == 1;
    const int64_t where = in.whole(0, argument ? static_cast<double>(arguments) - 1 : kMaxBytes, "a value outside its memory");
    array.rank = static_cast<i32>(in.whole(0, kMaxRank, "bad rank"));
    double size = kDTypeBytes[dtype];
    for (int d = 0; d < kMaxRank; ++d) {
      array.dims[d] = in.whole(0, 2147483647, "bad dimension");
      if (d < array.rank) size *= static_cast<double>(array.dims[d]);
    }
    const double room = argument ? static_cast<double>(in.ok() ? argument_bytes_[where] : 0) : static_cast<double>(arena_bytes_) - static_cast<double>(where);
    if (size > room || (!argument && where % 64 != 0)) in.fail("a value outside its memory");
    values_.push_back(array);
    places_.push_back({argument ? static_cast<int>(where) : -1, argument ? 0 : static_cast<size_t>(where), static_cast<size_t>(size)});
  }

  for (const std::string& name : names) block_ops_.push_back(find(*isa.block_ops, name));
  for (int64_t i = 0; in.ok() && i < instructions; ++i) {
    Step step{};
    const int64_t name = in.whole(0, static_cast<double>(names.size()) - 1, "unknown name");
    if (!in.ok()) break;
    step.kernel = find(*isa.kernels, names[name]);
    if (!step.kernel) return "no kernel for " + names[name];
    const int64_t ins = in.whole(0, limit, "bad operand count"), outs = in.whole(0, limit, "bad operand count"), attrs = in.whole(0, limit, "bad attribute count");
    step.operand = operands_.size();
    step.attr = attrs_.size();
    bool read = outs == 0;
    for (int64_t k = 0; in.ok() && k < ins + outs; ++k) {
      const int v = static_cast<int>(in.whole(k < ins ? 0 : -1, static_cast<double>(values) - 1, "unknown operand"));
      if (!in.ok()) break;
      read = read || (k >= ins && v >= 0);
      operand_values_.push_back(v);
      operands_.push_back(v < 0 ? Array{} : values_[v]);
    }
    for (int64_t k = 0; in.ok() && k < attrs; ++k) attrs_.push_back(in.number());
    if (!in.ok()) break;
    if (!read) in.fail("an instruction that nobody reads");
    step.ins = static_cast<i32>(ins), step.outs = static_cast<i32>(outs), step.attrs = static_cast<i32>(attrs);
    steps_.push_back(step);
  }
  for (int64_t i = 0; in.ok() && i < copies; ++i) {
    const int value = static_cast<int>(in.whole(0, static_cast<double>(values) - 1, "unknown operand"));
    const int argument = static_cast<int>(in.whole(0, static_cast<double>(arguments) - 1, "unknown argument"));
    if (in.ok() && places_[value].bytes > argument_bytes_[argument]) in.fail("a copy outside its memory");
    copies_.push_back({value, argument});
  }
  if (in.ok() && !in.done()) in.fail("it goes on after its end");
  if (!in.ok()) return in.error();
  spent_.assign(steps_.size(), 0);
  return allocate();
}

std::string Machine::allocate() {
  Team team{nullptr, threads_};
  for (const Step& s : steps_) {
    if (!s.kernel->scratch) continue;
    const size_t bytes = s.kernel->scratch(call(s, &team));
    if (bytes == kRefused) return std::string("attributes that ") + s.kernel->op + " cannot run";
    if (bytes > scratch_bytes_) scratch_bytes_ = bytes;
  }
  arena_ = map_memory(arena_bytes_ + 64, &arena_mapped_);
  scratch_ = map_memory(scratch_bytes_ + 64, &scratch_mapped_);
  return arena_ && scratch_ ? "" : "out of memory";
}

Call Machine::call(const Step& s, Team* team) const {
  const Array* operands = operands_.data() + s.operand;
  return {operands, operands + s.ins, attrs_.data() + s.attr, s.ins, s.outs, s.attrs, scratch_, team, block_ops_.data(), static_cast<i32>(block_ops_.size())};
}

// Programs are run again and again over the same memory.
void Machine::bind(void* const* arguments) {
  if (!bound_.empty() && memcmp(bound_.data(), arguments, bound_.size() * sizeof(void*)) == 0) return;
  bound_.assign(arguments, arguments + argument_bytes_.size());
  for (size_t k = 0; k < operands_.size(); ++k) operands_[k].data = operand_values_[k] < 0 ? nullptr : address(operand_values_[k], arguments);
}

void* Machine::address(int value, void* const* arguments) const {
  const Place& place = places_[value];
  return place.argument < 0 ? arena_ + place.offset : arguments[place.argument];
}

#if defined(__SANITIZE_ADDRESS__)
// Under the address sanitizer an instruction may touch its own operands and the scratch it asked for, and nothing else of the arena.
void Machine::fence(const Step& s, const Call& call) {
  FORBID(arena_, arena_mapped_);
  FORBID(scratch_, scratch_mapped_);
  PERMIT(scratch_, s.kernel->scratch ? s.kernel->scratch(call) : 0);
  for (size_t k = s.operand; k < s.operand + static_cast<size_t>(s.ins + s.outs); ++k)
    if (const int v = operand_values_[k]; v >= 0 && places_[v].argument < 0) PERMIT(arena_ + places_[v].offset, places_[v].bytes);
}
#else
void Machine::fence(const Step&, const Call&) {}
#endif

void Machine::record() {
  // An instruction is a few jobs, each of which is at most one span a thread.
  constexpr size_t kJobs = 64;
  spans_.clear();
  spans_.reserve(steps_.size() * kJobs);
  recorded_ = true;
}

bool Machine::run(void* const* arguments, Pool* pool) {
  if (!recorded_) return run(arguments, pool_team(pool), nullptr);
  recorded_ = false;
  spans_.resize(spans_.capacity());
  Recording recording{spans_.data(), static_cast<i64>(spans_.size())};
  pool_record(pool, &recording);
  const bool finished = run(arguments, pool_team(pool), &recording);
  pool_record(pool, nullptr);
  const i64 count = recording.count.load();
  if (count < recording.room) spans_.resize(static_cast<size_t>(count));
  return finished;
}

bool Machine::run(void* const* arguments, Team* team, Recording* recording) {
  bind(arguments);
  for (size_t i = 0; i < steps_.size(); ++i) {
    PERMIT(arena_, arena_mapped_);
    if (cancelled_.load()) return false;
    const Step& s = steps_[i];
    const Call c = call(s, team);
    fence(s, c);
    if (recording) recording->step = static_cast<i32>(i);
    const double before = now();
    s.kernel->run(c);
    const double after = now();
    spent_[i] += after - before;
    if (recording) recording->add(-1, before, after);
  }
  PERMIT(arena_, arena_mapped_);
  PERMIT(scratch_, scratch_mapped_);
  for (const Copy& c : copies_) memcpy(arguments[c.argument], address(c.value, arguments), places_[c.value].bytes);
  ++runs_;
  return true;
}

}  // namespace openmoe
