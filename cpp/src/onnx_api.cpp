#include "onnx_api.hpp"

#include <cstdlib>

#include "dyncompile/errors.hpp"
#include "onnx_library.hpp"

namespace dyncompile::detail {

namespace {

int minor_of(const std::string& version) {
  const std::size_t dot = version.find('.');
  return dot == std::string::npos ? 0 : std::atoi(version.c_str() + dot + 1);
}

const OrtApiBase& library() {
  static const OrtApiBase& base = onnx_library();
  return base;
}

}  // namespace

const std::string& onnx_version() {
  static const std::string version = library().GetVersionString();
  return version;
}

const Ort::Env& onnx_environment() {
  static const Ort::Env environment = [] {
    const std::string& version = onnx_version();
    const std::string needed = "1." + std::to_string(ORT_API_VERSION);
    const OrtApi* api =
        minor_of(version) < ORT_API_VERSION ? nullptr : library().GetApi(ORT_API_VERSION);
    if (!api) {
      throw TargetError(
          "its version is " + version + "; this program was compiled for " + needed + ".",
          "ONNX Runtime",
          "Let the program find " + needed + " or newer, or compile it with the headers of " +
              version + ".");
    }
    Ort::InitApi(api);
    return Ort::Env(ORT_LOGGING_LEVEL_FATAL, "dyncompile");  // errors are thrown
  }();
  return environment;
}

}  // namespace dyncompile::detail
