// Node-API shell: programs loaded, run, watched and closed.
#include <atomic>
#include <new>

#include "node.h"

namespace openmoe {
namespace {

// Kept by its handle and by the array buffer over its arena: a result may outlive the program's handle. Only the JavaScript thread reads and
// writes its flags and counts.
struct Loaded {
  Machine machine;
  bool running = false, closed = false;
  int holders = 0;
  napi_ref arena = nullptr;
  // The array of buffers of the last run and their memory, looked up once: the array keeps them alive, and their memory stays where it is
  // unless a program closes whose arena is one of them.
  napi_ref array = nullptr;
  std::vector<void*> buffers;
  uint32_t closings = 0;

  void forget(napi_env env) {
    if (array) napi_delete_reference(env, array);
    array = nullptr;
  }

  static void let_go(napi_env, void*, void* hint) {
    Loaded* loaded = static_cast<Loaded*>(hint);
    if (--loaded->holders == 0) delete loaded;
  }
};

// Programs closed so far.
std::atomic<uint32_t> all_closings{0};

// One run on its way: what it needs is kept alive until it ends.
struct Job {
  Engine* engine;
  Loaded* loaded;
  napi_deferred deferred;
  napi_async_work work;
  napi_ref keep;
  bool finished;
};

// Whether it ran to its end.
bool execute(Engine* engine, Loaded& loaded) {
  const FlushDenormals flush;
  return loaded.machine.run(loaded.buffers.data(), engine->pool);
}

void Execute(napi_env, void* data) {
  Job* job = static_cast<Job*>(data);
  job->finished = execute(job->engine, *job->loaded);
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
};
// The same array as last time?
bool bound_before(napi_env env, const Loaded& loaded, napi_value array) {
  napi_value last;
  bool same = false;
  return loaded.array && loaded.closings == all_closings.load() && napi_get_reference_value(env, loaded.array, &last) == napi_ok && last &&
         napi_strict_equals(env, last, array, &same) == napi_ok && same;
}
bool bind(napi_env env, napi_value (&in)[3], Bound* to) {
  const auto refuse = [&](const char* reason) { return napi_throw_error(env, "E_PROGRAM", reason), false; };
  to->engine = external<Engine>(env, in[0]);
  to->loaded = external<Loaded>(env, in[1]);
  if (!to->engine || !to->loaded) return refuse("run(engine, handle, buffers)");
  if (to->loaded->closed || !to->engine->pool) return refuse("the program is closed");
  if (to->engine->busy || to->loaded->running) return refuse("a program is running");
  if (!to->loaded->machine.fits(*to->engine->isa, to->engine->threads)) return refuse("loaded for another engine");
  Loaded& loaded = *to->loaded;
  if (bound_before(env, loaded, in[2])) return true;
  uint32_t count = 0;
  if (napi_get_array_length(env, in[2], &count) != napi_ok) return refuse("run(engine, handle, buffers)");
  const std::vector<size_t>& sizes = loaded.machine.argument_bytes();
  if (count != sizes.size()) return refuse("wrong number of arguments");
  loaded.forget(env);
  loaded.buffers.clear();
  for (uint32_t i = 0; i < count; ++i) {
    napi_value buffer;
    void* memory = nullptr;
    size_t bytes = 0;
    napi_get_element(env, in[2], i, &buffer);
    if (napi_get_arraybuffer_info(env, buffer, &memory, &bytes) != napi_ok || bytes < sizes[i])
      return refuse("an argument is smaller than the program says");
    loaded.buffers.push_back(memory);
  }
  loaded.closings = all_closings.load();
  if (napi_create_reference(env, in[2], 1, &loaded.array) != napi_ok) return refuse("reference");
  return true;
}

}  // namespace

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
    l->forget(e);
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

// run(engine, handle, buffers) → promise of whether it ran to its end (false: cancelled)
napi_value Run(napi_env env, napi_callback_info info) {
  napi_value in[3], promise;
  CHECK(arguments(env, info, in) ? napi_ok : napi_invalid_arg, "run(engine, handle, buffers)");
  Bound bound{};
  if (!bind(env, in, &bound)) return nullptr;
  Job* job = new (std::nothrow) Job{bound.engine, bound.loaded, nullptr, nullptr, nullptr, false};
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
  execute(bound.engine, *bound.loaded);
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
  loaded->forget(env);
  all_closings.fetch_add(1);
  if (loaded->arena && napi_get_reference_value(env, loaded->arena, &arena) == napi_ok && arena) napi_detach_arraybuffer(env, arena);
  if (!loaded->running) loaded->machine.release();
  return nullptr;
}

}  // namespace openmoe
