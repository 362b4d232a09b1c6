#include "engine_slots.hpp"

#include <algorithm>
#include <cstring>

#include "text.hpp"

namespace dyncompile::detail {

bool InputSlot::differs(const TensorView& view) const {
  if (!host_.data() || view.shape() != shape_) return true;
  if (!port_.on_host) return false;
  const bool is_here = view.device().kind == Device::Kind::cpu;
  return !has_host_values_ || !is_here || std::memcmp(host_.data(), view.data(), bytes_) != 0;
}

void InputSlot::resize(const TensorView& view) {
  port_.check_sizes(view);
  has_host_values_ = false;
  bytes_ = view.bytes();
  host_.reserve(bytes_);
  if (!port_.on_host) device_.reserve(bytes_);
  shape_ = view.shape();
}

void InputSlot::fill(const TensorView& view, const Stream& stream) {
  if (bytes_ == 0) return;
  const bool is_here = view.device().kind == Device::Kind::cpu;
  if (is_here) std::memcpy(host_.data(), view.data(), bytes_);
  if (!port_.on_host) {
    stream.copy(device_.data(), is_here ? host_.data() : view.data(), bytes_);
    return;
  }
  if (!is_here) {  // the engine reads it as soon as it is asked to run
    stream.copy(host_.data(), view.data(), bytes_);
    stream.wait();
  }
  port_.check_values(host_.data(), shape_.elements());
  has_host_values_ = true;
}

OutputSlot::OutputSlot(EnginePort port)
    : port_(std::move(port)),
      memory_(port_.on_host ? Memory::Place::host : Memory::Place::device) {}

void OutputSlot::resize(const Shape& shape) {
  memory_.reserve(shape.elements() * size_of(port_.port.type));
  shape_ = shape;
}

void OutputSlot::forget() noexcept {
  problem_.reset();
  is_told_ = !grows_;
}

void OutputSlot::check() const {
  if (problem_) throw TargetError(*problem_);
}

const Shape& OutputSlot::shape() const {
  if (!is_told_) {
    throw TargetError("the engine has not told its size.", "output " + in_quotes(port_.port.name),
                      "Build the engine again, or report this with the version of TensorRT.");
  }
  return shape_;
}

void* OutputSlot::reallocateOutputAsync(const char*, void*, std::uint64_t bytes,
                                        std::uint64_t alignment, cudaStream_t) noexcept {
  try {
    memory_.reserve(static_cast<std::size_t>(bytes),
                    std::max<std::size_t>(static_cast<std::size_t>(alignment), 256));
    return memory_.data();
  } catch (const TargetError& problem) {
    problem_ = problem;
  } catch (...) {  // no memory of the host for words
  }
  return nullptr;
}

void OutputSlot::notifyShape(const char*, const nvinfer1::Dims& dims) noexcept {
  try {
    const std::vector<std::int64_t> sizes = sizes_of(dims);
    shape_ = Shape(sizes.data(), sizes.size());
    is_told_ = true;
  } catch (...) {  // not told
  }
}

}  // namespace dyncompile::detail
