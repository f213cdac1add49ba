// Node-API shell: hands programs and memory between JavaScript and the machine. Every entry checks what it is given.
#include <fcntl.h>
#include <node_api.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

#include "probe.h"
#include "system.h"
#include "threads.h"
#include "vm.h"

namespace openmoe {
namespace {

// Returns from the entry with a JavaScript exception when a Node-API call fails.
#define CHECK(call, what)                                              \
  do {                                                                 \
    if ((call) != napi_ok) {                                           \
      napi_throw_error(env, "E_ADDON", "internal: addon: " what);      \
      return nullptr;                                                  \
    }                                                                  \
  } while (0)

// Only the JavaScript thread reads and writes the flags and counts below.
struct Engine {
  Pool* pool;
  const Isa* isa;
  int threads;
  bool busy = false;  // one run or probe at a time: they share the threads
};
// Kept by its handle and by the array buffer over its arena: a result may outlive the program's handle.
struct Loaded {
  Machine machine;
  bool running = false, closed = false;
  int holders = 0;
  napi_ref arena = nullptr;

  static void let_go(napi_env, void*, void* hint) {
    Loaded* loaded = static_cast<Loaded*>(hint);
    if (--loaded->holders == 0) delete loaded;
  }
};

template <int N> bool arguments(napi_env env, napi_callback_info info, napi_value (&out)[N]) {
  size_t count = N;
  return napi_get_cb_info(env, info, &count, out, nullptr, nullptr) == napi_ok && count == N;
}
template <class T> T* external(napi_env env, napi_value value) {
  void* data = nullptr;
  return napi_get_value_external(env, value, &data) == napi_ok ? static_cast<T*>(data) : nullptr;
}
napi_value number(napi_env env, double x) {
  napi_value value;
  napi_create_double(env, x, &value);
  return value;
}
napi_value text(napi_env env, const char* x) {
  napi_value value;
  napi_create_string_utf8(env, x, NAPI_AUTO_LENGTH, &value);
  return value;
}
void set(napi_env env, napi_value object, const char* key, napi_value value) { napi_set_named_property(env, object, key, value); }

std::string read_text(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return {};
  std::string result(length, '\0');
  napi_get_value_string_utf8(env, value, result.data(), length + 1, &length);
  return result;
}

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

// alloc(bytes) → ArrayBuffer of zeros, aligned for the kernels; throws E_MEMORY when there is none
napi_value Alloc(napi_env env, napi_callback_info info) {
  napi_value in[1], result;
  double bytes = 0;
  CHECK(arguments(env, info, in) && napi_get_value_double(env, in[0], &bytes) == napi_ok && bytes >= 0 && bytes <= kMaxBytes ? napi_ok : napi_invalid_arg, "alloc(bytes)");
  struct Mapping {
    size_t mapped, bytes;
    bool small;
  };
  // Small arrays come from the heap: a mapping of their own would cost megabytes each.
  const size_t size = static_cast<size_t>(bytes) + 64;
  const bool small = size < (size_t{1} << 20);
  Mapping* mapping = new (std::nothrow) Mapping{0, size, small};
  char* memory = !mapping ? nullptr : small ? static_cast<char*>(aligned_alloc(64, (size + 63) / 64 * 64)) : map_memory(size, &mapping->mapped);
  if (!memory) {
    delete mapping;
    napi_throw_error(env, "E_MEMORY", "out of memory");
    return nullptr;
  }
  if (small) __builtin_memset(memory, 0, size);
  FORBID(memory + static_cast<size_t>(bytes), 64);
  const auto release = [](napi_env e, void* data, void* hint) {
    Mapping* m = static_cast<Mapping*>(hint);
    int64_t total;
    napi_adjust_external_memory(e, -static_cast<int64_t>(m->bytes), &total);
    PERMIT(data, m->bytes);
    if (m->small)
      free(data);
    else
      unmap_memory(static_cast<char*>(data), m->mapped);
    delete m;
  };
  int64_t total;
  napi_adjust_external_memory(env, static_cast<int64_t>(size), &total);
  if (napi_create_external_arraybuffer(env, memory, static_cast<size_t>(bytes), release, mapping, &result) != napi_ok) {
    release(env, memory, mapping);
    napi_throw_error(env, "E_MEMORY", "out of memory");
    return nullptr;
  }
  return result;
}

// map(path, begin, end) → ArrayBuffer over these bytes of a file, which are read when they are touched; throws E_MAP with the reason.
// What is written to it stays in memory.
napi_value Map(napi_env env, napi_callback_info info) {
  napi_value in[3], result;
  double begin = 0, end = 0;
  CHECK(arguments(env, info, in) && napi_get_value_double(env, in[1], &begin) == napi_ok && napi_get_value_double(env, in[2], &end) == napi_ok && begin >= 0 &&
                end > begin && end <= kMaxBytes
            ? napi_ok
            : napi_invalid_arg,
        "map(path, begin, end)");
  const std::string path = read_text(env, in[0]);
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), first = static_cast<size_t>(begin), skip = first % page;
  const size_t bytes = static_cast<size_t>(end) - first;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status;
  const bool whole = file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode) && static_cast<double>(status.st_size) >= end;
  void* memory = whole ? mmap(nullptr, skip + bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file, static_cast<off_t>(first - skip)) : MAP_FAILED;
  if (file >= 0) close(file);
  if (memory == MAP_FAILED) return napi_throw_error(env, "E_MAP", whole ? "the system maps no more memory" : "the file is not there or too short"), nullptr;
  struct Range {
    void* start;
    size_t length;
  };
  Range* range = new (std::nothrow) Range{memory, skip + bytes};
  const auto release = [](napi_env, void*, void* hint) {
    Range* r = static_cast<Range*>(hint);
    munmap(r->start, r->length);
    delete r;
  };
  if (!range || napi_create_external_arraybuffer(env, static_cast<char*>(memory) + skip, bytes, release, range, &result) != napi_ok) {
    if (range) release(env, nullptr, range);
    return napi_throw_error(env, "E_MEMORY", "out of memory"), nullptr;
  }
  return result;
}

