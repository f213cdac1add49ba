// What a kernel sees. Freestanding C++20: no allocation, no exceptions, no printing, no C library beyond this header, so that
// the same file builds into the Node addon and into WebAssembly. Every kernel file is compiled once per instruction set.
#pragma once
#include <stdint.h>
#include <stddef.h>

// Each instruction set gets its own namespace: inline functions of two sets must never be merged by the linker.
#ifndef OPENMOE_ISA
#define OPENMOE_ISA generic
#endif

namespace openmoe {

using f32 = float;
using i8 = int8_t;
using u16 = uint16_t;
using i32 = int32_t;
using i64 = int64_t;

constexpr int kMaxRank = 6;

// The upper half of an f32 (native/bf16.h widens and rounds).
struct bf16 {
  u16 bits;
};

enum class DType : i32 { f32 = 0, i32 = 1, bf16 = 2, i8 = 3 };
constexpr int kDTypes = 4;
constexpr int kDTypeBytes[kDTypes] = {4, 4, 2, 1};

// One operand: row-major, aligned to 64 bytes. data is null for an output that nobody reads.
struct Array {
  void* data;
  i64 dims[kMaxRank];
  i32 rank;
  DType dtype;

  i64 size() const {
    i64 n = 1;
    for (i32 i = 0; i < rank; ++i) n *= dims[i];
    return n;
  }
};

// The engine's threads as a kernel may use them.
struct Team {
  // Calls task(context, index, worker) once for each index in [0, count), from any thread in any order; worker < threads.
  void (*run)(Team&, i64 count, void (*task)(void* context, i64 index, i32 worker), void* context);
  i32 threads;
};

// One instruction as it runs. Shapes were checked by the signature; values were not: any id, NaN or count may arrive.
struct BlockOp;
struct Call {
  const Array* ins;
  const Array* outs;
  const double* attrs;  // in the order of the op's declaration; lists flattened
  i32 in_count, out_count, attr_count;
  char* scratch;  // as many bytes as the kernel's scratch function asked for, aligned to 64
  Team* team;
  const BlockOp* const* block_ops;  // by index in the program's table of names; null where a name is no block operation
  i32 name_count;

  template <class T> const T* in(int i) const { return static_cast<const T*>(ins[i].data); }
  template <class T> T* out(int i) const { return static_cast<T*>(outs[i].data); }
  i64 dim(int input, int axis) const { return ins[input].dims[axis]; }
  f32 attr(int i) const { return static_cast<f32>(attrs[i]); }
  i64 index_attr(int i) const { return static_cast<i64>(attrs[i]); }
  i32 threads() const { return team->threads; }

  // f(index, worker): tasks are cut by shape, never by thread count, so that results do not depend on who took which task.
  template <class F> void parallel(i64 count, F f) const {
    // Each task has a copy: what f captured by value then stays in registers, where stores through vectors could change the original.
    team->run(*team, count, [](void* context, i64 index, i32 worker) { F(*static_cast<F*>(context))(index, worker); }, &f);
  }
};

constexpr size_t kRefused = ~size_t{0};

// A kernel by name; kernels of one instruction set form a list that is complete before main.
struct Kernel {
  const char* op;
  void (*run)(const Call&);
  // Bytes of scratch for these shapes, or null for none; kRefused when the kernel cannot run them. Data pointers are not yet valid.
  size_t (*scratch)(const Call&);
  const Kernel* next;
};

// A block operation of the fused elementwise loop: n lanes of 4 bytes each, operands contiguous, may write over an operand.
struct BlockOp {
  const char* op;  // op name and operand dtype: "add.f32"
  i32 inputs;
  void (*run)(i64 n, const void* const* in, void* out);
  const BlockOp* next;
};

namespace OPENMOE_ISA {

extern const Kernel* kernels;
extern const BlockOp* block_ops;

struct AddKernel {
  explicit AddKernel(Kernel& k) { k.next = kernels; kernels = &k; }
};
struct AddBlockOp {
  explicit AddBlockOp(BlockOp& b) { b.next = block_ops; block_ops = &b; }
};

// Vector registers as GCC/Clang vector extensions: one source for AVX-512, AVX2, NEON and SIMD128.
#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef f32 vf __attribute__((vector_size(kLanes * 4), may_alias));
typedef i32 vi __attribute__((vector_size(kLanes * 4), may_alias));
typedef f32 vfu __attribute__((vector_size(kLanes * 4), may_alias, aligned(4)));
typedef i32 viu __attribute__((vector_size(kLanes * 4), may_alias, aligned(4)));

inline vf load(const f32* p) { return *reinterpret_cast<const vfu*>(p); }
inline void store(f32* p, vf v) { *reinterpret_cast<vfu*>(p) = v; }
inline vf splat(f32 x) { return x - vf{}; }

template <class T> constexpr T smaller(T a, T b) { return b < a ? b : a; }
template <class T> constexpr T larger(T a, T b) { return a < b ? b : a; }
inline i64 ceil_div(i64 a, i64 b) { return (a + b - 1) / b; }
inline i64 round_up(i64 a, i64 b) { return ceil_div(a, b) * b; }

}  // namespace OPENMOE_ISA
}  // namespace openmoe

// KERNEL(rms_norm) { … uses `c` … }  or, with scratch:  KERNEL_WITH_SCRATCH(matmul, matmul_scratch) { … }
#define KERNEL_WITH_SCRATCH(name, scratch_fn)                                                    \
  static void name##_run(const Call& c);                                                         \
  static Kernel name##_kernel{#name, name##_run, scratch_fn, nullptr};                           \
  static const AddKernel name##_add{name##_kernel};                                              \
  static void name##_run([[maybe_unused]] const Call& c)
#define KERNEL(name) KERNEL_WITH_SCRATCH(name, nullptr)
