// Rows of attention's operands, asked for ahead of their use: a head is a narrow column of each operand, which the hardware's own
// prefetching does not follow. A few cache lines at a time between panels: more would hold up the loads of the products behind them.
#pragma once
#include "attention-mask.h"

namespace openmoe::OPENMOE_ISA {
namespace attention {

class Prefetch {
 public:
  explicit Prefetch(const Shape& shape) : features_(shape.features), size_(shape.size) {}

  // Rows of a head; none where there is no operand.
  void add(const f32* at, i64 rows) {
    if (!at || rows <= 0) return;
    list_[end_++] = {at, rows};
    rows_ += rows;
  }
  // All of it within so many steps.
  void pace(i64 steps) { each_ = steps > 0 ? ceil_div(rows_, steps) : rows_; }

  void step() {
    if (next_ == end_) return;
    Rows& rows = list_[next_];
    const i64 n = smaller(each_, rows.count);
    for (i64 i = 0; i < n; ++i, rows.at += features_) {
      for (i64 d = 0; d < size_; d += kLine) __builtin_prefetch(rows.at + d, 0, 2);
    }
    rows.count -= n;
    next_ += rows.count == 0;
  }
  void rest() {
    each_ = rows_;
    while (next_ < end_) step();
  }

 private:
  static constexpr i64 kLine = 16, kMost = 8;  // floats of a cache line; operands
  struct Rows {
    const f32* at;
    i64 count;
  };
  Rows list_[kMost];
  i64 features_, size_, next_ = 0, end_ = 0, rows_ = 0, each_ = 0;
};

// While a tile of keys is worked on: what the next one needs, and beside the last ones what comes after the block of queries.
struct Pace {
  Prefetch keys, *after;  // after: null where there is time yet
  void step() {
    keys.step();
    if (after) after->step();
  }
};

// Steps in which a block of queries goes through the keys from its own first on, a step for each panel: where its work ends.
inline i64 last_steps(i64 queries) { return queries * (queries / kWide + 1) / (2 * kRows); }

}  // namespace attention
}  // namespace openmoe::OPENMOE_ISA
