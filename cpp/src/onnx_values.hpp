// Values that ONNX Runtime reads and writes: tensors over memory of others, or its own.
#ifndef DYNCOMPILE_SRC_ONNX_VALUES_HPP
#define DYNCOMPILE_SRC_ONNX_VALUES_HPP

#include <cstddef>
#include <utility>

#include "onnx_api.hpp"
#include "onnx_ports.hpp"
#include "small_buffer.hpp"

namespace dyncompile::detail {

/// Values of ONNX Runtime, released with this.
class Values {
 public:
  explicit Values(std::size_t count) : values_(count) {}
  Values(const Values&) = delete;
  Values& operator=(const Values&) = delete;
  ~Values() {
    for (OrtValue* value : values_) {
      if (value) Ort::GetApi().ReleaseValue(value);
    }
  }

  OrtValue** data() noexcept { return values_.data(); }
  std::size_t size() const noexcept { return values_.size(); }

  template <class View>
  void wrap(std::size_t number, const View& view, void* memory, const Ort::MemoryInfo& host) {
    if (view.device().kind == Device::Kind::cpu) {
      wrap_in(number, view, memory, host);
    } else {
      const int device = view.device().number;
      wrap_in(number, view, memory, {"Cuda", OrtDeviceAllocator, device, OrtMemTypeDefault});
    }
  }

  Ort::Value taken(std::size_t number) noexcept {
    return Ort::Value(std::exchange(values_[number], nullptr));
  }

 private:
  template <class View>
  void wrap_in(std::size_t number, const View& view, void* memory, const Ort::MemoryInfo& place) {
    const Shape& shape = view.shape();
    Ort::ThrowOnError(Ort::GetApi().CreateTensorWithDataAsOrtValue(
        place, memory, view.bytes(), shape.begin(), shape.rank(), onnx_type(view.type()),
        &values_[number]));
  }

  SmallBuffer<OrtValue*, usual_count> values_;
};

}  // namespace dyncompile::detail

#endif
