// A library that was compiled without TensorRT.
#ifndef DYNCOMPILE_WITH_TENSORRT

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "dyncompile/dyncompile.hpp"
#include "engine_file.hpp"

TEST_CASE("without TensorRT an engine is refused, and a file that is none as what it is") {
  dyncompile::detail::EngineDescription description;
  description.flavor = "tensorrt-rtx";
  description.version = "1.7.1.116";
  description.precision = "float32";
  description.bytes = 4;
  description.sha256 = std::string(64, '0');
  description.manifest.target = "tensorrt";
  description.manifest.precision = "float32";
  const auto path = std::filesystem::temp_directory_path() / "dyncompile-no-engine.engine";
  std::ofstream(path) << "plan";
  std::ofstream(path.u8string() + ".json") << description.to_json();
  std::string said;
  try {
    dyncompile::Net::load(path);
  } catch (const dyncompile::TargetError& error) {
    said = error.what();
  }
  CHECK(said == path.u8string() +
                    ": an engine of TensorRT for RTX, and this library was compiled without it."
                    " Compile dyncompile with -DDYNCOMPILE_WITH_TENSORRT=ON and TENSORRT_ROOT, or"
                    " load the .onnx file.");
  std::filesystem::remove(path.u8string() + ".json");
  CHECK_THROWS_AS(dyncompile::Net::load(path), dyncompile::ArtifactError);
  std::filesystem::remove(path);
}

#endif
