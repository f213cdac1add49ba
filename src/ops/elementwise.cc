// The elementwise primitives as block operations of the fused loop; each is one line that the compiler vectorises.
#include "../../native/vector-math.h"

namespace openmoe::OPENMOE_ISA {
namespace elementwise {

template <class T> inline const T* as(const void* p) { return static_cast<const T*>(p); }
template <class T> inline T* as(void* p) { return static_cast<T*>(p); }

// to_i32 saturates, and NaN becomes 0.
inline i32 truncate(f32 x) {
  if (!(x == x)) return 0;
  if (x >= 2147483648.0f) return 2147483647;
  if (x <= -2147483648.0f) return -2147483647 - 1;
  return static_cast<i32>(x);
}
// NaN wins.
inline f32 greater(f32 a, f32 b) { return a > b || a != a ? a : b; }
inline f32 lesser(f32 a, f32 b) { return a < b || a != a ? a : b; }
inline i32 wrap(i64 x) { return static_cast<i32>(static_cast<uint32_t>(x)); }

}  // namespace elementwise

// BLOCK(name, "op.dtype", From, To, expression of a, b and s): one lane at a time, vectorised by the compiler.
#define BLOCK(name, op, A, B, To, expression)                                         \
  static void name(i64 n, const void* const* in, void* out) {                         \
    const A* pa = elementwise::as<A>(in[0]);                                          \
    [[maybe_unused]] const B* pb = elementwise::as<B>(in[BLOCK_INPUTS - 1]);              \
    To* to = elementwise::as<To>(out);                                                \
    for (i64 i = 0; i < n; ++i) {                                                     \
      const A a = pa[i];                                                              \
      [[maybe_unused]] const B b = pb[i];                                             \
      to[i] = (expression);                                                           \
    }                                                                                 \
  }                                                                                   \
  static BlockOp name##_op{op, BLOCK_INPUTS, name, nullptr};                                        \
  static const AddBlockOp name##_add{name##_op};

// UNARY_VECTOR(name, "op", expression of x): whole registers, for functions that vector-math.h has.
#define UNARY_VECTOR(name, op, expression)                                            \
  static void name(i64 n, const void* const* in, void* out) {                         \
    const f32* from = elementwise::as<f32>(in[0]);                                    \
    f32* to = elementwise::as<f32>(out);                                              \
    for (i64 i = 0; i < n; i += kLanes) {                                             \
      const vf x = load_part(from + i, n - i);                                        \
      store_part(to + i, (expression), n - i);                                        \
    }                                                                                 \
  }                                                                                   \
  static BlockOp name##_op{op, BLOCK_INPUTS, name, nullptr};                                        \
  static const AddBlockOp name##_add{name##_op};

#define BLOCK_INPUTS 1
BLOCK(block_neg_f, "neg.f32", f32, f32, f32, -a)
BLOCK(block_neg_i, "neg.i32", i32, i32, i32, elementwise::wrap(-static_cast<i64>(a)))
BLOCK(block_abs_f, "abs.f32", f32, f32, f32, __builtin_fabsf(a))
BLOCK(block_abs_i, "abs.i32", i32, i32, i32, a < 0 ? elementwise::wrap(-static_cast<i64>(a)) : a)
BLOCK(block_floor_f, "floor.f32", f32, f32, f32, __builtin_floorf(a))
BLOCK(block_sqrt, "sqrt.f32", f32, f32, f32, __builtin_sqrtf(a))
BLOCK(block_rsqrt, "rsqrt.f32", f32, f32, f32, 1.0f / __builtin_sqrtf(a))
BLOCK(block_to_f32, "to_f32.i32", i32, i32, f32, static_cast<f32>(a))
BLOCK(block_to_i32, "to_i32.f32", f32, f32, i32, elementwise::truncate(a))
BLOCK(block_same_f, "to_f32.f32", f32, f32, f32, a)
BLOCK(block_same_i, "to_i32.i32", i32, i32, i32, a)
UNARY_VECTOR(block_exp, "exp.f32", vexp(x))
UNARY_VECTOR(block_log, "log.f32", vlog(x))
UNARY_VECTOR(block_sigmoid, "sigmoid.f32", vsigmoid(x))
UNARY_VECTOR(block_tanh, "tanh.f32", vtanh(x))
#undef BLOCK_INPUTS

#define BLOCK_INPUTS 2
BLOCK(block_add_f, "add.f32", f32, f32, f32, a + b)
BLOCK(block_sub_f, "sub.f32", f32, f32, f32, a - b)
BLOCK(block_mul_f, "mul.f32", f32, f32, f32, a* b)
BLOCK(block_div_f, "div.f32", f32, f32, f32, a / b)
BLOCK(block_max_f, "max.f32", f32, f32, f32, elementwise::greater(a, b))
BLOCK(block_min_f, "min.f32", f32, f32, f32, elementwise::lesser(a, b))
BLOCK(block_less_f, "less.f32", f32, f32, i32, a < b)
BLOCK(block_less_equal_f, "less_equal.f32", f32, f32, i32, a <= b)
BLOCK(block_equal_f, "equal.f32", f32, f32, i32, a == b)
BLOCK(block_add_i, "add.i32", i32, i32, i32, elementwise::wrap(static_cast<i64>(a) + b))
BLOCK(block_sub_i, "sub.i32", i32, i32, i32, elementwise::wrap(static_cast<i64>(a) - b))
BLOCK(block_mul_i, "mul.i32", i32, i32, i32, elementwise::wrap(static_cast<i64>(a) * b))
BLOCK(block_div_i, "div.i32", i32, i32, i32, b == 0 ? 0 : elementwise::wrap(static_cast<i64>(a) / b))
BLOCK(block_max_i, "max.i32", i32, i32, i32, a > b ? a : b)
BLOCK(block_min_i, "min.i32", i32, i32, i32, a < b ? a : b)
BLOCK(block_less_i, "less.i32", i32, i32, i32, a < b)
BLOCK(block_less_equal_i, "less_equal.i32", i32, i32, i32, a <= b)
BLOCK(block_equal_i, "equal.i32", i32, i32, i32, a == b)
#undef BLOCK_INPUTS

// A choice moves 4-byte lanes whatever they mean.
static void block_select(i64 n, const void* const* in, void* out) {
  const i32 *cond = elementwise::as<i32>(in[0]), *a = elementwise::as<i32>(in[1]), *b = elementwise::as<i32>(in[2]);
  i32* to = elementwise::as<i32>(out);
  for (i64 i = 0; i < n; ++i) to[i] = cond[i] ? a[i] : b[i];
}
static BlockOp block_select_f_op{"select.f32", 3, block_select, nullptr};
static const AddBlockOp block_select_f_add{block_select_f_op};
static BlockOp block_select_i_op{"select.i32", 3, block_select, nullptr};
static const AddBlockOp block_select_i_add{block_select_i_op};

}  // namespace openmoe::OPENMOE_ISA
