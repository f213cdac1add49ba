// linear_cross_entropy: loss = Σ scale·(log Z − logit of the target + z·log² Z) of logits = h·w, with its gradients, in chunks of
// tokens so that [T,V] never exists.  T tokens, D features, V vocabulary. Bound by the multipliers: three products a chunk, 78–85 % of the
// FMA peak of two Zen 5 cores with 8,192 and 32,128 words, 68–80 % in bf16. With 256,384 words, of which a chunk has 57 tokens or 114 in
// bf16, 68–75 and 69–74 %: w is read twice and its gradient updated once a chunk, 27 and 15 GB, at full bandwidth a third of the products' time.
// While logits are in a cache they become weights exp(logit − the largest near it), in the type of h, and those gradients in place.
#include "../../native/gemm.h"

namespace openmoe::OPENMOE_ISA {
namespace cross_entropy {

constexpr i64 kChunkBytes = i64{56} << 20;
constexpr i64 kChunkTokens = 512;  // enough rows to pay for packing w, few enough for the logits to stay near the cache
constexpr i64 kTaskRows = kSums / kSumsStep;  // of logits in f32, which a worker has before they are weights
struct Shape {
  i64 tokens, features, vocabulary, step, chunk;  // step: weights from one row to the next
  Split words;                                    // parts of a row that are exponentiated by themselves
  explicit Shape(const Call& c) : tokens(c.dim(0, 0)), features(c.dim(0, 1)), vocabulary(c.dim(1, 1)), words(0, 1, 1) {
    step = round_up(larger<i64>(vocabulary, 1), 2 * kLanes) + 2 * kLanes;  // off a power of two: else the rows of a column share a cache set
    const i64 bytes = step * kDTypeBytes[static_cast<i32>(c.ins[0].dtype)];
    chunk = larger<i64>(1, smaller(kChunkTokens, kChunkBytes / bytes));
    words = Grid(smaller(chunk, tokens), vocabulary, kTaskRows, false).wide;
  }
};

// Of some logits of a token: the largest, and the sum of exp(logit − largest).
struct Part {
  f32 top, total;
};

// weights = exp(x − largest), and their sum in f32: lanes first, then across.
template <class G> static Part exponentiate(const f32* x, i64 n, G* weights) {
  const i64 whole = n / kLanes * kLanes;
  vf tops = splat(-kInfinity);
  for (i64 i = 0; i < whole; i += kLanes) tops = vmax(load(x + i), tops);
  f32 top = hmax(tops);
  for (i64 i = whole; i < n; ++i) top = x[i] > top ? x[i] : top;
  const f32 from = top == -kInfinity ? 0.f : top;  // other parts may have finite logits
  vf totals{};
  for (i64 i = 0; i < whole; i += kLanes) {
    const vf e = vexp(load(x + i) - from);
    store(weights + i, e);
    totals += e;
  }
  f32 total = hsum(totals);
  if (whole < n) {
    const vf e = vexp(load_part(x + whole, n - whole) - from);
    store_part(weights + whole, e, n - whole);
    for (i64 i = whole; i < n; ++i) total += e[i - whole];
  }
  return {top, total};
}

// One token: its terms, and the weights of its words turned into the gradients of their logits, in place. Returns its share of the loss.
template <class G> static f32 finish_row(const Call& c, const Shape& shape, i64 token, const Part* parts, f32 logit, G* weights) {
  const i64 target = c.in<i32>(2)[token];
  const bool known = target >= 0 && target < shape.vocabulary;
  const f32 wanted = known ? logit : 0.f;
  const f32 z_loss = c.attr(0), scale = c.in<f32>(3)[token];
  f32 top = -kInfinity, total = 0;
  for (i64 q = 0; q < shape.words.count; ++q) top = parts[q].top > top ? parts[q].top : top;
  for (i64 q = 0; q < shape.words.count; ++q) total += parts[q].total * vexp(splat(parts[q].top - top))[0];
  const f32 log_z = top + vlog(splat(total))[0], ce = log_z - wanted;
  const f32 factor = scale * (1.f + 2.f * z_loss * log_z) / total;
  for (i64 q = 0; q < shape.words.count; ++q) {
    const f32 by = factor * vexp(splat(parts[q].top - top))[0];
    G* part = weights + shape.words.begin(q);
    each_lanes(shape.words.size(q), [&](i64 i, auto lanes) { put(part + i, get(part + i, lanes) * by, lanes); });
  }
  if (known) store_part(weights + target, splat(factor * vexp(splat(wanted - top))[0] - scale), 1);
  if (f32* out = c.out<f32>(1)) out[token] = ce;
  if (f32* out = c.out<f32>(2)) out[token] = log_z;
  return scale * (ce + z_loss * log_z * log_z);
}

// P: what is multiplied; H: type of h, and of the gradients of the logits.
template <class P, class H> void in_chunks(const Call& c) {
  const Shape shape(c);
  const i64 features = shape.features, vocabulary = shape.vocabulary, step = shape.step;
  f32* losses = reinterpret_cast<f32*>(c.scratch);
  f32* wanted = losses + round_up(shape.tokens, 16);
  Part* parts = reinterpret_cast<Part*>(wanted + kChunkTokens);
  f32* packs = reinterpret_cast<f32*>(parts + shape.chunk * round_up(shape.words.count, 8));
  H* weights = reinterpret_cast<H*>(packs + c.threads() * kMultiplyScratch);
  const View w{c.in<f32>(1), vocabulary, 1};
  const ViewOf<H> dlogits{weights, step, 1};
  H* dh = c.out<H>(3);
  f32* dw = c.out<f32>(4);
  for (i64 first = 0; first < shape.tokens; first += shape.chunk) {
    const i64 tokens = smaller(shape.chunk, shape.tokens - first);
    const ViewOf<H> h{c.in<H>(0) + first * features, features, 1};
    const Split rows(tokens, ceil_div(tokens, ceil_div(tokens, smaller(kTaskRows, block_rows<P>(features)))), 1);
    const Grid to_h(tokens, features, block_rows<P>(vocabulary), false), to_w(features, vocabulary, block_rows<P>(tokens), true);
    c.parallel(rows.count * shape.words.count, [&](i64 task, i32 worker) {
      const i64 q = task / rows.count, begin = rows.begin(task % rows.count), high = rows.size(task % rows.count);
      const i64 word = shape.words.begin(q), wide = shape.words.size(q);
      f32 *pack = packs + worker * kMultiplyScratch, *logits = pack + kPackedCols + kCopiedRows;
      multiply<P>(high, wide, features, h.at(begin, 0), w.at(0, word), logits, kSumsStep, false, pack);
      for (i64 t = 0; t < high; ++t) {
        const i64 at = begin + t, target = c.in<i32>(2)[first + at];
        if (target >= word && target < word + wide) wanted[at] = logits[t * kSumsStep + target - word];
        parts[at * shape.words.count + q] = exponentiate(logits + t * kSumsStep, wide, weights + at * step + word);
      }
    });
    c.parallel(tokens, [&](i64 t, i32) {
      losses[first + t] = finish_row(c, shape, first + t, parts + t * shape.words.count, wanted[t], weights + t * step);
    });
    const i64 h_blocks = dh ? to_h.count() : 0, w_blocks = dw ? to_w.count() : 0;
    c.parallel(h_blocks + w_blocks, [&](i64 task, i32 worker) {  // the deep products first: they are the longest tasks
      f32* pack = packs + worker * kMultiplyScratch;
      if (task < h_blocks) {
        multiply_block<P>(to_h, task, vocabulary, dlogits, transposed(w), dh + first * features, features, false, pack);
      } else {
        multiply_block<P>(to_w, task - h_blocks, tokens, transposed(h), dlogits, dw, vocabulary, first > 0, pack);
      }
    });
  }
  if (dw && shape.tokens == 0) __builtin_memset(dw, 0, features * vocabulary * sizeof(f32));
  double loss = 0;
  for (i64 t = 0; t < shape.tokens; ++t) loss += losses[t];
  if (f32* out = c.out<f32>(0)) *out = static_cast<f32>(loss);
}

}  // namespace cross_entropy

static size_t linear_cross_entropy_scratch(const Call& c) {
  const cross_entropy::Shape shape(c);
  const i64 words = 2 * shape.chunk * round_up(shape.words.count, 8);
  const i64 numbers = round_up(shape.tokens, 16) + cross_entropy::kChunkTokens + words + c.threads() * kMultiplyScratch;
  return numbers * sizeof(f32) + shape.chunk * shape.step * kDTypeBytes[static_cast<i32>(c.ins[0].dtype)];
}

KERNEL_WITH_SCRATCH(linear_cross_entropy, linear_cross_entropy_scratch) {
  if (c.ins[0].dtype == DType::bf16) {
    cross_entropy::in_chunks<Bf16, bf16>(c);
  } else {
    cross_entropy::in_chunks<F32, f32>(c);
  }
}

}  // namespace openmoe::OPENMOE_ISA
