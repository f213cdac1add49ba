// Node-API shell: memory for the kernels, from the system or from a file.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

#include "node.h"
#include "system.h"

namespace openmoe {

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

}  // namespace openmoe
