// Stands in for the library of TensorRT. An engine computes on what lies at the addresses that it
// was given, when the stream comes to it.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "machine.hpp"

namespace fake {

const Tensor& Network::tensor(const std::string& name) const {
  for (const auto* all : {&inputs, &outputs}) {
    for (const Tensor& one : *all) {
      if (one.name == name) return one;
    }
  }
  expect(false, "no tensor has this name");
  return inputs.front();
}

bool Network::is_input(const std::string& name) const {
  return std::any_of(inputs.begin(), inputs.end(), [&](const Tensor& t) { return t.name == name; });
}

namespace {

using namespace nvinfer1;
using Severity = ILogger::Severity;

std::size_t size_of(DataType type) {
  switch (type) {
    case DataType::kFLOAT:
    case DataType::kINT32:
      return 4;
    case DataType::kHALF:
    case DataType::kBF16:
      return 2;
    case DataType::kINT64:
      return 8;
    default:
      return 1;
  }
}

std::size_t bytes_of(const Tensor& tensor, const Sizes& shape) {
  std::size_t bytes = size_of(tensor.type);
  for (const std::int64_t size : shape) bytes *= static_cast<std::size_t>(size);
  return bytes;
}

bool is_known(const Sizes& shape) {
  return std::all_of(shape.begin(), shape.end(), [](std::int64_t size) { return size >= 0; });
}

Dims dims_of(const Sizes& shape) {
  Dims dims{};
  dims.nbDims = static_cast<std::int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), dims.d);
  return dims;
}

struct Alive {
  ILogger* logger;
  int runtimes = 0, engines = 0;
};

std::shared_ptr<Alive> alive(ILogger* logger) {
  static std::shared_ptr<Alive> made = std::make_shared<Alive>(Alive{logger});  // keeps the first
  return made;
}

void happened(const char* what) { machine().events.emplace_back(what); }

class Context final : public IExecutionContext {
 public:
  Context(std::shared_ptr<Network> network, std::shared_ptr<Alive> needs)
      : network_(std::move(network)), needs_(std::move(needs)), device_(bound_device()) {
    for (const Tensor& input : network_->inputs) shapes_[input.name] = input.shape;
  }

  ~Context() noexcept override {
    const std::lock_guard lock(machine().mutex);
    happened("context");
    expect(needs_->engines > 0 && needs_->runtimes > 0, "what a context needs is gone");
    expect(bound_device() == device_, "a context is given back on another device");
    for (const auto& [name, address] : addresses_) {
      expect(is_allocated(address, 1, network_->tensor(name).on_host), "its memory is gone");
    }
  }

