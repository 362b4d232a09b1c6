#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "engines.hpp"

using namespace dyncompile;
using detail::EngineDescription;
using nvinfer1::DataType;

namespace {

const std::vector<float> x{0, 1, 2, 3, 4, 5, 6, 7};

std::string refused(const std::filesystem::path& path) {
  return refusal<TargetError>([&] { Net::load(path); });
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Sets the version of a description.
auto version(const char* wanted) {
  return [wanted](EngineDescription& description) { description.version = wanted; };
}

}  // namespace

TEST_CASE("without a GPU nothing of TensorRT is called") {
  Scene scene;
  const auto path = scene.write(scaling());
  fake::machine().missing = cudaErrorInsufficientDriver;
  CHECK(
      refused(path) ==
      "GPU: an engine runs on an NVIDIA GPU, and CUDA can use none here: CUDA driver version is"
      " insufficient for CUDA runtime version (CUDA error 35). Load it on a machine with a GPU and"
      " its driver, or load the .onnx file.");
  fake::machine().missing = cudaSuccess;
  fake::machine().devices = 0;
  CHECK(has(refused(path), "CUDA can use none here: CUDA finds no device."));
  CHECK(fake::machine().tensorrt_calls == 0);
}

TEST_CASE("options of ONNX Runtime are refused") {
  Scene scene;
  LoadOptions options;
  options.threads = 1;
  const auto path = scene.write(scaling());
  CHECK(has(refusal<InputError>([&] { Net::load(path, options); }), "an engine runs on the GPU."));
}

TEST_CASE("another version") {
  Scene scene;
  const auto path = scene.write(scaling(), version("10.16.2.9"));
  const std::string title = library_name().substr(0, library_name().rfind(' '));
  CHECK(refused(path) ==
        path.string() + ": built by " + title + " 10.16.2.9 for sm89; here is " + library_name() +
            " and A pretend GPU (sm89): another version. Build it for sm89 with the"
            " version that is installed here.");
}

TEST_CASE("the build number of a version is no matter") {
  Scene scene;
  const auto same = [](EngineDescription& description) {
    description.version = description.version.substr(0, description.version.rfind('.')) + ".7";
  };
  CHECK(Net::load(scene.write(scaling(), same)).providers().size() == 1);
}

TEST_CASE("a library that is older than what the program was compiled for") {
  Scene scene;
  const auto path = scene.write(scaling());
  fake::machine().library = 8601;
  const std::string problem = refused(path);
  CHECK(has(problem, "load: the library is "));
  CHECK(has(problem, " 8.6.1; this program was compiled for "));
  CHECK(has(problem, ", or compile with the headers of 8.6.1."));
}

TEST_CASE("another flavor") {
  Scene scene;
  const auto other = [](EngineDescription& description) {
    description.flavor = description.flavor == "tensorrt" ? "tensorrt-rtx" : "tensorrt";
  };
  const auto path = scene.write(scaling(), other);
  const std::string problem = refused(path);
#ifdef FAKE_TENSORRT_RTX
  CHECK(problem == path.string() +
                       ": built by TensorRT; this program was compiled with TensorRT for"
                       " RTX. Build it with --flavor tensorrt-rtx, or compile with the"
                       " SDK of TensorRT.");
#else
  CHECK(has(problem, "built by TensorRT for RTX; this program was compiled with TensorRT. Build"));
#endif
}

#ifndef FAKE_TENSORRT_RTX
TEST_CASE("another chip") {
  Scene scene;
  const auto path = scene.write(scaling());
  fake::machine().major = 9;
  fake::machine().minor = 0;
  CHECK(has(refused(path), "for sm89; here is " + library_name() +
                               " and A pretend GPU (sm90): not for this GPU. Build it for sm90"));
}

TEST_CASE("an engine for all chips from sm80 on") {
  Scene scene;
  const auto path =
      scene.write(scaling(), [](EngineDescription& description) { description.chips = {"sm80+"}; });
  for (const int major : {8, 9, 12}) {
    fake::machine().major = major;
    fake::machine().minor = 0;
    CHECK(Net::load(path).providers().size() == 1);
  }
  fake::machine().major = 7;
  fake::machine().minor = 5;
  CHECK(has(refused(path), "not for this GPU"));
}
#else
TEST_CASE("what the runtime finds in the header of an engine that cannot be read") {
  Scene scene;
  const auto path = scene.write(scaling());
  fake::machine().networks.clear();
  fake::machine().invalid = 2;
  CHECK(has(refused(path), "(sm89): not for this GPU. Build it"));
  fake::machine().invalid = 4 | 16;
  CHECK(has(refused(path), "(sm89): the CUDA driver is too old, the GPU has too little memory. B"));
}

TEST_CASE("an engine that is read against its header runs, with a warning") {
  Scene scene;
  const auto path = scene.write(scaling());
  fake::machine().invalid = 2;
  const Net net = Net::load(path);
  CHECK(net.warnings() == std::vector<std::string>{
                              path.string() + ": TensorRT for RTX says on A pretend GPU (sm89): not"
                                              " for this GPU; it is tried."});
  CHECK(elements<float>(net.run({{"x", TensorView(x, {2, 4})}})["y"]) == scaled(x, 2));
}
#endif

TEST_CASE("what cannot be deserialised, and a runtime that there is none of") {
  Scene scene;
  const auto path = scene.write(scaling());
  fake::machine().networks.clear();
  CHECK(has(refused(path), "(sm89): Serialization assertion failed. Build it for sm89"));
  fake::machine().has_no_runtime = true;
  CHECK(has(refused(path), "(sm89): CUDA initialization failure with error: 35. Build it"));
}

TEST_CASE("no context") {
  Scene scene;
  fake::Network network = scaling();
  network.has_no_context = true;
  const auto path = scene.write(network);
  CHECK(refused(path) == path.string() +
                             ": the engine cannot be made ready on A pretend GPU: out of memory."
                             " Free memory of the GPU, or build the engine for it again.");
}

TEST_CASE("no stream") {
  Scene scene;
  const auto path = scene.write(scaling());
  fake::machine().failing["cudaStreamCreateWithFlags"] = cudaErrorMemoryAllocation;
  CHECK(has(refused(path), "GPU: CUDA fails: out of memory (CUDA error 2)."));
}

TEST_CASE("an engine that its description does not know") {
  Scene scene;
  const auto path = scene.write(
      scaling(), [](EngineDescription& description) { description.outputs[1].name = "counts"; });
  CHECK(refusal<ArtifactError>([&] { Net::load(path); }) ==
        path.string() +
            ": it has the outputs y, count; its description, y, counts. Build the engine"
            " again.");
}

TEST_CASE("a knob that is no input") {
  Scene scene;
  const auto path = scene.write(scaling(), [](EngineDescription& description) {
    description.manifest.knobs[0].name = "depth";
    description.manifest.operating_points.clear();
  });
  CHECK(refusal<ArtifactError>([&] { Net::load(path); }) ==
        path.string() +
            ".json: the description of the engine is damaged: the knob 'depth' is no"
            " input. Build the engine again.");
}

TEST_CASE("a knob that the engine has otherwise leaves nothing on the GPU") {
  Scene scene;
  const auto path = scene.write(scaling(), [](EngineDescription& description) {
    description.manifest.knobs[1].range = Levels{{1.0, 2.0}, 0};
  });
  CHECK(has(refusal<ArtifactError>([&] { Net::load(path); }),
            "has the knob 'threshold' as int64[]; the graph has it as float32[2]."));
  CHECK(fake::machine().allocated == 0);
}

TEST_CASE("a type that there is none for here") {
  Scene scene;
  fake::Network network = scaling();
  network.outputs[0].type = DataType::kFP8;
  CHECK(has(refused(scene.write(network)), "output 'y' has the type number 6 of TensorRT"));
}

TEST_CASE("files that do not belong together") {
  Scene scene;
  const auto path = scene.write(scaling());
  const auto load = [&] { return refusal<ArtifactError>([&] { Net::load(path); }); };
  std::ofstream(path, std::ios::binary) << "pla";
  CHECK(load() == path.string() +
                      ": it has 3 bytes; its description is of an engine of 6. Keep the"
                      " two files together, or build the engine again.");
  std::ofstream(path, std::ios::binary) << "1 nalp";
  CHECK(has(load(), "it is not the engine that its description is of: the digests differ."));
  std::filesystem::remove(path.string() + ".json");
  CHECK(has(load(), "its description '" + path.filename().string() + ".json' is missing."));
  std::filesystem::remove(path);
  CHECK(has(load(), "cannot be read"));
}
