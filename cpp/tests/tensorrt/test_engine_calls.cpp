#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "engines.hpp"
#include "tensorrt/engine_loading.hpp"

using namespace dyncompile;
using nvinfer1::DataType;

namespace {

const std::vector<float> x{0, 1, 2, 3, 4, 5, 6, 7};
const TensorView x_view(x, {2, 4});

std::size_t times(const char* event) {
  const auto& events = fake::machine().events;
  return static_cast<std::size_t>(std::count(events.begin(), events.end(), event));
}

/// What was allocated, by its event.
std::vector<std::string> allocations() {
  std::vector<std::string> found;
  for (const std::string& event : fake::machine().events) {
    if (event.find('+') != std::string::npos) found.push_back(event);
  }
  return found;
}

/// Memory of the GPU, of a caller.
class OnDevice {
 public:
  explicit OnDevice(std::size_t bytes) { cudaMalloc(&data_, bytes); }
  OnDevice(const void* source, std::size_t bytes) : OnDevice(bytes) {
    fake::copy(data_, source, bytes);
  }
  ~OnDevice() { cudaFree(data_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

}  // namespace

TEST_CASE("an engine is called as any network") {
  Scene scene;
  const Net net = scene.load(scaling());
  const Outputs outputs = net.run({{"x", x_view}}, {{"level", 1}});
  CHECK(elements<float>(outputs["y"]) == scaled(x, 1));
  CHECK(outputs["y"].shape() == Shape{2, 4});
  CHECK(elements<std::int64_t>(outputs["count"]) == std::vector<std::int64_t>{8});
  CHECK(elements<float>(net.run({{"x", x_view}})["y"]) == scaled(x, 2));
  const std::vector<double> thresholds{0.25, 0.5};
  const Outputs others = net.run({{"x", x_view}}, {{"threshold", thresholds}, {"level", 0}});
  CHECK(elements<float>(others["y"]) == scaled(x, 0, 0.75F));
  CHECK(net.providers() == std::vector<std::string>{"A pretend GPU"});
  CHECK(net.warnings().empty());
  CHECK(net.conditions().runtime == library_name());
  CHECK(net.inputs().size() == 1);
  CHECK(net.inputs()[0].to_string() == "float32[2, 4]");
}

TEST_CASE("what does not fit never reaches the GPU") {
  Scene scene;
  const Net net = scene.load(scaling());
  const TensorView row(x.data(), {1, 4});
  CHECK(refusal<InputError>([&] { net.run({{"x", row}}); }).find("does not fit") < 60);
  CHECK(refusal<KnobError>([&] { net.run({{"x", x_view}}, {{"level", 3}}); }) !=
        "nothing is thrown");
  CHECK(refusal<KnobError>([&] { net.run({{"x", x_view}}, {{"depth", 3}}); }) !=
        "nothing is thrown");
  CHECK(times("enqueue") == 0);
}

TEST_CASE("results are the caller's own") {
  Scene scene;
  const Net net = scene.load(scaling());
  const Outputs first = net.run({{"x", x_view}});
  const std::vector<float> zeros(8);
  net.run({{"x", TensorView(zeros, {2, 4})}});
  CHECK(elements<float>(first["y"]) == scaled(x, 2));
}

TEST_CASE("outputs are written to memory of the caller, and those not wanted are dropped") {
  Scene scene;
  const Net net = scene.load(scaling());
  std::vector<float> y(8);
  std::int64_t count = 0;
  net.run({{"x", x_view}}, {}, {{"y", MutableTensorView(y, {2, 4})}});
  CHECK(y == scaled(x, 2));
  net.run({{"x", x_view}}, {{"level", 0}},
          {{"count", MutableTensorView(&count, {})}, {"y", MutableTensorView(y, {2, 4})}});
  CHECK(y == scaled(x, 0));
  CHECK(count == 8);
}

TEST_CASE("views of memory of the GPU") {
  Scene scene;
  const Net net = scene.load(scaling());
  const OnDevice given(x.data(), 32), wanted(32);
  const TensorView view(given.data(), ElementType::float32, {2, 4}, Device::cuda());
  CHECK(elements<float>(net.run({{"x", view}})["y"]) == scaled(x, 2));
  net.run({{"x", view}}, {},
          {{"y", MutableTensorView(wanted.data(), ElementType::float32, {2, 4}, Device::cuda())}});
  std::vector<float> y(8);
  fake::copy(y.data(), wanted.data(), 32);
  CHECK(y == scaled(x, 2));
}

TEST_CASE("sizes that are known at run time") {
  Scene scene;
  const Net net = scene.load(dynamic());
  CHECK(net.inputs()[0].to_string() == "float32[?, 4]");
  for (const std::int64_t rows : {2, 8, 8, 8, 1, 1, 8}) {
    std::vector<float> data(static_cast<std::size_t>(rows) * 4, static_cast<float>(rows));
    const Outputs outputs = net.run({{"x", TensorView(data, {rows, 4})}});
    CHECK(outputs["y"].shape() == Shape{rows, 4});
    CHECK(elements<float>(outputs["y"]) == scaled(data, 2));
    CHECK(elements<std::int64_t>(outputs["count"]).front() == rows * 4);
  }
}

TEST_CASE("sizes outside of the profile") {
  Scene scene;
  const Net net = scene.load(dynamic());
  for (const std::int64_t rows : {0, 9}) {
    const std::vector<float> data(static_cast<std::size_t>(rows) * 4);
    const TensorView view(data, {rows, 4});
    CHECK(refusal<InputError>([&] { net.run({{"x", view}}); }) ==
          "input 'x': float32[" + std::to_string(rows) +
              ", 4] does not fit. The engine was built for sizes from [1, 4] to [8, 4].");
  }
  CHECK(elements<float>(net.run({{"x", x_view}})["y"]) == scaled(x, 2));
}

TEST_CASE("sizes that the engine refuses all the same") {
  Scene scene;
  const Net net = scene.load(dynamic());
  const std::vector<float> row(4);
  const auto call = [&] { return net.run({{"x", x_view}}); };
  net.run({{"x", TensorView(row, {1, 4})}});
  scene.network().refuses_sizes = true;
  CHECK(refusal<InputError>(call) ==
        "input 'x': float32[2, 4] does not fit: not these sizes. Give sizes that the engine was"
        " built for.");
  scene.network().refuses_sizes = false;
  CHECK(elements<float>(call()["y"]) == scaled(x, 2));
  scene.network().is_unspecified = true;
  CHECK(refusal<TargetError>([&] {
          net.run({{"x", TensorView(row, {1, 4})}});
        }).find("does not run: it lacks the sizes of x.") != std::string::npos);
}

TEST_CASE("a buffer of other sizes than the output has") {
  Scene scene;
  const Net net = scene.load(dynamic());
  std::vector<float> y(12);
  const auto call = [&] { net.run({{"x", x_view}}, {}, {{"y", MutableTensorView(y, {3, 4})}}); };
  CHECK(refusal<InputError>(call) == "output 'y': float32[3, 4] does not fit. Give float32[2, 4].");
  CHECK(times("enqueue") == 0);
  CHECK(y == std::vector<float>(12));
  net.run({{"x", x_view}}, {}, {{"y", MutableTensorView(y.data(), {2, 4})}});
  CHECK(std::equal(y.begin(), y.begin() + 8, scaled(x, 2).begin()));
}

TEST_CASE("a tensor without elements") {
  Scene scene;
  const Net net = scene.load(dynamic(0, 4));
  const std::vector<float> none;
  const Outputs outputs = net.run({{"x", TensorView(none, {0, 4})}});
  CHECK(outputs["y"].size() == 0);
  CHECK(elements<std::int64_t>(outputs["count"]).front() == 0);
}

TEST_CASE("a level on the host is read there") {
  Scene scene;
  const Net net = scene.load(scaling(true));
  for (const int level : {0, 1, 1, 0, 1}) {
    const Outputs outputs = net.run({{"x", x_view}}, {{"level", level}});
    CHECK(elements<float>(outputs["y"]) == scaled(x, level));
  }
  CHECK(refusal<InputError>([&] { net.run({{"x", x_view}}, {{"level", 2}}); }) ==
        "input 'level': 2 is out of range. The engine was built for values from [0] to [1].");
  CHECK(elements<float>(net.run({{"x", x_view}}, {{"level", 1}})["y"]) == scaled(x, 1));
}

TEST_CASE("sizes that a value on the host gives") {
  Scene scene;
  fake::Network network;
  network.inputs = {{"n", DataType::kINT64, {}, true, {0}, {9}}};
  network.outputs = {{"y", DataType::kINT64, {-1}}};
  network.shapes = [](const auto&, const fake::Values& values) {
    return std::map<std::string, fake::Sizes>{{"y", elements<std::int64_t>(values.at("n"))}};
  };
  network.compute = [](const fake::Values& values) {
    const std::int64_t n = elements<std::int64_t>(values.at("n")).front();
    return fake::Values{{"y", value_of<std::int64_t>(
                                  {n}, std::vector<std::int64_t>(static_cast<std::size_t>(n), n))}};
  };
  const Net net = Net::load(scene.write(network, without_knobs));
  for (const std::int64_t n : {1, 3, 3, 0, 2}) {
    CHECK(net.run({{"n", TensorView(&n, {})}})[0].shape() == Shape{n});
  }
}

TEST_CASE("what is read on the host may lie on the GPU, and outputs on the host") {
  Scene scene;
  fake::Network network;
  network.inputs = {{"n", DataType::kINT32, {2}, true, {0, 0}, {9, 9}}};
  network.outputs = {{"m", DataType::kINT32, {2}, true}};
  network.compute = [](const fake::Values& values) {
    const std::vector<std::int32_t> n = elements<std::int32_t>(values.at("n"));
    return fake::Values{{"m", value_of<std::int32_t>({2}, {n[1], n[0]})}};
  };
  const Net net = Net::load(scene.write(network, without_knobs));
  const std::vector<std::int32_t> first{3, 4}, second{3, 40};
  const OnDevice device(first.data(), 8), bad(second.data(), 8);
  const TensorView view(device.data(), ElementType::int32, {2}, Device::cuda());
  CHECK(elements<std::int32_t>(net.run({{"n", view}})[0]) == std::vector<std::int32_t>{4, 3});
  const TensorView bad_view(bad.data(), ElementType::int32, {2}, Device::cuda());
  CHECK(refusal<InputError>([&] { net.run({{"n", bad_view}}); }) ==
        "input 'n': [3, 40] is out of range. The engine was built for values from [0, 0] to"
        " [9, 9].");
  OnDevice wanted(8);
  const MutableTensorView room(wanted.data(), ElementType::int32, {2}, Device::cuda());
  net.run({{"n", TensorView(first, {2})}}, {}, {{"m", room}});
  std::vector<std::int32_t> found(2);
  fake::copy(found.data(), wanted.data(), 8);
  CHECK(found == std::vector<std::int32_t>{4, 3});
}

TEST_CASE("sizes that depend on data") {
  Scene scene;
  const Net net = Net::load(scene.write(finding(), without_knobs));
  const std::vector<std::vector<float>> all{{0, 1, 0, 1}, {0, 0, 0, 0}, {1, 1, 1, 1}, {1, 0, 0, 0}};
  for (const std::vector<float>& given : all) {
    const Outputs outputs = net.run({{"x", TensorView(given, {4})}});
    std::vector<std::int64_t> found;
    for (std::int64_t index = 0; index < 4; ++index) {
      if (given[static_cast<std::size_t>(index)] != 0) found.push_back(index);
    }
    CHECK(elements<std::int64_t>(outputs["found"]) == found);
    CHECK(outputs["found"].shape() == Shape{1, static_cast<std::int64_t>(found.size())});
    CHECK(elements<float>(outputs["twice"])[1] == given[1] * 2);
  }
  std::vector<std::int64_t> room(2);
  const TensorView view(all[0], {4});
  net.run({{"x", view}}, {}, {{"found", MutableTensorView(room, {1, 2})}});
  CHECK(room == std::vector<std::int64_t>{1, 3});
  const TensorView three(all[2], {4});
  const auto call = [&] {
    net.run({{"x", three}}, {}, {{"found", MutableTensorView(room, {1, 2})}});
  };
  CHECK(refusal<InputError>(call) == "output 'found': int64[1, 2] does not fit. Give int64[1, 4].");
}

TEST_CASE("memory that the engine asks for is aligned as it asks") {
  Scene scene;
  fake::machine().misaligned = 256;
  const Net net = Net::load(scene.write(finding(), without_knobs));
  const std::vector<float> given{0, 1, 0, 1};
  CHECK(net.run({{"x", TensorView(given, {4})}})["found"].size() == 2);
  CHECK(net.run({{"x", TensorView(given, {4})}})["found"].size() == 2);
}

TEST_CASE("an engine that fails says why and goes on") {
  Scene scene;
  const Net net = scene.load(scaling());
  scene.network().fails = "Error Code 1:\n Cuda Runtime (misaligned address).";
  CHECK(refusal<TargetError>([&] { net.run({{"x", x_view}}); }) ==
        "A pretend GPU: the engine does not run: Error Code 1: Cuda Runtime (misaligned address)."
        " Build it again on this machine, or run the .onnx file.");
  scene.network().fails.clear();
  CHECK(elements<float>(net.run({{"x", x_view}})["y"]) == scaled(x, 2));
}

TEST_CASE("what was said before is not why") {
  Scene scene;
  const Net net = scene.load(scaling());
  detail::logger().log(nvinfer1::ILogger::Severity::kERROR, "something else");
  scene.network().fails = "the reason";
  CHECK(refusal<TargetError>([&] { net.run({{"x", x_view}}); }).find("does not run: the reason.") !=
        std::string::npos);
  CHECK(detail::logger().last_words() == "it does not say why");
}

TEST_CASE("an engine that does not tell a size") {
  Scene scene;
  const Net net = Net::load(scene.write(finding(), without_knobs));
  const std::vector<float> given{0, 1, 0, 1};
  const auto call = [&] { return net.run({{"x", TensorView(given, {4})}}); };
  CHECK(call()["found"].size() == 2);
  scene.network().tells_no_size = true;
  CHECK(refusal<TargetError>(call) ==
        "output 'found': the engine has not told its size. Build the engine again, or report this"
        " with the version of TensorRT.");
}

TEST_CASE("an error of CUDA is put in words") {
  Scene scene;
  const Net net = scene.load(scaling());
  auto& failing = fake::machine().failing;
  const auto call = [&] { net.run({{"x", x_view}}); };
  failing["cudaStreamSynchronize"] = cudaErrorIllegalAddress;
  CHECK(refusal<TargetError>(call) ==
        "GPU: CUDA fails: an illegal memory access was encountered (CUDA error 700). Free memory of"
        " the GPU, or look at its state with nvidia-smi.");
  failing.clear();
  failing["cudaSetDevice"] = cudaErrorInitializationError;
  CHECK(refusal<TargetError>(call).find("CUDA survives no fork.") != std::string::npos);
  failing.clear();
  failing["cudaMemcpyAsync"] = cudaErrorIllegalAddress;
  CHECK(refusal<TargetError>(call).find("CUDA error 700") != std::string::npos);
  failing.clear();
  CHECK(elements<float>(net.run({{"x", x_view}})["y"]) == scaled(x, 2));
}

TEST_CASE("no memory for an input, an output, or what depends on data") {
  Scene scene;
  const Net net = scene.load(dynamic());
  const std::vector<float> data(32, 1);
  const auto call = [&] { return net.run({{"x", TensorView(data, {8, 4})}}); };
  fake::machine().free_bytes = 64;
  CHECK(
      refusal<TargetError>(call) ==
      "GPU: no host memory for 128 bytes: out of memory (CUDA error 2). Free memory of the GPU, or"
      " look at its state with nvidia-smi.");
  fake::machine().free_bytes = 1 << 20;
  fake::machine().failing["cudaMalloc"] = cudaErrorMemoryAllocation;
  CHECK(refusal<TargetError>(call).find("no device memory for 128 bytes") != std::string::npos);
  fake::machine().failing.clear();
  CHECK(elements<float>(call()["y"]) == scaled(data, 2));

  const Net finder = Net::load(scene.write(finding(), without_knobs));
  const auto find = [&] { return finder.run({{"x", TensorView(data.data(), {4})}}); };
  fake::machine().free_bytes = 16;
  CHECK(refusal<TargetError>(find).find("no device memory for 32 bytes: out of memory") !=
        std::string::npos);
  fake::machine().free_bytes = 1 << 20;
  CHECK(find()["found"].size() == 4);
}

TEST_CASE("memory is had once and grows") {
  Scene scene;
  const Net net = scene.load(dynamic());
  const auto call = [&](std::int64_t rows) {
    const std::vector<float> data(static_cast<std::size_t>(rows) * 4, 1);
    net.run({{"x", TensorView(data, {rows, 4})}});
  };
  call(4);
  const std::vector<std::string> had = allocations();
  for (const int rows : {4, 1, 3, 4, 2}) call(rows);
  CHECK(allocations() == had);
  call(5);
  std::vector<std::string> grown = allocations();
  grown.erase(grown.begin(), grown.begin() + static_cast<std::ptrdiff_t>(had.size()));
  std::sort(grown.begin(), grown.end());
  CHECK(grown == std::vector<std::string>{"device+80", "device+80", "host+80"});
}

TEST_CASE("threads take turns on one engine, and engines run beside each other") {
  Scene scene;
  const Net net = scene.load(scaling()), other = scene.load(dynamic());
  std::atomic<int> wrong{0};
  const auto call = [&](int seed) {
    std::vector<float> data(8, static_cast<float>(seed)), y(8);
    for (int round = 0; round < 30; ++round) {
      const int level = round % 3;
      const Net& taken = (round + seed) % 2 ? net : other;
      taken.run({{"x", TensorView(data, {2, 4})}}, {{"level", level}},
                {{"y", MutableTensorView(y, {2, 4})}});
      if (y != scaled(data, level)) ++wrong;
    }
  };
  std::vector<std::thread> threads;
  for (int seed = 0; seed < 4; ++seed) threads.emplace_back(call, seed);
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("a call uses the GPU it was loaded on, and the thread's own after it") {
  Scene scene;
  fake::machine().devices = 2;
  cudaSetDevice(1);
  {
    const Net net = scene.load(scaling());
    cudaSetDevice(0);
    CHECK(elements<float>(net.run({{"x", x_view}})["y"]) == scaled(x, 2));
    CHECK(fake::current_device() == 0);
    std::thread([&] { net.run({{"x", x_view}}); }).join();  // a thread without a context
  }
  CHECK(fake::current_device() == 0);
}

TEST_CASE("all is given back, what needs something else first") {
  Scene scene;
  {
    const Net net = scene.load(scaling());
    net.run({{"x", x_view}});
    fake::machine().events.clear();
  }
  CHECK(fake::machine().events == std::vector<std::string>{"context", "engine", "runtime"});
  CHECK(fake::machine().allocated == 0);
  CHECK(fake::machine().streams == 0);
}

TEST_CASE("what an engine had is given back also where CUDA fails by then") {
  Scene scene;
  {
    const Net net = scene.load(scaling());
    net.run({{"x", x_view}});
    fake::machine().failing["cudaSetDevice"] = cudaErrorIllegalAddress;
  }
  fake::machine().failing.clear();
  CHECK(fake::machine().allocated == 0);
}

TEST_CASE_TEMPLATE("an element type", T, bool, float16, bfloat16, float, std::int8_t, std::int32_t,
                   std::int64_t, std::uint8_t) {
  DataType kind = DataType::kFLOAT;
  switch (element_type<T>) {
    case ElementType::boolean:
      kind = DataType::kBOOL;
      break;
    case ElementType::float16:
      kind = DataType::kHALF;
      break;
    case ElementType::bfloat16:
      kind = DataType::kBF16;
      break;
    case ElementType::int8:
      kind = DataType::kINT8;
      break;
    case ElementType::int32:
      kind = DataType::kINT32;
      break;
    case ElementType::int64:
      kind = DataType::kINT64;
      break;
    case ElementType::uint8:
      kind = DataType::kUINT8;
      break;
    default:
      break;
  }
  Scene scene;
  fake::Network network;
  network.inputs = {{"x", kind, {3}}};
  network.outputs = {{"y", kind, {3}}};
  network.compute = [](const fake::Values& values) {
    fake::Value y = values.at("x");
    const std::size_t size = sizeof(T);
    for (std::size_t byte = 0; byte < size; ++byte)
      std::swap(y.bytes[byte], y.bytes[2 * size + byte]);
    return fake::Values{{"y", y}};
  };
  const Net net = Net::load(scene.write(network, without_knobs));
  T given[3];
  std::memset(given, 0, sizeof given);
  std::memset(&given[2], 1, 1);
  const Outputs outputs = net.run({{"x", TensorView(given, {3})}});
  CHECK(outputs[0].type() == element_type<T>);
  CHECK(std::memcmp(outputs[0].data<T>(), &given[2], sizeof(T)) == 0);
  CHECK(std::memcmp(outputs[0].data<T>() + 2, &given[0], sizeof(T)) == 0);
}