// load(engine, words, names) → program { handle, arena, scratch }; throws with the reason when the program is refused
napi_value Load(napi_env env, napi_callback_info info) {
  napi_value in[3], result;
  CHECK(arguments(env, info, in) ? napi_ok : napi_invalid_arg, "load(engine, words, names)");
  Engine* engine = external<Engine>(env, in[0]);
  napi_typedarray_type type;
  size_t count = 0;
  void* words = nullptr;
  uint32_t name_count = 0;
  CHECK(engine && napi_get_typedarray_info(env, in[1], &type, &count, &words, nullptr, nullptr) == napi_ok && type == napi_float64_array &&
                napi_get_array_length(env, in[2], &name_count) == napi_ok
            ? napi_ok
            : napi_invalid_arg,
        "load(engine, words, names)");
  std::vector<std::string> names;
  for (uint32_t i = 0; i < name_count; ++i) {
    napi_value name;
    napi_get_element(env, in[2], i, &name);
    names.push_back(read_text(env, name));
  }
  Loaded* loaded = new (std::nothrow) Loaded;
  if (!loaded) return napi_throw_error(env, "E_MEMORY", "out of memory"), nullptr;
  const std::string wrong = loaded->machine.load(static_cast<double*>(words), count, names, *engine->isa, engine->threads);
  if (!wrong.empty()) {
    delete loaded;
    napi_throw_error(env, wrong == "out of memory" ? "E_MEMORY" : "E_PROGRAM", wrong.c_str());
    return nullptr;
  }
  napi_value handle, arena;
  loaded->holders = 1;
  const auto drop = [](napi_env e, void* data, void* hint) {
    Loaded* l = static_cast<Loaded*>(data);
    if (l->arena) napi_delete_reference(e, l->arena);
    l->arena = nullptr;
    Loaded::let_go(e, data, hint);
  };
  if (napi_create_external(env, loaded, drop, loaded, &handle) != napi_ok) {
    delete loaded;
    napi_throw_error(env, "E_MEMORY", "out of memory");
    return nullptr;
  }
  loaded->holders = 2;
  if (napi_create_external_arraybuffer(env, loaded->machine.arena(), loaded->machine.arena_bytes(), Loaded::let_go, loaded, &arena) != napi_ok) {
    loaded->holders = 1;
    napi_throw_error(env, "E_MEMORY", "out of memory");
    return nullptr;
  }
  CHECK(napi_create_reference(env, arena, 0, &loaded->arena), "arena");
  napi_create_object(env, &result);
  set(env, result, "handle", handle);
  set(env, result, "arena", arena);
  set(env, result, "scratch", number(env, static_cast<double>(loaded->machine.scratch_bytes())));
  return result;
}

