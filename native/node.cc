// Node-API shell: hands programs and memory between JavaScript and the machine. Every entry checks what it is given.
#include "node.h"

#include <new>

#include "probe.h"

namespace openmoe {
namespace {

// info() → { isas: [{ name, present }] }
napi_value Info(napi_env env, napi_callback_info) {
  napi_value result, list;
  napi_create_object(env, &result);
  napi_create_array(env, &list);
  uint32_t at = 0;
  for (const Isa& isa : isas()) {
    napi_value entry, present;
    napi_create_object(env, &entry);
    napi_get_boolean(env, isa.present, &present);
    set(env, entry, "name", text(env, isa.name));
    set(env, entry, "present", present);
    napi_set_element(env, list, at++, entry);
  }
  set(env, result, "isas", list);
#if defined(__x86_64__)
  napi_value bf16, vnni;
  napi_get_boolean(env, __builtin_cpu_supports("avx512bf16"), &bf16);
  napi_get_boolean(env, __builtin_cpu_supports("avx512vnni"), &vnni);
  set(env, result, "bf16", bf16);
  set(env, result, "vnni", vnni);
#endif
  return result;
}

// kernels(isa) → names of the ops that it has kernels for
napi_value Kernels(napi_env env, napi_callback_info info) {
  napi_value in[1], list;
  CHECK(arguments(env, info, in) ? napi_ok : napi_invalid_arg, "kernels(isa)");
  const std::string name = read_text(env, in[0]);
  napi_create_array(env, &list);
  uint32_t at = 0;
  for (const Isa& isa : isas()) {
    if (name != isa.name) continue;
    for (const Kernel* k = *isa.kernels; k; k = k->next) napi_set_element(env, list, at++, text(env, k->op));
    for (const BlockOp* b = *isa.block_ops; b; b = b->next) napi_set_element(env, list, at++, text(env, b->op));
  }
  return list;
}

// open(threads, isa) → engine
napi_value Open(napi_env env, napi_callback_info info) {
  napi_value in[2], result;
  int32_t threads = 0;
  CHECK(arguments(env, info, in) && napi_get_value_int32(env, in[0], &threads) == napi_ok ? napi_ok : napi_invalid_arg, "open(threads, isa)");
  const std::string name = read_text(env, in[1]);
  for (const Isa& isa : isas()) {
    if (name != isa.name || !isa.present) continue;
    Pool* pool = pool_create(threads);
    Engine* engine = pool ? new (std::nothrow) Engine{pool, &isa, pool_team(pool)->threads} : nullptr;
    if (!engine) {
      pool_destroy(pool);
      napi_throw_error(env, "E_MEMORY", "out of memory");
      return nullptr;
    }
    CHECK(napi_create_external(env, engine, [](napi_env, void* data, void*) {
      Engine* e = static_cast<Engine*>(data);
      pool_destroy(e->pool);
      delete e;
    }, nullptr, &result), "engine");
    return result;
  }
  napi_throw_error(env, "E_ISA", "this processor or this build lacks the instruction set");
  return nullptr;
}

// shut(engine): its threads end; a run on its way goes first. Programs loaded for it cannot run any more.
napi_value Shut(napi_env env, napi_callback_info info) {
  napi_value in[1];
  CHECK(arguments(env, info, in) ? napi_ok : napi_invalid_arg, "shut(engine)");
  Engine* engine = external<Engine>(env, in[0]);
  CHECK(engine ? napi_ok : napi_invalid_arg, "shut(engine)");
  if (engine->busy) return napi_throw_error(env, "E_PROGRAM", "a program is running"), nullptr;
  pool_destroy(engine->pool);
  engine->pool = nullptr;
  return nullptr;
}

// probe(engine, what, seconds, bytes) → GFLOP/s, or over so many bytes { read, update } in GB/s
napi_value Probe(napi_env env, napi_callback_info info) {
  napi_value in[4], result;
  double seconds = 0, bytes = 0;
  CHECK(arguments(env, info, in) && napi_get_value_double(env, in[2], &seconds) == napi_ok && napi_get_value_double(env, in[3], &bytes) == napi_ok && bytes >= 0 &&
                bytes <= kMaxBytes
            ? napi_ok
            : napi_invalid_arg,
        "probe(engine, what, seconds, bytes)");
  Engine* engine = external<Engine>(env, in[0]);
  CHECK(engine ? napi_ok : napi_invalid_arg, "probe(engine, what, seconds, bytes)");
  if (engine->busy || !engine->pool) return napi_throw_error(env, "E_PROGRAM", "a program is running"), nullptr;
  Team* team = pool_team(engine->pool);
  const std::string what = read_text(env, in[1]);
  if (what == "peak" || what == "peakBf16") return number(env, probe_peak(team, what == "peakBf16", seconds));
  const Bandwidth bandwidth = probe_bandwidth(team, static_cast<size_t>(bytes), seconds);
  napi_create_object(env, &result);
  set(env, result, "read", number(env, bandwidth.read));
  set(env, result, "update", number(env, bandwidth.update));
  return result;
}

}  // namespace
}  // namespace openmoe

NAPI_MODULE_INIT() {
  using namespace openmoe;
  const struct {
    const char* name;
    napi_callback call;
  } entries[] = {{"info", Info}, {"kernels", Kernels}, {"open", Open}, {"shut", Shut}, {"alloc", Alloc}, {"map", Map}, {"load", Load}, {"run", Run},
                 {"runNow", RunNow}, {"cancel", Cancel}, {"profile", Profile}, {"record", Record}, {"timeline", Timeline}, {"close", Close}, {"probe", Probe}};
  for (const auto& entry : entries) {
    napi_value function;
    napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.call, nullptr, &function);
    napi_set_named_property(env, exports, entry.name, function);
  }
  return exports;
}
