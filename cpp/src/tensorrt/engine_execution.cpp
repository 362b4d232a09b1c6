#include "engine_execution.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "dyncompile/errors.hpp"
#include "text.hpp"

namespace dyncompile::detail {

Execution::Execution(Deserialised engine, const EnginePorts& ports, Gpu gpu,
                     const std::string& where)
    : gpu_(std::move(gpu)), stream_(std::make_unique<Stream>()), engine_(std::move(engine)) {
  logger().forget();
  context_.reset(engine_.engine->createExecutionContext());
  if (!context_) {
    throw TargetError(
        "the engine cannot be made ready on " + gpu_.name + ": " + logger().last_words() + ".",
        where, "Free memory of the GPU, or build the engine for it again.");
  }
  for (const EnginePort& port : ports.inputs) inputs_.emplace_back(port);
  for (const EnginePort& port : ports.outputs) {
    outputs_.push_back(std::make_unique<OutputSlot>(port));
  }
}

Execution::~Execution() {
  try {
    const OnGpu here(gpu_);
    context_.reset();
    engine_.engine.reset();
    engine_.runtime.reset();
    inputs_.clear();
    outputs_.clear();
    stream_.reset();
  } catch (...) {  // CUDA is gone; the rest goes as it can
  }
}

void Execution::run(const TensorView* feeds, const std::size_t* wanted, std::size_t count,
                    const MutableTensorView* buffers, std::vector<Tensor>* tensors) {
  const std::lock_guard lock(mutex_);
  const OnGpu here(gpu_);
  logger().forget();  // what was said before is not about this call
  try {
    prepare(feeds);
    if (buffers) check_buffers(wanted, count, buffers, false);
    execute();
    if (buffers) {
      check_buffers(wanted, count, buffers, true);
      fetch(wanted, count, buffers);
    } else {
      give(wanted, count, *tensors);
    }
  } catch (...) {
    stream_->settle();  // nothing of it runs on into the next call, or into memory of the caller
    throw;
  }
}

/// Writes the inputs, and where sizes are others than before, has room and says so.
void Execution::prepare(const TensorView* feeds) {
  bool is_same = is_ready_;
  for (std::size_t number = 0; is_same && number < inputs_.size(); ++number) {
    is_same = !inputs_[number].differs(feeds[number]);
  }
  is_ready_ = false;
  for (std::size_t number = 0; !is_same && number < inputs_.size(); ++number) {
    inputs_[number].resize(feeds[number]);
  }
  for (std::size_t number = 0; number < inputs_.size(); ++number) {
    inputs_[number].fill(feeds[number], *stream_);
  }
  if (!is_same) {
    for (std::size_t number = 0; number < inputs_.size(); ++number) {
      bind(inputs_[number].port(), inputs_[number].address());
      if (inputs_[number].port().is_dynamic()) tell_sizes(inputs_[number].port(), feeds[number]);
    }
    prepare_outputs();
  }
  is_ready_ = true;
}

void Execution::tell_sizes(const EnginePort& port, const TensorView& view) {
  nvinfer1::Dims dims{};
  dims.nbDims = static_cast<std::int32_t>(view.shape().rank());
  std::copy(view.shape().begin(), view.shape().end(), dims.d);
  if (context_->setInputShape(port.port.name.c_str(), dims)) return;
  throw InputError(view.to_string() + " does not fit: " + logger().last_words() + ".",
                   "input " + in_quotes(port.port.name),
                   "Give sizes that the engine was built for.");
}

void Execution::prepare_outputs() {
  const bool any_is_free = std::any_of(outputs_.begin(), outputs_.end(),
                                       [](const auto& slot) { return slot->port().is_dynamic(); });
  if (any_is_free) infer_sizes();
  for (const auto& slot : outputs_) {
    const char* name = slot->port().port.name.c_str();
    const std::vector<std::int64_t> sizes = sizes_of(context_->getTensorShape(name));
    const bool is_known =
        std::all_of(sizes.begin(), sizes.end(), [](std::int64_t size) { return size >= 0; });
    if (is_known) {
      slot->resize(Shape(sizes.data(), sizes.size()));
      bind(slot->port(), slot->data());
    } else if (!slot->grows()) {
      if (!context_->setOutputAllocator(name, slot.get())) {
        fail("the size of output " + in_quotes(name) + " is unknown");
      }
      slot->let_grow();
    }
  }
}

void Execution::infer_sizes() {
  std::vector<const char*> names(inputs_.size() + 1);
  const auto most = static_cast<std::int32_t>(inputs_.size());
  const std::int32_t missing = context_->inferShapes(most, names.data());
  if (missing < 0) fail(logger().last_words());
  if (missing == 0) return;
  names.resize(static_cast<std::size_t>(std::min(missing, most)));
  fail("it lacks the sizes of " +
       joined(names, [](const char* name) { return std::string(name); }));
}

void Execution::bind(const EnginePort& port, void* address) {
  const std::string& name = port.port.name;
  if (!context_->setTensorAddress(name.c_str(), address)) {
    fail("it does not take the address of " + in_quotes(name));
  }
}

/// Refuses memory of the caller that an output does not fit; `growing` are those whose sizes are
/// known after the engine has run.
void Execution::check_buffers(const std::size_t* wanted, std::size_t count,
                              const MutableTensorView* buffers, bool growing) const {
  for (std::size_t index = 0; index < count; ++index) {
    const OutputSlot& slot = *outputs_[wanted[index]];
    if (slot.grows() != growing || buffers[index].shape() == slot.shape()) continue;
    throw InputError(
        buffers[index].to_string() + " does not fit.", "output " + in_quotes(slot.port().port.name),
        "Give " + std::string(name_of(slot.port().port.type)) + slot.shape().to_string() + ".");
  }
}

void Execution::execute() {
  for (const auto& slot : outputs_) slot->forget();
  if (context_->enqueueV3(stream_->get())) return;
  for (const auto& slot : outputs_) slot->check();
  fail(logger().last_words());
}

/// Copies outputs to where they are wanted, and waits. What the engine writes on the host is there
/// when the stream is done.
void Execution::fetch(const std::size_t* wanted, std::size_t count,
                      const MutableTensorView* buffers) {
  for (std::size_t index = 0; index < count; ++index) {
    const OutputSlot& slot = *outputs_[wanted[index]];
    const std::size_t bytes = buffers[index].bytes();
    if (!slot.port().on_host) stream_->copy(buffers[index].data(), slot.data(), bytes);
  }
  stream_->wait();
  for (std::size_t index = 0; index < count; ++index) {
    const OutputSlot& slot = *outputs_[wanted[index]];
    if (!slot.port().on_host) continue;
    stream_->copy(buffers[index].data(), slot.data(), buffers[index].bytes());
    stream_->wait();
  }
}

void Execution::give(const std::size_t* wanted, std::size_t count, std::vector<Tensor>& tensors) {
  std::vector<MutableTensorView> room;
  for (std::size_t index = 0; index < count; ++index) {
    const OutputSlot& slot = *outputs_[wanted[index]];
    const ElementType type = slot.port().port.type;
    const std::size_t bytes = slot.shape().elements() * size_of(type);
    const std::shared_ptr<char[]> memory(std::make_unique<char[]>(bytes + 1));
    room.emplace_back(static_cast<void*>(memory.get()), type, slot.shape());
    tensors.emplace_back(memory.get(), type, slot.shape(), memory);
  }
  fetch(wanted, count, room.data());
}

void Execution::fail(const std::string& reason) const {
  throw TargetError("the engine does not run: " + reason + ".", gpu_.name,
                    "Build it again on this machine, or run the .onnx file.");
}

}  // namespace dyncompile::detail
