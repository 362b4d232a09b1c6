// What is on disk of an engine: the builder's plan, and beside it what the plan is.
#ifndef DYNCOMPILE_SRC_ENGINE_FILE_HPP
#define DYNCOMPILE_SRC_ENGINE_FILE_HPP

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "dyncompile/manifest.hpp"

namespace dyncompile::detail {

/// One input or output of an engine.
struct Binding {
  std::string name;
  std::string dtype;  ///< Its numpy name; as the builder calls it where numpy has none.
  std::vector<std::int64_t> shape;
  bool on_host = false;  ///< Where the engine reads or writes it.
};

/// What an engine is, apart from its bytes.
struct EngineDescription {
  static constexpr std::int64_t format = 1;

  std::string flavor;  ///< "tensorrt" or "tensorrt-rtx".
  std::string version;
  std::vector<std::string> chips;
  std::string precision;
  std::vector<Binding> inputs, outputs;
  std::int64_t bytes = 0;
  std::string sha256;
  Manifest manifest;

  /// Throws ArtifactError for something else, something damaged, or a newer format.
  static EngineDescription from_json(std::string_view text, const std::string& where);
  std::string to_json() const;
};

/// "TensorRT" or "TensorRT for RTX".
const char* title(const std::string& flavor);

/// Reads "<path>.json". Throws ArtifactError.
EngineDescription read_description(const std::filesystem::path& path);

/// Reads the plan. Throws ArtifactError if it cannot be read or is not the one described.
std::vector<char> read_plan(const std::filesystem::path& path, const EngineDescription& engine);

}  // namespace dyncompile::detail

#endif