// One run on its way: what it needs is kept alive until it ends.
struct Job {
  Engine* engine;
  Loaded* loaded;
  std::vector<void*> buffers;
  napi_deferred deferred;
  napi_async_work work;
  napi_ref keep;
  bool finished;
};

// Whether it ran to its end.
bool execute(Engine* engine, Loaded& loaded, const std::vector<void*>& buffers) {
  const FlushDenormals flush;
  return loaded.machine.run(buffers.data(), engine->pool);
}

void Execute(napi_env, void* data) {
  Job* job = static_cast<Job*>(data);
  job->finished = execute(job->engine, *job->loaded, job->buffers);
}
void Complete(napi_env env, napi_status, void* data) {
  Job* job = static_cast<Job*>(data);
  job->loaded->running = job->engine->busy = false;
  if (job->loaded->closed) job->loaded->machine.release();
  napi_value finished;
  napi_get_boolean(env, job->finished, &finished);
  napi_resolve_deferred(env, job->deferred, finished);
  napi_delete_reference(env, job->keep);
  napi_delete_async_work(env, job->work);
  delete job;
}

// What run and run_now are given, checked. False after a JavaScript exception.
struct Bound {
  Engine* engine;
  Loaded* loaded;
  std::vector<void*> buffers;
};
bool bind(napi_env env, napi_value (&in)[3], Bound* to) {
  const auto refuse = [&](const char* reason) { return napi_throw_error(env, "E_PROGRAM", reason), false; };
  to->engine = external<Engine>(env, in[0]);
  to->loaded = external<Loaded>(env, in[1]);
  uint32_t count = 0;
  if (!to->engine || !to->loaded || napi_get_array_length(env, in[2], &count) != napi_ok) return refuse("run(engine, handle, buffers)");
  if (to->loaded->closed || !to->engine->pool) return refuse("the program is closed");
  if (to->engine->busy || to->loaded->running) return refuse("a program is running");
  if (!to->loaded->machine.fits(*to->engine->isa, to->engine->threads)) return refuse("loaded for another engine");
  const std::vector<size_t>& sizes = to->loaded->machine.argument_bytes();
  if (count != sizes.size()) return refuse("wrong number of arguments");
  to->buffers.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    napi_value buffer;
    void* memory = nullptr;
    size_t bytes = 0;
    napi_get_element(env, in[2], i, &buffer);
    if (napi_get_arraybuffer_info(env, buffer, &memory, &bytes) != napi_ok || bytes < sizes[i])
      return refuse("an argument is smaller than the program says");
    to->buffers.push_back(memory);
  }
  return true;
}

// run(engine, handle, buffers) → promise of whether it ran to its end (false: cancelled)
napi_value Run(napi_env env, napi_callback_info info) {
  napi_value in[3], promise;
  CHECK(arguments(env, info, in) ? napi_ok : napi_invalid_arg, "run(engine, handle, buffers)");
  Bound bound{};
  if (!bind(env, in, &bound)) return nullptr;
  Job* job = new (std::nothrow) Job{bound.engine, bound.loaded, static_cast<std::vector<void*>&&>(bound.buffers), nullptr, nullptr, nullptr, false};
  if (!job) return napi_throw_error(env, "E_MEMORY", "out of memory"), nullptr;
  napi_value kept;
  napi_create_array(env, &kept);
  for (uint32_t i = 0; i < 3; ++i) napi_set_element(env, kept, i, in[i]);
  CHECK(napi_create_reference(env, kept, 1, &job->keep), "reference");
  CHECK(napi_create_promise(env, &job->deferred, &promise), "promise");
  CHECK(napi_create_async_work(env, nullptr, text(env, "openmoe.run"), Execute, Complete, job, &job->work), "work");
  bound.loaded->machine.ready();
  bound.loaded->running = bound.engine->busy = true;
  CHECK(napi_queue_async_work(env, job->work), "queue");
  return promise;
}

