// The memory of an engine's inputs and outputs.
#ifndef DYNCOMPILE_SRC_TENSORRT_ENGINE_SLOTS_HPP
#define DYNCOMPILE_SRC_TENSORRT_ENGINE_SLOTS_HPP

#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "cuda.hpp"
#include "dyncompile/errors.hpp"
#include "dyncompile/tensor.hpp"
#include "engine_ports.hpp"

namespace dyncompile::detail {

/// The memory of one input: page-locked on the host, and on the GPU unless the engine reads the
/// former. What is copied is copied between the two, so that addresses stay while sizes do not
/// grow.
class InputSlot {
 public:
  explicit InputSlot(EnginePort port) : port_(std::move(port)) {}

  const EnginePort& port() const noexcept { return port_; }

  /// Whether the engine has to be told of what is given now: other sizes than before, or other
  /// values of what it reads on the host.
  bool differs(const TensorView& view) const;

  /// Has room for it. Throws InputError for sizes that the engine was not built for, TargetError if
  /// there is no memory.
  void resize(const TensorView& view);

  /// Lets the stream copy it to where the engine reads it; `resize` has seen one of these sizes.
  /// Throws InputError for values that the engine was not built for.
  void fill(const TensorView& view, const Stream& stream);

  /// Where the engine finds it.
  void* address() const noexcept { return port_.on_host ? host_.data() : device_.data(); }

 private:
  EnginePort port_;
  Memory host_{Memory::Place::host}, device_{Memory::Place::device};
  Shape shape_;
  std::size_t bytes_ = 0;
  bool has_host_values_ = false;  ///< `host_` is what the engine was told of.
};

/// The memory of one output. Where its size depends on data, the engine asks it for memory.
class OutputSlot : public nvinfer1::IOutputAllocator {
 public:
  explicit OutputSlot(EnginePort port);

  const EnginePort& port() const noexcept { return port_; }

  /// Has room for an output of these sizes.
  void resize(const Shape& shape);

  /// From now on the engine asks for memory.
  void let_grow() noexcept { grows_ = true; }
  bool grows() const noexcept { return grows_; }

  /// What was told of the last call is not about the next.
  void forget() noexcept;

  /// Throws TargetError if there was no memory when the engine asked.
  void check() const;

  /// Of the last call. Throws TargetError if the engine has not told it.
  const Shape& shape() const;

  void* data() const noexcept { return memory_.data(); }

  void* reallocateOutputAsync(const char* name, void* current, std::uint64_t bytes,
                              std::uint64_t alignment, cudaStream_t stream) noexcept override;
  void notifyShape(const char* name, const nvinfer1::Dims& dims) noexcept override;

 private:
  EnginePort port_;
  Memory memory_;
  Shape shape_;
  bool grows_ = false, is_told_ = true;
  std::optional<TargetError> problem_;  ///< An error cannot pass through the engine.
};

}  // namespace dyncompile::detail

#endif
