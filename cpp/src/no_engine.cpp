// Without TensorRT, an engine is refused.
#ifndef DYNCOMPILE_WITH_TENSORRT

#include "dyncompile/errors.hpp"
#include "engine_file.hpp"
#include "runner.hpp"

namespace dyncompile::detail {

std::unique_ptr<Runner> open_engine(const std::filesystem::path& path) {
  const EngineDescription description = read_description(path);
  throw TargetError(
      std::string("an engine of ") + title(description.flavor) +
          ", and this library was compiled without it.",
      path.u8string(),
      "Compile dyncompile with -DDYNCOMPILE_WITH_TENSORRT=ON and TENSORRT_ROOT, or load the .onnx "
      "file.");
}

}  // namespace dyncompile::detail

#endif
