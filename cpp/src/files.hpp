// Files, before somebody else opens them.
#ifndef DYNCOMPILE_SRC_FILES_HPP
#define DYNCOMPILE_SRC_FILES_HPP

#include <filesystem>

namespace dyncompile::detail {

/// Throws ArtifactError if it cannot be read.
void check_readable(const std::filesystem::path& path);

}  // namespace dyncompile::detail

#endif
