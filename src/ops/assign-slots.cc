// assign_slots: seats by priority and capacity. Integer counting, linear in the choices; on one thread: microseconds.
#include "../../native/kernel.h"

namespace openmoe::OPENMOE_ISA {
namespace slots_detail {

inline size_t scratch(const Call& c) {
  const i64 groups = c.dim(0, 0) / larger<i64>(1, c.index_attr(1));
  return sizeof(i32) * (c.index_attr(0) * (groups + 1) + c.ins[0].size() * 2);
}

}  // namespace slots_detail

KERNEL_WITH_SCRATCH(assign_slots, slots_detail::scratch) {
  const i64 T = c.dim(0, 0), K = c.dim(0, 1), E = c.index_attr(0), group = c.index_attr(1), capacity = c.index_attr(2);
  const i64 groups = T / group;
  const i32* chosen = c.in<i32>(0);
  i32 *assignments = c.out<i32>(0), *sizes = c.out<i32>(4);
  i32* first = reinterpret_cast<i32*>(c.scratch);  // [E][groups + 1]: seats kept, then where they begin
  i32* slots = c.out<i32>(2) ? c.out<i32>(2) : first + E * (groups + 1);
  i32* where = c.out<i32>(1) ? c.out<i32>(1) : first + E * (groups + 1) + T * K;
  i32* kept = c.out<i32>(3);

  for (i64 i = 0; i < E * (groups + 1); ++i) first[i] = 0;
  for (i64 g = 0; g < groups; ++g)
    for (i64 k = 0; k < K; ++k)
      for (i64 t = g * group; t < (g + 1) * group; ++t) {
        const i64 at = t * K + k, e = chosen[at];
        slots[at] = e >= 0 && e < E ? first[e * (groups + 1) + g]++ : -1;
      }
  // Counts, overflow included, become the seats' first positions: by expert, then group.
  i32 position = 0;
  for (i64 e = 0; e < E; ++e) {
    const i32 start = position;
    for (i64 g = 0; g < groups; ++g) {
      const i64 taken = smaller<i64>(first[e * (groups + 1) + g], capacity);
      first[e * (groups + 1) + g] = position;
      position += static_cast<i32>(taken);
    }
    if (sizes) sizes[e] = position - start;
  }
  for (i64 i = 0; assignments && i < T * K; ++i) assignments[i] = -1;
  for (i64 at = 0; at < T * K; ++at) {
    const bool fits = slots[at] >= 0 && slots[at] < capacity;
    where[at] = fits ? first[chosen[at] * (groups + 1) + at / K / group] + slots[at] : -1;
    if (kept) kept[at] = fits;
    if (fits && assignments) assignments[where[at]] = static_cast<i32>(at);
  }
}

}  // namespace openmoe::OPENMOE_ISA