  bool setInputShape(const char* name, const Dims& dims) noexcept override {
    const std::lock_guard lock(machine().mutex);
    const Tensor& tensor = network_->tensor(name);
    expect(!is_known(tensor.shape), "sizes of a fixed input are told");
    const Sizes sizes(dims.d, dims.d + dims.nbDims);
    shapes_[name] = sizes;
    for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
      expect(sizes[axis] >= tensor.least[axis] && sizes[axis] <= tensor.most[axis],
             "sizes outside of the profile");
    }
    if (network_->refuses_sizes) needs_->logger->log(Severity::kERROR, "not these sizes.");
    return !network_->refuses_sizes;
  }

  bool setTensorAddress(const char* name, void* data) noexcept override {
    expect(reinterpret_cast<std::uintptr_t>(data) % 256 == 0, "an address that is not aligned");
    expect(is_allocated(data, 1, network_->tensor(name).on_host), "memory of the other place");
    addresses_[name] = data;
    return true;
  }

  bool setOutputAllocator(const char* name, IOutputAllocator* allocator) noexcept override {
    allocators_[name] = allocator;
    return true;
  }

  std::int32_t inferShapes(std::int32_t most, const char** names) noexcept override {
    for (const auto& [name, shape] : shapes_) expect(is_known(shape), "sizes are not told");
    for (const Tensor& input : network_->inputs) {
      expect(!input.on_host || addresses_.count(input.name) == 1, "values are not told");
    }
    if (!network_->is_unspecified) return 0;
    expect(most > 0, "no room for names");
    names[0] = network_->inputs.front().name.c_str();
    return 1;
  }

  Dims getTensorShape(const char* name) const noexcept override {
    if (!network_->shapes) return dims_of(network_->tensor(name).shape);
    return dims_of(network_->shapes(shapes_, read(true)).at(name));
  }

  bool enqueueV3(cudaStream_t stream) noexcept override {
    constexpr std::chrono::microseconds time_for_other_threads{50};
    std::this_thread::sleep_for(time_for_other_threads);
    const std::lock_guard lock(machine().mutex);
    happened("enqueue");
    expect(bound_device() == device_, "run on another device, or without a context");
    if (!network_->fails.empty()) {
      needs_->logger->log(Severity::kWARNING, "a warning");
      needs_->logger->log(Severity::kERROR, network_->fails.c_str());
      needs_->logger->log(Severity::kINTERNAL_ERROR, "what it led to");
      return false;
    }
    const Values on_host = read(true);  // now; what is on the GPU, when the stream comes to it
    const auto results = [this, on_host] {
      Values values = read(false);
      values.insert(on_host.begin(), on_host.end());
      return network_->compute(values);
    };
    if (!allocators_.empty() && !grow(stream, results)) return false;
    enqueue(stream, [this, results] {
      for (const auto& [name, value] : results()) {
        if (allocators_.count(name) == 0) write(name, addresses_.at(name), value);
      }
    });
    return true;
  }

 private:
  Values read(bool on_host) const {
    Values values;
    for (const Tensor& input : network_->inputs) {
      if (input.on_host != on_host) continue;
      Value value{shapes_.at(input.name), {}};
      value.bytes.resize(bytes_of(input, value.shape));
      const void* address = addresses_.at(input.name);
      expect(is_allocated(address, value.bytes.size(), on_host), "an input is not there");
      copy(value.bytes.data(), address, value.bytes.size());
      values[input.name] = std::move(value);
    }
    return values;
  }

  void write(const std::string& name, void* address, const Value& value) const {
    const bool on_host = network_->tensor(name).on_host;
    expect(is_allocated(address, value.bytes.size(), on_host), "no room for an output");
    copy(address, value.bytes.data(), value.bytes.size());
  }

  bool grow(cudaStream_t stream, const std::function<Values()>& results) {
    cudaStreamSynchronize(stream);  // sizes are known when the data is
    const Values values = results();
    for (const auto& [name, allocator] : allocators_) {
      const Value& value = values.at(name);
      constexpr std::uint64_t alignment = 512;
      void* memory = allocator->reallocateOutputAsync(
          name.c_str(), nullptr, std::max<std::size_t>(value.bytes.size(), 1), alignment, stream);
      if (!memory) return false;
      expect(reinterpret_cast<std::uintptr_t>(memory) % alignment == 0, "not aligned as asked");
      write(name, memory, value);
      if (!network_->tells_no_size) allocator->notifyShape(name.c_str(), dims_of(value.shape));
    }
    return true;
  }

  std::shared_ptr<Network> network_;
  std::shared_ptr<Alive> needs_;
  int device_;
  std::map<std::string, Sizes> shapes_;
  std::map<std::string, void*> addresses_;
  std::map<std::string, IOutputAllocator*> allocators_;
};

class Engine final : public ICudaEngine {
 public:
  Engine(std::shared_ptr<Network> network, std::shared_ptr<Alive> needs)
      : network_(std::move(network)), needs_(std::move(needs)) {
    ++needs_->engines;
    for (const auto* all : {&network_->outputs, &network_->inputs}) {
      for (const Tensor& one : *all) names_.push_back(one.name);
    }
  }

  ~Engine() noexcept override {
    happened("engine");
    expect(needs_->runtimes > 0, "what an engine needs is gone");
    --needs_->engines;
  }

