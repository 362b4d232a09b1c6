// Runs an engine: one execution context, its memory, its stream.
#ifndef DYNCOMPILE_SRC_TENSORRT_ENGINE_EXECUTION_HPP
#define DYNCOMPILE_SRC_TENSORRT_ENGINE_EXECUTION_HPP

#include <NvInferRuntime.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda.hpp"
#include "dyncompile/tensor.hpp"
#include "engine_loading.hpp"
#include "engine_slots.hpp"

namespace dyncompile::detail {

/// One execution context; calls wait for each other.
///
/// A call has the stream copy the inputs to the GPU, run the engine and copy the outputs to where
/// they are wanted, and waits. Calls of the same sizes allocate nothing.
class Execution {
 public:
  /// Throws TargetError if the GPU has no room for it; `where` is the file, for messages.
  Execution(Deserialised engine, const EnginePorts& ports, Gpu gpu, const std::string& where);
  ~Execution();

  /// As `Runner::run`.
  void run(const TensorView* feeds, const std::size_t* wanted, std::size_t count,
           const MutableTensorView* buffers, std::vector<Tensor>* tensors);

 private:
  void prepare(const TensorView* feeds);
  void tell_sizes(const EnginePort& port, const TensorView& view);
  void prepare_outputs();
  void infer_sizes();
  void bind(const EnginePort& port, void* address);
  void check_buffers(const std::size_t* wanted, std::size_t count, const MutableTensorView* buffers,
                     bool growing) const;
  void execute();
  void fetch(const std::size_t* wanted, std::size_t count, const MutableTensorView* buffers);
  void give(const std::size_t* wanted, std::size_t count, std::vector<Tensor>& tensors);
  [[noreturn]] void fail(const std::string& reason) const;

  Gpu gpu_;
  std::mutex mutex_;
  std::unique_ptr<Stream> stream_;
  std::vector<InputSlot> inputs_;
  std::vector<std::unique_ptr<OutputSlot>> outputs_;  // the context knows their addresses
  Deserialised engine_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;  // goes first
  bool is_ready_ = false;
};

}  // namespace dyncompile::detail

#endif
