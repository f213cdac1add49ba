// linear_cross_entropy: loss = Σ scale·(log Z − logit of the target + z·log² Z) of logits = h·w, with its gradients, in chunks of
// tokens so that [T,V] never exists.  T tokens, D features, V vocabulary. Bound by the multipliers: three
// products a chunk, 80–85 % of the FMA peak of Zen 5 cores with 8,192 and 32,128 words; 69 % with 256,384, of which a chunk has 57 tokens:
// too few to pay for turning wᵀ.
#include "../../native/gemm.h"

namespace openmoe::OPENMOE_ISA {
namespace cross_entropy {

constexpr i64 kChunkBytes = i64{56} << 20;
constexpr i64 kChunkTokens = 512;  // enough rows to pay for packing w, few enough for the logits to stay near the cache

struct Shape {
  i64 tokens, features, vocabulary, step, chunk;  // step: floats from one row of logits to the next
  explicit Shape(const Call& c) : tokens(c.dim(0, 0)), features(c.dim(0, 1)), vocabulary(c.dim(1, 1)) {
    step = round_up(larger<i64>(vocabulary, 1), kLanes) + kLanes;  // off a power of two: else the rows of a column share a cache set
    chunk = larger<i64>(1, smaller(kChunkTokens, kChunkBytes / static_cast<i64>(sizeof(f32)) / step));
  }
};

struct Row {
  f32 top, total;
};

// x → exp(x − largest) and their sum: lanes first, then across.
static Row exponentiate(f32* x, i64 n) {
  const i64 whole = n / kLanes * kLanes;
  vf tops = splat(-kInfinity);
  for (i64 i = 0; i < whole; i += kLanes) tops = vmax(load(x + i), tops);
  f32 top = hmax(tops);
  for (i64 i = whole; i < n; ++i) top = x[i] > top ? x[i] : top;
  vf totals{};
  for (i64 i = 0; i < whole; i += kLanes) {
    const vf e = vexp(load(x + i) - top);
    store(x + i, e);
    totals += e;
  }
  f32 total = hsum(totals);
  if (whole < n) {
    const vf e = vexp(load_part(x + whole, n - whole) - top);
    store_part(x + whole, e, n - whole);
    for (i64 i = whole; i < n; ++i) total += x[i];
  }
  return {top, total};
}

// One token: its terms, and its logits turned into their gradients, in place: of type G. Returns its share of the loss.
template <class G> static f32 finish_row(const Call& c, const Shape& shape, i64 token, f32* logits) {
  const i64 vocabulary = shape.vocabulary, target = c.in<i32>(2)[token];
  const f32 z_loss = c.attr(0), scale = c.in<f32>(3)[token];
  const bool known = target >= 0 && target < vocabulary;
  const f32 wanted = known ? logits[target] : 0.f;
  const Row row = exponentiate(logits, vocabulary);
  const f32 log_z = row.top + vlog(splat(row.total))[0], ce = log_z - wanted;
  const f32 factor = scale * (1.f + 2.f * z_loss * log_z) / row.total;
  const f32 of_target = known ? logits[target] * factor - scale : 0.f;
  G* gradients = reinterpret_cast<G*>(logits);
  for (i64 i = 0; i < shape.step; i += kLanes) store(gradients + i, load(logits + i) * factor);
  if (known) store_part(gradients + target, splat(of_target), 1);
  if (f32* out = c.out<f32>(1)) out[token] = ce;
  if (f32* out = c.out<f32>(2)) out[token] = log_z;
  return scale * (ce + z_loss * log_z * log_z);
}

// H: type of h; P: what is multiplied; G: type of the gradients of the logits.
template <class P, class H, class G> void in_chunks(const Call& c) {
  const Shape shape(c);
  const i64 features = shape.features, vocabulary = shape.vocabulary, step = shape.step;
  f32* logits = reinterpret_cast<f32*>(c.scratch);
  f32* losses = logits + shape.chunk * step;
  f32* packs = losses + round_up(shape.tokens, 16);
  const View w{c.in<f32>(1), vocabulary, 1};
  const ViewOf<G> dlogits{reinterpret_cast<G*>(logits), step * static_cast<i64>(sizeof(f32) / sizeof(G)), 1};
  H* dh = c.out<H>(3);
  f32* dw = c.out<f32>(4);
  for (i64 first = 0; first < shape.tokens; first += shape.chunk) {
    const i64 tokens = smaller(shape.chunk, shape.tokens - first);
    const ViewOf<H> h{c.in<H>(0) + first * features, features, 1};
    const Grid forward(tokens, vocabulary, block_rows<P>(features), false), to_h(tokens, features, block_rows<P>(vocabulary), false);
    const Grid to_w(features, vocabulary, block_rows<P>(tokens), true);
    c.parallel(forward.count(), [&](i64 block, i32 worker) {
      multiply_block<P>(forward, block, features, h, w, logits, step, false, packs + worker * kMultiplyScratch);
    });
    c.parallel(tokens, [&](i64 t, i32) { losses[first + t] = finish_row<G>(c, shape, first + t, logits + t * step); });
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
  return (shape.chunk * shape.step + round_up(shape.tokens, 16) + c.threads() * kMultiplyScratch) * sizeof(f32);
}

KERNEL_WITH_SCRATCH(linear_cross_entropy, linear_cross_entropy_scratch) {
  if (c.ins[0].dtype == DType::bf16) {
    cross_entropy::in_chunks<Bf16, bf16, bf16>(c);
  } else {
    cross_entropy::in_chunks<F32, f32, f32>(c);
  }
}

}  // namespace openmoe::OPENMOE_ISA
