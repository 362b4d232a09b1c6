// A manifest inside of other JSON.
#ifndef DYNCOMPILE_SRC_MANIFEST_ENTRY_HPP
#define DYNCOMPILE_SRC_MANIFEST_ENTRY_HPP

#include <string>

#include "dyncompile/errors.hpp"
#include "dyncompile/manifest.hpp"
#include "json.hpp"

namespace dyncompile::detail {

/// Throws ArtifactError, as `Manifest::from_json`.
Manifest manifest_from_entry(const Json& entry, const std::string& where);
Json entry_from_manifest(const Manifest& manifest);

/// Checks the field "format" of an object. Throws BadJson if it is none, ArtifactError if it is
/// newer than `known`.
void check_format(const Json& object, std::int64_t known, const std::string& where);

}  // namespace dyncompile::detail

#endif
