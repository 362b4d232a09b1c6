// The CUDA runtime, as far as an engine needs it: what fails is a TargetError in words.
#ifndef DYNCOMPILE_SRC_CUDA_HPP
#define DYNCOMPILE_SRC_CUDA_HPP

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace dyncompile::detail {

/// A GPU.
struct Gpu {
  int number = 0;    ///< By which CUDA knows it.
  std::string name;  ///< Of the product.
  std::string chip;  ///< Its compute capability, such as "sm89".
};

/// The GPU that the calling thread uses. Throws TargetError if there is none that CUDA can use;
/// only the driver is asked.
Gpu current_gpu();

/// Lets the calling thread use a GPU, and then the one it used before.
///
/// A thread that has not used a GPU has a number for one and no context on it, which a library
/// beneath may need: so it is set even where the number is right.
class OnGpu {
 public:
  explicit OnGpu(const Gpu& gpu);
  ~OnGpu();
  OnGpu(const OnGpu&) = delete;
  OnGpu& operator=(const OnGpu&) = delete;

 private:
  int before_ = 0;
  bool is_other_ = false;
};

/// A stream that waits for no other.
class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  cudaStream_t get() const noexcept { return stream_; }

  /// Lets it copy bytes, from and to wherever they are.
  void copy(void* target, const void* source, std::size_t bytes) const;

  /// Waits until it has done all that it was given.
  void wait() const;

  /// The same, where it is no matter what comes of it.
  void settle() const noexcept;

 private:
  cudaStream_t stream_ = nullptr;
};

/// Memory that grows and never shrinks; nothing when it is new. It is of the GPU, or page-locked
/// memory of the host.
class Memory {
 public:
  enum class Place : std::uint8_t { device, host };

  explicit Memory(Place place) noexcept : place_(place) {}
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&&) = delete;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { free(); }

  /// Has at least this many bytes, and at least one, at a multiple of `alignment`; returns whether
  /// it has moved. Nothing may be using it; what it held is lost if it moves.
  bool reserve(std::size_t bytes, std::size_t alignment = 256);

  /// Null while there is none.
  void* data() const noexcept { return aligned_; }

 private:
  void free() noexcept;

  void* start_ = nullptr;
  void* aligned_ = nullptr;
  std::size_t bytes_ = 0;
  Place place_;
};

}  // namespace dyncompile::detail

#endif