// run_now(engine, handle, buffers): the same on the calling thread, for programs that take less than handing them over
napi_value RunNow(napi_env env, napi_callback_info info) {
  napi_value in[3];
  CHECK(arguments(env, info, in) ? napi_ok : napi_invalid_arg, "runNow(engine, handle, buffers)");
  Bound bound{};
  if (!bind(env, in, &bound)) return nullptr;
  bound.loaded->machine.ready();
  execute(bound.engine, *bound.loaded, bound.buffers);
  return nullptr;
}

napi_value Cancel(napi_env env, napi_callback_info info) {
  napi_value in[1];
  CHECK(arguments(env, info, in) ? napi_ok : napi_invalid_arg, "cancel(handle)");
  if (Loaded* loaded = external<Loaded>(env, in[0])) loaded->machine.cancel();
  return nullptr;
}

// profile(handle) → Float64Array: runs, then nanoseconds of each instruction so far
napi_value Profile(napi_env env, napi_callback_info info) {
  napi_value in[1], buffer, result;
  CHECK(arguments(env, info, in) ? napi_ok : napi_invalid_arg, "profile(handle)");
  Loaded* loaded = external<Loaded>(env, in[0]);
  CHECK(loaded ? napi_ok : napi_invalid_arg, "profile(handle)");
  const std::vector<double>& spent = loaded->machine.spent();
  void* memory = nullptr;
  CHECK(napi_create_arraybuffer(env, sizeof(double) * (spent.size() + 1), &memory, &buffer), "profile");
  double* out = static_cast<double*>(memory);
  out[0] = loaded->machine.runs();
  for (size_t i = 0; i < spent.size(); ++i) out[i + 1] = spent[i];
  CHECK(napi_create_typedarray(env, napi_float64_array, spent.size() + 1, buffer, 0, &result), "profile");
  return result;
}

// record(handle): the next run becomes a timeline
napi_value Record(napi_env env, napi_callback_info info) {
  napi_value in[1];
  CHECK(arguments(env, info, in) ? napi_ok : napi_invalid_arg, "record(handle)");
  Loaded* loaded = external<Loaded>(env, in[0]);
  CHECK(loaded && !loaded->running ? napi_ok : napi_invalid_arg, "record(handle)");
  loaded->machine.record();
  return nullptr;
}

// timeline(handle) → Float64Array of the run recorded last: thread (−1: the instruction as a whole), instruction, begin, end in nanoseconds
napi_value Timeline(napi_env env, napi_callback_info info) {
  napi_value in[1], buffer, result;
  CHECK(arguments(env, info, in) ? napi_ok : napi_invalid_arg, "timeline(handle)");
  Loaded* loaded = external<Loaded>(env, in[0]);
  CHECK(loaded && !loaded->running ? napi_ok : napi_invalid_arg, "timeline(handle)");
  void* memory = nullptr;
  const std::vector<Span>& spans = loaded->machine.spans();
  const size_t bytes = sizeof(Span) * spans.size();
  CHECK(napi_create_arraybuffer(env, bytes, &memory, &buffer), "timeline");
  if (bytes) __builtin_memcpy(memory, spans.data(), bytes);
  CHECK(napi_create_typedarray(env, napi_float64_array, bytes / sizeof(double), buffer, 0, &result), "timeline");
  return result;
}

// close(handle): results become empty and the memory goes, at once or when the run on its way ends
napi_value Close(napi_env env, napi_callback_info info) {
  napi_value in[1], arena;
  CHECK(arguments(env, info, in) ? napi_ok : napi_invalid_arg, "close(handle)");
  Loaded* loaded = external<Loaded>(env, in[0]);
  if (!loaded || loaded->closed) return nullptr;
  loaded->closed = true;
  if (loaded->arena && napi_get_reference_value(env, loaded->arena, &arena) == napi_ok && arena) napi_detach_arraybuffer(env, arena);
  if (!loaded->running) loaded->machine.release();
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
