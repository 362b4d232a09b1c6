// Whatever the text is, it is a manifest, which is written and read again as equal, or an error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "dyncompile/errors.hpp"
#include "dyncompile/manifest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  dyncompile::Manifest manifest;
  try {
    manifest = dyncompile::Manifest::from_json(text, "fuzz");
  } catch (const dyncompile::ArtifactError&) {
    return 0;
  }
  const std::string written = manifest.to_json();
  if (dyncompile::Manifest::from_json(written, "written").to_json() != written) std::abort();
  return 0;
}
