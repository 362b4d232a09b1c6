// What a loaded network needs of what runs it: ONNX Runtime, or an engine on a GPU.
#ifndef DYNCOMPILE_SRC_RUNNER_HPP
#define DYNCOMPILE_SRC_RUNNER_HPP

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dyncompile/manifest.hpp"
#include "dyncompile/net.hpp"
#include "dyncompile/outputs.hpp"

namespace dyncompile::detail {

/// One network, opened; `run` is safe to call from several threads.
class Runner {
 public:
  virtual ~Runner() = default;

  const Manifest& manifest() const noexcept { return manifest_; }
  /// What is fed in a call, knobs among it: inputs in the order of the graph, then knobs that have
  /// a default in the graph.
  const std::vector<Port>& inputs() const noexcept { return inputs_; }
  /// What it gives, in order, reports of decisions among it.
  const std::vector<Port>& outputs() const noexcept { return outputs_; }
  const std::vector<std::string>& providers() const noexcept { return providers_; }
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }
  /// What runs it, such as "ONNX Runtime 1.23.0".
  const std::string& runtime() const noexcept { return runtime_; }
  /// The providers with their options, for `Conditions`.
  const std::vector<std::string>& conditions() const noexcept { return conditions_; }

  /// Runs it on `inputs().size()` views that fit. `wanted` lists `count` of the outputs by
  /// their number. Outputs are written to `count` views at `buffers`, or, where that is null,
  /// appended to `tensors`. Throws InputError about the inputs, TargetError about the device.
  virtual void run(const TensorView* feeds, const std::size_t* wanted, std::size_t count,
                   const MutableTensorView* buffers, std::vector<Tensor>* tensors) const = 0;

 protected:
  Manifest manifest_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;
  std::vector<std::string> providers_;
  std::vector<std::string> warnings_;
  std::string runtime_;
  std::vector<std::string> conditions_;
};

/// Opens an artifact in ONNX Runtime.
std::unique_ptr<Runner> open_artifact(const std::filesystem::path& path,
                                      const LoadOptions& options);

/// Opens an engine on the GPU that the calling thread uses. Without DYNCOMPILE_WITH_TENSORRT it
/// throws a TargetError that says so.
std::unique_ptr<Runner> open_engine(const std::filesystem::path& path);

}  // namespace dyncompile::detail

#endif
