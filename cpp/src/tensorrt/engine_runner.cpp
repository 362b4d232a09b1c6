// An engine, opened on the GPU.
#include <memory>
#include <utility>

#include "cuda.hpp"
#include "engine_execution.hpp"
#include "engine_file.hpp"
#include "engine_loading.hpp"
#include "engine_ports.hpp"
#include "runner.hpp"

namespace dyncompile::detail {

namespace {

class EngineRunner : public Runner {
 public:
  EngineRunner(const std::filesystem::path& path, EngineDescription description, const Gpu& gpu) {
    Deserialised engine = deserialise(path, description, gpu);
    const EnginePorts ports = ports_of(*engine.engine, description, path.u8string());
    for (const EnginePort& input : ports.inputs) inputs_.push_back(input.port);
    for (const EnginePort& output : ports.outputs) outputs_.push_back(output.port);
    warnings_ = std::move(engine.warnings);
    providers_ = conditions_ = {gpu.name};
    runtime_ = std::string(title(description.flavor)) + " " + library_version();
    manifest_ = std::move(description.manifest);
    execution_ = std::make_unique<Execution>(std::move(engine), ports, gpu, path.u8string());
  }

  void run(const TensorView* feeds, const std::size_t* wanted, std::size_t count,
           const MutableTensorView* buffers, std::vector<Tensor>* tensors) const override {
    execution_->run(feeds, wanted, count, buffers, tensors);
  }

 private:
  std::unique_ptr<Execution> execution_;
};

}  // namespace

std::unique_ptr<Runner> open_engine(const std::filesystem::path& path) {
  EngineDescription description = read_description(path);
  const Gpu gpu = current_gpu();  // before any function of TensorRT is called
  return std::make_unique<EngineRunner>(path, std::move(description), gpu);
}

}  // namespace dyncompile::detail
