#include "cuda.hpp"

#include <utility>

#include "dyncompile/errors.hpp"

namespace dyncompile::detail {

namespace {

std::string words(cudaError_t error) {
  return std::string(cudaGetErrorString(error)) + " (CUDA error " +
         std::to_string(static_cast<int>(error)) + ")";
}

void check(cudaError_t error, const std::string& doing = "CUDA fails") {
  if (error == cudaSuccess) return;
  const char* remedy = "Free memory of the GPU, or look at its state with nvidia-smi.";
  if (error == cudaErrorInitializationError) {
    remedy = "If this process was forked, load the engine in it: CUDA survives no fork.";
  }
  cudaGetLastError();  // it is told; whoever asks CUDA next does not hear of it again
  throw TargetError(doing + ": " + words(error) + ".", "GPU", remedy);
}

void check_there_is_one() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return;
  cudaGetLastError();
  const std::string missing = error == cudaSuccess ? "CUDA finds no device" : words(error);
  throw TargetError("an engine runs on an NVIDIA GPU, and CUDA can use none here: " + missing + ".",
                    "GPU",
                    "Load it on a machine with a GPU and its driver, or load the .onnx file.");
}

std::string attribute(cudaDeviceAttr kind, int number) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, kind, number));
  return std::to_string(value);
}

std::size_t excess(const void* address, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(address) % alignment;
}

}  // namespace

Gpu current_gpu() {
  check_there_is_one();
  Gpu gpu;
  check(cudaGetDevice(&gpu.number));
  check(cudaSetDevice(gpu.number));  // which makes it ready
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, gpu.number));
  gpu.name = properties.name;
  gpu.chip = "sm" + attribute(cudaDevAttrComputeCapabilityMajor, gpu.number) +
             attribute(cudaDevAttrComputeCapabilityMinor, gpu.number);
  return gpu;
}

OnGpu::OnGpu(const Gpu& gpu) {
  check(cudaGetDevice(&before_));
  check(cudaSetDevice(gpu.number));
  is_other_ = before_ != gpu.number;
}

OnGpu::~OnGpu() {
  if (is_other_) cudaSetDevice(before_);
}

Stream::Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }

Stream::~Stream() { cudaStreamDestroy(stream_); }

void Stream::copy(void* target, const void* source, std::size_t bytes) const {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDefault, stream_));
}

void Stream::wait() const { check(cudaStreamSynchronize(stream_)); }

void Stream::settle() const noexcept {
  if (cudaStreamSynchronize(stream_) != cudaSuccess) cudaGetLastError();
}

Memory::Memory(Memory&& other) noexcept
    : start_(std::exchange(other.start_, nullptr)),
      aligned_(std::exchange(other.aligned_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      place_(other.place_) {}

bool Memory::reserve(std::size_t bytes, std::size_t alignment) {
  if (aligned_ && bytes <= bytes_ && excess(aligned_, alignment) == 0) return false;
  free();
  const std::size_t wanted = bytes > 0 ? bytes : 1;
  const bool is_device = place_ == Place::device;
  const auto allocate = [&](std::size_t size) {
    check(is_device ? cudaMalloc(&start_, size) : cudaMallocHost(&start_, size),
          std::string("no ") + (is_device ? "device" : "host") + " memory for " +
              std::to_string(size) + " bytes");
  };
  allocate(wanted);
  std::size_t skip = 0;
  if (excess(start_, alignment) != 0) {  // never seen, but promised for the GPU at 256 bytes only
    free();
    allocate(wanted + alignment);
    skip = (alignment - excess(start_, alignment)) % alignment;
  }
  aligned_ = static_cast<char*>(start_) + skip;
  bytes_ = wanted;
  return true;
}

void Memory::free() noexcept {
  if (start_) {  // that it fails is no matter, the process may be ending
    place_ == Place::device ? cudaFree(start_) : cudaFreeHost(start_);
  }
  start_ = aligned_ = nullptr;
  bytes_ = 0;
}

}  // namespace dyncompile::detail
