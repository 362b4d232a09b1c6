// Stands in for the CUDA runtime: real memory, and streams that wait to be waited for.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>

#include "machine.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FAKE_HAS_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define FAKE_HAS_ASAN
#endif
#ifdef FAKE_HAS_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) static_cast<void>(size)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) static_cast<void>(size)
#endif

struct CUstream_st {
  std::deque<std::function<void()>> pending;
};

namespace fake {

namespace {

constexpr std::size_t alignment = 256;
constexpr int poison = 0xCD;

struct Allocation {
  std::vector<unsigned char> memory;
  unsigned char* start;
  std::size_t size;
  bool on_host;
};

struct State {
  Machine machine;
  std::map<const void*, Allocation> allocations;
  std::map<cudaStream_t, std::unique_ptr<CUstream_st>> streams;
};

std::unique_ptr<State>& state() {
  static std::unique_ptr<State> made = std::make_unique<State>();
  return made;
}

thread_local int current = 0;
thread_local int bound = -1;

Allocation* holder(const void* address) {
  auto& all = state()->allocations;
  auto found = all.upper_bound(address);
  if (found == all.begin()) return nullptr;
  --found;
  Allocation& one = found->second;
  return address < one.start + one.size ? &one : nullptr;
}

/// Lets the GPU touch its memory; the host may not.
class Touch {
 public:
  Touch(const void* address, std::size_t bytes) : one_(holder(address)) {
    if (!one_) return;
    const auto* first = static_cast<const unsigned char*>(address);
    expect(first + bytes <= one_->start + one_->size, "beyond the end of an allocation");
    if (!one_->on_host) ASAN_UNPOISON_MEMORY_REGION(one_->start, one_->size);
  }
  ~Touch() {
    if (one_ && !one_->on_host) ASAN_POISON_MEMORY_REGION(one_->start, one_->size);
  }
  Touch(const Touch&) = delete;
  Touch& operator=(const Touch&) = delete;

 private:
  Allocation* one_;
};

cudaError_t asked(const char* function) {
  const auto found = machine().failing.find(function);
  return found == machine().failing.end() ? cudaSuccess : found->second;
}

cudaError_t allocate(const char* function, void** address, std::size_t size, bool on_host) {
  const std::lock_guard lock(machine().mutex);
  machine().events.push_back((on_host ? "host+" : "device+") + std::to_string(size));
  if (const cudaError_t error = asked(function)) return error;
  if (size > machine().free_bytes || size == 0) return cudaErrorMemoryAllocation;
  Allocation made{std::vector<unsigned char>(size + 2 * alignment, poison), nullptr, size, on_host};
  const auto first = reinterpret_cast<std::uintptr_t>(made.memory.data());
  const std::size_t skip = alignment - first % alignment + machine().misaligned;
  made.start = made.memory.data() + skip;
  if (!on_host) ASAN_POISON_MEMORY_REGION(made.start, made.size);
  *address = made.start;
  state()->allocations.emplace(made.start, std::move(made));
  ++machine().allocated;
  return cudaSuccess;
}

cudaError_t release(void* address, bool on_host) {
  const std::lock_guard lock(machine().mutex);
  auto& all = state()->allocations;
  const auto found = all.find(address);
  expect(found != all.end(), "freed what is not allocated");
  expect(found->second.on_host == on_host, "freed by the function of the other place");
  ASAN_UNPOISON_MEMORY_REGION(found->second.start, found->second.size);
  all.erase(found);
  --machine().allocated;
  return cudaSuccess;
}

}  // namespace

void expect(bool holds, const char* words) {
  if (holds) return;
  std::fprintf(stderr, "pretend GPU: %s\n", words);
  std::abort();
}

Machine& machine() { return state()->machine; }

void reset() {
  expect(state()->allocations.empty() && state()->streams.empty(), "something is still alive");
  state() = std::make_unique<State>();
  current = 0;
}

int& current_device() { return current; }
int bound_device() { return bound; }

void copy(void* target, const void* source, std::size_t bytes) {
  const std::lock_guard lock(machine().mutex);
  const Touch to(target, bytes), from(source, bytes);
  if (bytes > 0) std::memmove(target, source, bytes);
}

void enqueue(cudaStream_t stream, std::function<void()> work) {
  const std::lock_guard lock(machine().mutex);
  expect(state()->streams.count(stream) == 1, "this stream is gone");
  stream->pending.push_back(std::move(work));
}

bool is_allocated(const void* address, std::size_t bytes, bool on_host) {
  const std::lock_guard lock(machine().mutex);
  const Allocation* one = holder(address);
  const auto* first = static_cast<const unsigned char*>(address);
  return one && one->on_host == on_host && first + bytes <= one->start + one->size;
}

}  // namespace fake

using fake::machine;

cudaError_t cudaGetDeviceCount(int* count) {
  machine().events.emplace_back("cudaGetDeviceCount");
  if (machine().missing == cudaSuccess) *count = machine().devices;
  return machine().missing;
}

cudaError_t cudaGetDevice(int* device) {
  *device = fake::current;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  const std::lock_guard lock(machine().mutex);
  if (const cudaError_t error = fake::asked("cudaSetDevice")) return error;
  fake::expect(device >= 0 && device < machine().devices, "there is no such device");
  fake::current = fake::bound = device;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? machine().major : machine().minor;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::snprintf(properties->name, sizeof properties->name, "A pretend GPU");
  return cudaSuccess;
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInitializationError:
      return "initialization error";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    default:
      return "no error that is pretended here";
  }
}

cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaMalloc(void** address, std::size_t size) {
  return fake::allocate("cudaMalloc", address, size, false);
}
cudaError_t cudaMallocHost(void** address, std::size_t size) {
  return fake::allocate("cudaMallocHost", address, size, true);
}
cudaError_t cudaFree(void* address) { return fake::release(address, false); }
cudaError_t cudaFreeHost(void* address) { return fake::release(address, true); }

cudaError_t cudaMemcpyAsync(void* target, const void* source, std::size_t size, cudaMemcpyKind,
                            cudaStream_t stream) {
  const std::lock_guard lock(machine().mutex);
  if (const cudaError_t error = fake::asked("cudaMemcpyAsync")) return error;
  fake::enqueue(stream, [=] { fake::copy(target, source, size); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  const std::lock_guard lock(machine().mutex);
  fake::expect(flags == cudaStreamNonBlocking, "a stream that waits for others");
  if (const cudaError_t error = fake::asked("cudaStreamCreateWithFlags")) return error;
  auto made = std::make_unique<CUstream_st>();
  *stream = made.get();
  fake::state()->streams.emplace(*stream, std::move(made));
  ++machine().streams;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const std::lock_guard lock(machine().mutex);
  fake::expect(fake::state()->streams.count(stream) == 1, "this stream is gone");
  if (const cudaError_t error = fake::asked("cudaStreamSynchronize")) {
    stream->pending.clear();
    return error;
  }
  while (!stream->pending.empty()) {
    const auto work = std::move(stream->pending.front());
    stream->pending.pop_front();
    work();
  }
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard lock(machine().mutex);
  fake::expect(stream->pending.empty(), "a stream was destroyed before it was done");
  fake::expect(fake::state()->streams.erase(stream) == 1, "this stream is gone");
  --machine().streams;
  return cudaSuccess;
}
