// From an engine on disk to one that the GPU can run, or one line on why it cannot.
#ifndef DYNCOMPILE_SRC_TENSORRT_ENGINE_LOADING_HPP
#define DYNCOMPILE_SRC_TENSORRT_ENGINE_LOADING_HPP

#include <NvInferRuntime.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda.hpp"
#include "engine_file.hpp"

namespace dyncompile::detail {

/// Keeps the first error since it was asked, and prints nothing. The first says what is wrong,
/// those that follow what it led to.
class Logger : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override;

  /// That error, on one line and shortened, without a full stop; it is forgotten.
  std::string last_words();

  /// What was said is not about what follows.
  void forget() noexcept;

 private:
  std::mutex mutex_;
  std::string first_;
};

/// The logger of the process: TensorRT keeps the first it is given.
Logger& logger();

/// An engine, and what it needs to live.
struct Deserialised {
  std::unique_ptr<nvinfer1::IRuntime> runtime;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  std::vector<std::string> warnings;
};

/// Throws ArtifactError if the file is not the engine that was described, TargetError if it was
/// built by another flavor or version or for another GPU, or cannot be read here.
Deserialised deserialise(const std::filesystem::path& path, const EngineDescription& description,
                         const Gpu& gpu);

/// The version of the library that runs engines, as "10.16.1".
std::string library_version();

}  // namespace dyncompile::detail

#endif
