// Whatever the text is, it describes an engine, and is written and read again as equal, or an
// error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "dyncompile/errors.hpp"
#include "engine_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dyncompile::detail::EngineDescription;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  EngineDescription engine;
  try {
    engine = EngineDescription::from_json(text, "fuzz");
  } catch (const dyncompile::ArtifactError&) {
    return 0;
  }
  const std::string written = engine.to_json();
  if (EngineDescription::from_json(written, "written").to_json() != written) std::abort();
  return 0;
}