  std::int32_t getNbIOTensors() const noexcept override {
    return static_cast<std::int32_t>(names_.size());
  }
  const char* getIOTensorName(std::int32_t index) const noexcept override {
    return names_[static_cast<std::size_t>(index)].c_str();
  }
  TensorIOMode getTensorIOMode(const char* name) const noexcept override {
    return network_->is_input(name) ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  DataType getTensorDataType(const char* name) const noexcept override {
    return network_->tensor(name).type;
  }
  Dims getTensorShape(const char* name) const noexcept override {
    return dims_of(network_->tensor(name).shape);
  }
  TensorLocation getTensorLocation(const char* name) const noexcept override {
    return network_->tensor(name).on_host ? TensorLocation::kHOST : TensorLocation::kDEVICE;
  }
  bool isShapeInferenceIO(const char* name) const noexcept override {
    return network_->tensor(name).on_host;
  }
  Dims getProfileShape(const char* name, std::int32_t profile,
                       OptProfileSelector which) const noexcept override {
    expect(profile == 0, "there is one profile");
    return dims_of(end(name, which));
  }
#if !defined(FAKE_TENSORRT_RTX) && FAKE_TENSORRT < 1011
  const std::int32_t* getProfileTensorValues(const char* name, std::int32_t,
                                             OptProfileSelector which) const noexcept override {
    const Sizes& wide = end(name, which);
    std::vector<std::int32_t>& values = narrow_[{name, static_cast<int>(which)}];
    values.clear();
    for (const std::int64_t value : wide) values.push_back(static_cast<std::int32_t>(value));
    return values.empty() ? nullptr : values.data();
  }
#else
  const std::int64_t* getProfileTensorValuesV2(const char* name, std::int32_t,
                                               OptProfileSelector which) const noexcept override {
    const Sizes& values = end(name, which);
    return values.empty() ? nullptr : values.data();
  }
#endif
  IExecutionContext* createExecutionContext() noexcept override {
    if (!network_->has_no_context) return std::make_unique<Context>(network_, needs_).release();
    needs_->logger->log(Severity::kERROR, "out of memory");
    return nullptr;
  }

 private:
  const Sizes& end(const char* name, OptProfileSelector which) const {
    const Tensor& tensor = network_->tensor(name);
    return which == OptProfileSelector::kMIN ? tensor.least : tensor.most;
  }

  std::shared_ptr<Network> network_;
  std::shared_ptr<Alive> needs_;
  std::vector<std::string> names_;
  mutable std::map<std::pair<std::string, int>, std::vector<std::int32_t>> narrow_;
};

class Runtime final : public IRuntime {
 public:
  explicit Runtime(std::shared_ptr<Alive> needs) : needs_(std::move(needs)) { ++needs_->runtimes; }
  ~Runtime() noexcept override {
    happened("runtime");
    --needs_->runtimes;
  }

  ICudaEngine* deserializeCudaEngine(const void* plan, std::size_t size) noexcept override {
    const auto found = machine().networks.find(std::string(static_cast<const char*>(plan), size));
    if (found != machine().networks.end()) {
      return std::make_unique<Engine>(found->second, needs_).release();
    }
    needs_->logger->log(Severity::kWARNING, "a warning");
    needs_->logger->log(Severity::kERROR, "Serialization\nassertion  failed.");
    needs_->logger->log(Severity::kERROR, "what it led to");
    return nullptr;
  }
#ifdef FAKE_TENSORRT_RTX
  std::int64_t getEngineHeaderSize() const noexcept override { return 64; }
  EngineValidity getEngineValidity(const void*, std::int64_t size,
                                   std::uint64_t* diagnostics) const noexcept override {
    expect(size <= getEngineHeaderSize(), "more than the header");
    *diagnostics = machine().invalid;
    return machine().invalid ? EngineValidity::kINVALID : EngineValidity::kVALID;
  }
#endif

 private:
  std::shared_ptr<Alive> needs_;
};

/// Without a driver some releases return wild pointers: nothing may be called then.
void called() {
  ++machine().tensorrt_calls;
  expect(machine().missing == cudaSuccess && machine().devices > 0,
         "TensorRT was called without a GPU");
}

}  // namespace

}  // namespace fake

nvinfer1::IRuntime* nvinfer1::createInferRuntime(ILogger& logger) noexcept {
  fake::called();
  if (!fake::machine().has_no_runtime) {
    return std::make_unique<fake::Runtime>(fake::alive(&logger)).release();
  }
  logger.log(ILogger::Severity::kERROR, "CUDA initialization failure with error: 35");
  return nullptr;
}

std::int32_t getInferLibVersion() noexcept {
  fake::called();
  const std::int32_t given = fake::machine().library;
  return given ? given : FAKE_TENSORRT * 100 + 1;
}
