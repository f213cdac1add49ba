// What the parts of the Node-API shell share: an engine, and how values come from JavaScript and go there.
#pragma once
#include <node_api.h>

#include <string>

#include "threads.h"
#include "vm.h"

namespace openmoe {

// Returns from the entry with a JavaScript exception when a Node-API call fails.
#define CHECK(call, what)                                              \
  do {                                                                 \
    if ((call) != napi_ok) {                                           \
      napi_throw_error(env, "E_ADDON", "internal: addon: " what);      \
      return nullptr;                                                  \
    }                                                                  \
  } while (0)

// Only the JavaScript thread reads and writes its flag.
struct Engine {
  Pool* pool;
  const Isa* isa;
  int threads;
  bool busy = false;  // one run or probe at a time: they share the threads
};

template <int N> bool arguments(napi_env env, napi_callback_info info, napi_value (&out)[N]) {
  size_t count = N;
  return napi_get_cb_info(env, info, &count, out, nullptr, nullptr) == napi_ok && count == N;
}
template <class T> T* external(napi_env env, napi_value value) {
  void* data = nullptr;
  return napi_get_value_external(env, value, &data) == napi_ok ? static_cast<T*>(data) : nullptr;
}
inline napi_value number(napi_env env, double x) {
  napi_value value;
  napi_create_double(env, x, &value);
  return value;
}
inline napi_value text(napi_env env, const char* x) {
  napi_value value;
  napi_create_string_utf8(env, x, NAPI_AUTO_LENGTH, &value);
  return value;
}
inline void set(napi_env env, napi_value object, const char* key, napi_value value) { napi_set_named_property(env, object, key, value); }

inline std::string read_text(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return {};
  std::string result(length, '\0');
  napi_get_value_string_utf8(env, value, result.data(), length + 1, &length);
  return result;
}

// Entries of the addon, each beside its code.
// native/node-memory.cc
napi_value Alloc(napi_env env, napi_callback_info info);
napi_value Map(napi_env env, napi_callback_info info);
// native/node-program.cc
napi_value Load(napi_env env, napi_callback_info info);
napi_value Run(napi_env env, napi_callback_info info);
napi_value RunNow(napi_env env, napi_callback_info info);
napi_value Cancel(napi_env env, napi_callback_info info);
napi_value Profile(napi_env env, napi_callback_info info);
napi_value Record(napi_env env, napi_callback_info info);
napi_value Timeline(napi_env env, napi_callback_info info);
napi_value Close(napi_env env, napi_callback_info info);

}  // namespace openmoe
