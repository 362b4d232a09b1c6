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

/// The library, once it has been found to be new enough; until then, each call looks for it.
struct Library {
  std::string version;
  const OrtApi* api;
};

const Library& library() {
  static const Library found = [] {
    const OrtApiBase& base = onnx_library();
    Library asked{base.GetVersionString(), nullptr};
    if (minor_of(asked.version) >= ORT_API_VERSION) asked.api = base.GetApi(ORT_API_VERSION);
    if (!asked.api) {
      const std::string needed = "1." + std::to_string(ORT_API_VERSION);
      throw TargetError(
          "its version is " + asked.version + "; this program was compiled for " + needed + ".",
          "ONNX Runtime",
          "Let the program find " + needed + " or newer, or compile it with the headers of " +
              asked.version + ".");
    }
    return asked;
  }();
  return found;
}

}  // namespace

const std::string& onnx_version() { return library().version; }

std::shared_ptr<const Ort::Env> onnx_environment() {
  static const std::shared_ptr<const Ort::Env> environment = [] {
    Ort::InitApi(library().api);
    // The level is that of the whole process, where nobody has made an environment before.
    return std::make_shared<const Ort::Env>(ORT_LOGGING_LEVEL_WARNING, "dyncompile");
  }();
  return environment;
}

}  // namespace dyncompile::detail
